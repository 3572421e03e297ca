"""Sound stores of each kind, and their files of which a check of contents claims every byte."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orlop import kinds
from orlop.docker import layout
from orlop.errors import OrlopError
from orlop.finding import Finding
from orlop.progress import Silent
from orlop.rkt import manifest
from orlop.samples import DataRoot, Image
from orlop.samples.trees import Files, Symlink
from tests.contracts import verifying
from tests.registry.making import Storage


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One file."""

    what: str
    """What kind of file it is."""
    path: Path
    names: tuple[str, ...] = ()
    """What a finding may name instead of the file: the record or the tag that it belongs to."""
    means: Callable[[bytes], object] = bytes
    """What its bytes mean; a flip that leaves that as it is changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A store on disk, and what is claimed of it."""

    path: Path
    claims: tuple[Claim, ...] = field(repr=False)

    def damage(self) -> list[Finding]:
        store = kinds.open(str(self.path))
        try:
            found = list(store.check(None, content=True, progress=Silent()))
        finally:
            store.close()
        return [one for one in found if one.severity.is_damage]

    def named(self, claim: Claim, found: list[Finding]) -> bool:
        """Whether a finding names a file: by its path, or in its words."""
        words = (str(claim.path.relative_to(self.path)), *claim.names)
        return any(word in text for one in found for text in (one.path, one.detail, *one.names) for word in words)


FILES: Files = {
    "etc/os": b"base\n",
    "bin/sh": b"#!" * 500,
    "lib": Symlink("usr/lib"),
    "usr/lib/x": b"x" * 90,
    "usr/lib/large": bytes(range(256)) * 20,
}


def docker(folder: Path, driver: str) -> Claimed:
    """A base image, two on it, and a container."""
    data = DataRoot.create(str(folder / "docker"), driver=driver)
    base = data.image(FILES, names=["base:1"])
    web = data.image({"srv/web": b"web" * 1000, "etc/os": b"web\n"}, on=base, names=["web:1"])
    api = data.image({"srv/api": b"api" * 9}, on=web, names=["api:1"])
    data.container("kept", api)
    claims = [claim for image in (base, web, api) for claim in _docker_image(data, image)]
    return Claimed(path=Path(data.path), claims=tuple(claims))


def _docker_image(data: DataRoot, image: Image) -> Iterator[Claim]:
    top = image.top
    assert top is not None
    yield Claim(what="config", path=Path(data.at(layout.config(data.driver, image.id))))
    record = Path(data.at(layout.layer(data.driver, top.chain_id)))
    for name in ("diff", "size", "cache-id", "parent"):
        if (record / name).exists():
            yield Claim(what="layer record", path=record / name, names=(top.chain_id[7:],), means=bytes.strip)
    recipe = Path(data.at(layout.tar_split(data.driver, top.chain_id)))
    yield Claim(what="tar-split recipe", path=recipe, names=(top.chain_id[7:],), means=_unpacked)
    tree = Path(data.at(layout.layer_tree(data.driver, top.cache_id) or ""))
    for file in sorted(tree.rglob("*")):
        if file.is_file() and not file.is_symlink() and file.stat().st_size:
            yield Claim(what="layer file", path=file, names=(str(file.relative_to(tree)),))
    for name in ("link", "lower"):
        if data.driver == "overlay2" and (tree.parent / name).exists():
            yield Claim(what="overlay link", path=tree.parent / name, names=(top.cache_id,))


def _unpacked(data: bytes) -> object:
    """What a gzip file holds; bytes of its header and the last bits of its last byte mean nothing."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


def registry(folder: Path) -> Claimed:
    """Images in two repositories, one with an index."""
    storage = Storage(folder / "registry")
    first = storage.image("team/app", "v1", layers=(b"shared" * 400, b"own of the first" * 300))
    second = storage.image("team/app", "v2", layers=(b"shared" * 400, b"second" * 200), cmd="other")
    storage.index("team/app", [first.digest, second.digest], "all")
    storage.image("tool", "latest", layers=(b"tool" * 900,))
    blobs = [Claim(what="blob", path=path) for path in sorted(storage.path.rglob("data"))]
    read = (path for path in sorted(storage.path.rglob("link")) if "/index/" not in str(path))
    links = [Claim(what="link", path=path, names=_tag(path)) for path in read]  # no registry reads a tag's index
    return Claimed(path=storage.path, claims=(*blobs, *links))


def _tag(link: Path) -> tuple[str, ...]:
    """The tag that a link is of."""
    repository, found, tag = str(link).partition("/repositories/")[2].partition("/_manifests/tags/")
    return (f"{repository}:{tag.partition('/')[0]}",) if found else ()


def rkt(folder: Path) -> Claimed:
    """Three images, and a rendered tree of one of them."""
    cas = Path(verifying.rkt(folder).path)
    cas = cas / "cas" if (cas / "cas").is_dir() else cas
    unhashed = {*cas.glob("tree/*/manifest"), *cas.glob("tree/*/image")}  # by rkt, too
    claims: list[Claim] = []
    for what, below in (("archive", "blob"), ("manifest", "imageManifest"), ("tree", "tree")):
        for path in sorted((cas / below).rglob("*")):
            if path.is_file() and path.stat().st_size and path not in unhashed:
                names = (path.name,) if what != "tree" else (path.relative_to(cas / "tree").parts[0],)
                means = _parsed if what == "manifest" else bytes
                claims.append(Claim(what=what, path=path, names=names, means=means))
    return Claimed(path=cas, claims=tuple(claims))


def _parsed(data: bytes) -> object:
    """What rkt reads in a manifest, the names of whose members it takes in any case."""
    try:
        return manifest.parse(data)
    except OrlopError:
        return None


KINDS: dict[str, Callable[[Path], Claimed]] = {
    "docker overlay2": lambda folder: docker(folder, "overlay2"),
    "docker vfs": lambda folder: docker(folder, "vfs"),
    "registry": registry,
    "rkt": rkt,
}
