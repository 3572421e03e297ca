"""Sound stores of each kind whose contents are hashed and remembered, and caches to remember with."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orlop import kinds
from orlop.finding import Finding
from orlop.fs import Root
from orlop.progress import CONTENTS
from orlop.records import Row
from orlop.rkt import layout, treestore
from orlop.rkt.catalogue import ImageRow
from orlop.samples.rkt import NOW, AciRoot
from orlop.store import Hashing, Store
from orlop.verified import Proof, Seen, VerifiedCache
from tests.registry.making import Storage

_TIMES = re.compile(r"([0-9]+:[0-9]+):[0-9]+:[0-9]+:([0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A store on disk."""

    path: str
    files: tuple[Path, ...]
    """What is hashed, each once; in the order of their sizes."""
    victim: Path
    """One of them, that a test damages."""
    owner: str
    """The id of the only image that is made of it."""
    rule: str
    """What its damage breaks."""

    def open(self, verified: VerifiedCache | None = None) -> Store:
        return kinds.open(self.path, verified=None if verified is None else lambda _: verified)


def registry(folder: Path) -> Subject:
    """Three images, two of which share a layer."""
    storage = Storage(folder / "registry")
    storage.image("team/app", "v1", layers=(b"shared" * 400, b"own of the first" * 300))
    second = storage.image("team/app", "v2", layers=(b"shared" * 400, b"own of the second" * 200), cmd="other")
    storage.image("team/tool", "latest", layers=(b"tool" * 900,))
    return Subject(
        path=str(storage.path),
        files=by_size(*storage.path.rglob("data")),
        victim=storage.blob_path(second.layers[1]),
        owner=second.digest,
        rule="RG01",
    )


def rkt(folder: Path) -> Subject:
    """An app on a base, with a rendered tree, and another image."""
    root = AciRoot.create(str(folder / "rkt"))
    base = root.image("example.com/base", files={"bin/sh": b"#!" * 500})
    app = root.image("example.com/app", version="2", needs=[base], files={"srv/app": b"app" * 3000})
    other = root.image("example.com/other", files={"srv/other": b"other" * 300})
    tree = layout.tree(root.tree(app, {"srv": b"rendered" * 3000}, hash="sha512-" + "0" * 64))
    with Root.open(root.at("")) as opened:
        size = treestore.tree_size(opened, tree)
        root.write(f"{tree}/hash", treestore.tree_hash(opened, tree).encode(), 0o644)
    root.row(
        ImageRow(key=app.key, name=app.name, imported=NOW, last_used=NOW, latest=False, size=app.size, tree_size=size)
    )
    root.settle()
    return Subject(
        path=root.path,
        files=by_size(*Path(root.at("blob")).rglob("sha512-*"), Path(root.at(f"{tree}/rootfs/srv"))),
        victim=Path(root.at(layout.blob(other.key))),
        owner=other.key,
        rule="RK02",
    )


def by_size(*files: Path) -> tuple[Path, ...]:
    return tuple(sorted(files, key=lambda path: (path.stat().st_size, path)))


KINDS = {"registry": registry, "rkt": rkt}


class Watching:
    """Progress that keeps what it was told of the bytes."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def step(self, what: str, done: int, total: int) -> None:
        if what == CONTENTS:
            self.steps.append((done, total))

    @property
    def total(self) -> int:
        """Bytes that there were to hash."""
        return self.steps[-1][1]


def checked(store: Store, hashing: Hashing | None) -> tuple[list[Finding], int]:
    """What a check of the contents finds, and how many bytes it had to hash."""
    watching = Watching()
    found = list(store.check(None, content=True, progress=watching, hashing=hashing))
    return found, watching.total


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    return {row.id: row for row in rows}


def flipped(path: Path) -> None:
    """One byte is another, of as many."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


class Timeless(VerifiedCache):
    """Sees no time of a file, as where its bytes rot."""

    def __init__(self) -> None:
        super().__init__(None, "store")

    def find(self, digest: str, version: str) -> Seen | None:
        return super().find(_without(digest), _without(version))

    def add(self, proofs: Iterable[Proof]) -> None:
        super().add(
            Proof(digest=_without(proof.digest), version=_without(proof.version), at=proof.at, depth=proof.depth)
            for proof in proofs
        )

    def forget(self, digest: str, version: str) -> None:
        super().forget(_without(digest), _without(version))


def _without(text: str) -> str:
    return _TIMES.sub(r"\1:\2", text)
