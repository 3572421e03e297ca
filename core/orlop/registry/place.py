"""Where things lie in a store whose ``v2`` folder is at any base; names are taken as they are, not checked."""

from orlop.fs import join
from orlop.registry import layout


def blobs(base: str) -> str:
    """The folder of all blobs."""
    return join(base, layout.BLOBS)


def repositories(base: str) -> str:
    """The folder of all repositories."""
    return join(base, layout.REPOSITORIES)


def blob_folder(base: str, digest: str) -> str:
    """The folder of a blob; `digest` must be a well-formed one."""
    algorithm, _, hexadecimal = digest.partition(":")
    return join(base, layout.BLOBS, algorithm, hexadecimal[:2], hexadecimal)


def blob_data(base: str, digest: str) -> str:
    """The file of a blob's bytes; `digest` must be a well-formed one."""
    return f"{blob_folder(base, digest)}/{layout.DATA}"
