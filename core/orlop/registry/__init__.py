"""A registry's storage: blobs, the links of each repository, manifest revisions, tags and uploads."""
