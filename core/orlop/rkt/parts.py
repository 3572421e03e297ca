"""The parts of an ACI store as they were last read; a re-read replaces those that changed."""

from dataclasses import dataclass

from orlop.fs import Root
from orlop.progress import Progress
from orlop.rkt import layout
from orlop.rkt.cataloguefile import RowsVersion, catalogue_file, rows_version
from orlop.rkt.imagefiles import KeyedFiles, blobs, stored_manifests
from orlop.rkt.leftovers import Leftovers, leftovers
from orlop.rkt.model import Blob, CatalogueFile, Manifest
from orlop.rkt.pods import Pods, pods
from orlop.rkt.touched import Touched
from orlop.rkt.treefolders import Trees, trees

_TRIES = 8
"""Times that a store is read again which changes while it is read; then it is shown as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One reading."""

    catalogue: CatalogueFile
    rows_version: RowsVersion
    """Of the catalogue's files before they were read."""
    blobs: KeyedFiles[Blob]
    manifests: KeyedFiles[Manifest]
    trees: Trees
    pods: Pods
    leftovers: Leftovers


def read_parts(root: Root, *, progress: Progress, previous: Parts | None, touched: Touched) -> Parts:
    """Read every part, or only what changed since `previous`.

    Rows and files that are read while an image is added or removed do not belong
    together: where the rows changed meanwhile, all is read again.

    Raises:
        Cancelled: `progress` stopped it.
    """
    found = _read(root, progress, previous, touched)
    for _ in range(_TRIES):
        if rows_version(root) == found.rows_version:
            break
        found = _read(root, progress, found, Touched(None))
    return found


def _read(root: Root, progress: Progress, previous: Parts | None, touched: Touched) -> Parts:
    progress.step("rows", 0, 0)
    version = rows_version(root)
    named = touched.below(layout.DATABASE)  # what is named has changed, even where its times are the same
    known = previous is not None and previous.rows_version == version and not named
    catalogue = previous.catalogue if known and previous is not None else catalogue_file(root)
    progress.step("archives", 0, 0)
    archives = blobs(root, previous.blobs if previous is not None else None, touched)
    progress.step("manifests", 0, 0)
    manifests = stored_manifests(root, previous.manifests if previous is not None else None, touched)
    progress.step("trees and pods", 0, 0)
    return Parts(
        catalogue=catalogue,
        rows_version=version,
        blobs=archives,
        manifests=manifests,
        trees=trees(root, previous.trees if previous is not None else None, touched),
        pods=pods(root),
        leftovers=leftovers(root),
    )
