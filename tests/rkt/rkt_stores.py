"""ACI stores for the tests of the store door: recorded ones, and small ones that are made and damaged."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.progress import Silent
from orlop.records import Row
from orlop.rkt.door import RktStore
from orlop.samples.rkt import AciRoot

STORES = Path(__file__).parents[1] / "vectors" / "stores"
RECORDED = ("rkt-store", "rkt-store-large", "rkt-store-dbv2", "rkt-store-dbv4", "rkt-store-dbv6", "rkt-store-dbv8")

Tree = dict[str, tuple[object, ...]]


def unpacked(name: str, folder: Path) -> Path:
    """A recorded store, below a folder; gives its ``cas``."""
    with tarfile.open(STORES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="fully_trusted")
    return folder / "cas"


@contextmanager
def opened(path: str | Path) -> Iterator[RktStore]:
    """The store at a path, read."""
    store = RktStore(Root.open(str(path)))
    try:
        yield store
    finally:
        store.close()


def settled(root: AciRoot) -> str:
    """Finish a store that is being made; gives its ``cas``."""
    root.settle()
    return root.at("").rstrip("/")


def checked(path: str | Path, *, content: bool = False) -> list[Finding]:
    """All findings of the store at a path."""
    with opened(path) as store:
        return list(store.check(None, content=content, progress=Silent()))


def told(findings: list[Finding], *, least: Severity = Severity.SPACE) -> list[tuple[str, str]]:
    """Rule and path of the findings that are at least so bad."""
    return [(finding.rule, finding.path) for finding in findings if finding.severity <= least]


def row_of(store: RktStore, key: str) -> Row:
    """The row of a key."""
    return next(row for row in store.rows().rows if row.id == key)


def everything(path: str | Path) -> Tree:
    """Every name below a folder, with kind, mode, times of change and content."""
    found: Tree = {}
    for here, folders, files in os.walk(path):
        for name in (*folders, *files):
            full = os.path.join(here, name)
            stat = os.lstat(full)
            content = b""
            if name in files and os.path.isfile(full) and not os.path.islink(full):
                content = hashlib.sha256(Path(full).read_bytes()).digest()
            seen = (stat.st_mode, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, content)
            found[os.path.relpath(full, path)] = seen
    return found
