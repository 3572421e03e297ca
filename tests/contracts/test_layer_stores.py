"""What every layer store does: the one on disk with each driver, and the one in memory."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.digest import chain_ids
from orlop.docker.layerreferences import LayerReferences
from orlop.docker.layerstore import DEEPEST, Layers, LayerStore, MemoryLayerStore
from orlop.errors import DigestMismatch, Escapes, Malformed, NotFound, OrlopError, Refused, Unsupported, WrongKind
from tests.examples import examples

AT = 1_600_000_000
KINDS = {"/": tarfile.DIRTYPE, "@": tarfile.SYMTYPE, "=": tarfile.LNKTYPE, "|": tarfile.FIFOTYPE, "#": tarfile.CHRTYPE}


def tar(*members: tuple[str, bytes | str], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive; the last character of a name gives its kind, where it is one of ``/ @ = | #``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, errors="surrogateescape") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mtime, info.mode, info.uid, info.gid = AT, 0o755, os.geteuid(), os.getegid()
            info.type = KINDS.get(name[-1:], tarfile.REGTYPE)
            if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
                info.name = name[:-1]
            if isinstance(content, str):
                info.linkname = content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


BASE = tar(("bin/", b""), ("bin/sh", b"#!" * 400), ("etc/motd", b"hello"), ("sh@", "bin/sh"))
TOP = tar(("etc/", b""), ("etc/.wh.motd", b""), ("srv/app", b"app" * 5000))


@pytest.fixture(params=["memory", "overlay2", "vfs"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Layers]:
    """Opens the store; one on disk again and again."""
    if request.param == "memory":
        store = MemoryLayerStore()
        return lambda: store
    return lambda: LayerStore(str(tmp_path), driver=request.param)


@pytest.fixture
def layers(make: Callable[[], Layers]) -> Layers:
    return make()


def register(layers: Layers, archive: bytes, parent: str | None = None) -> str:
    return layers.register(io.BytesIO(archive), parent).chain_id


def whole(layers: Layers, chain_id: str) -> bytes:
    return b"".join(layers.reassemble(chain_id))


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


# --- register ----------------------------------------------------------------


def test_a_layer_says_what_it_is(layers: Layers) -> None:
    base = layers.register(io.BytesIO(BASE))
    top = layers.register(io.BytesIO(TOP), parent=base.chain_id)

    diff_ids = ["sha256:" + hashlib.sha256(archive).hexdigest() for archive in (BASE, TOP)]
    assert [base.diff_id, top.diff_id] == diff_ids
    assert (base.chain_id, top.chain_id) == chain_ids(diff_ids)
    assert (base.parent, top.parent) == (None, base.chain_id)
    assert top.size == 15000
    assert layers.map() == {base.chain_id: base, top.chain_id: top}


def test_what_went_in_comes_out_byte_for_byte(layers: Layers) -> None:
    base = register(layers, BASE)
    top = register(layers, TOP, base)

    assert whole(layers, base) == BASE
    assert whole(layers, top) == TOP


def test_a_compressed_archive_is_the_same_layer(layers: Layers) -> None:
    assert register(layers, gzip.compress(BASE)) == register(layers, BASE)
    assert len(layers.map()) == 1


@pytest.mark.parametrize("tail", [b"", bytes(512), bytes(5000), b"rubbish behind the end" * 90_000])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_any_form_of_archive_comes_out_as_it_went_in(layers: Layers, form: int, tail: bytes) -> None:
    name = "d" * 90 + "/" + "f" * 90
    archive = tar((name, b"1"), ("empty", b""), ("link@", "d" * 90), form=form) + tail

    assert whole(layers, register(layers, archive)) == archive


def test_names_of_any_bytes_and_any_length_are_kept(layers: Layers) -> None:
    odd = "\udcff\u2028<&>\n"
    archive = tar((odd, b"1"), ("x" * 255, b"22"), ("deep/" * 60 + "end", b"333"))

    assert whole(layers, register(layers, archive)) == archive


def test_an_archive_without_end_blocks_is_taken(layers: Layers) -> None:
    archive = tar(("a", b"1"))[:1024]

    assert whole(layers, register(layers, archive)) == archive


def test_an_empty_archive_is_a_layer(layers: Layers) -> None:
    made = layers.register(io.BytesIO(bytes(1024)))

    assert made.diff_id == "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    assert whole(layers, made.chain_id) == bytes(1024)


def test_a_chain_ends_at_the_deepest_layer(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DEEPEST == 125
    monkeypatch.setattr("orlop.docker.layerstore.DEEPEST", 3)
    parent = None
    for _ in range(3):
        parent = register(layers, bytes(1024), parent)

    with pytest.raises(Refused, match="more than 3"):
        register(layers, bytes(1024), parent)


HOSTILE: list[tuple[str, bytes, type[OrlopError]]] = [
    ("absolute", tar(("/etc/passwd", b"")), Escapes),
    ("upward", tar(("a/../../etc", b"")), Escapes),
    ("upward folder", tar(("../", b"")), Escapes),
    ("link out", tar(("a@", "../../etc")), Escapes),
    ("hard link out", tar(("a=", "../etc/passwd")), Escapes),
    ("absolute hard link", tar(("a=", "/etc/passwd")), Escapes),
    ("through a link", tar(("a@", "/etc"), ("a/passwd", b"")), Escapes),
    ("hard link through a link", tar(("a@", "/etc"), ("b=", "a/passwd")), Escapes),
    ("whiteout of the folder", tar(("a/.wh.", b"")), Escapes),
    ("whiteout upward", tar(("a/.wh...", b"")), Escapes),
    ("device", tar(("dev/sda#", b"")), Unsupported),
    ("aufs", tar((".wh..wh.plnk/1", b"")), Unsupported),
    ("whiteout with content", tar((".wh.a", b"content")), Malformed),
    ("twice", tar(("a", b"1"), ("./a", b"2")), Malformed),
    ("undone", tar(("a/b", b"1"), ("a", b"2")), Malformed),
    ("deleted", tar(("a", b"1"), (".wh.a", b"")), Malformed),
    ("through a file", tar(("a", b"1"), ("a/b", b"2")), WrongKind),
    ("hard link to nothing", tar(("a=", "b")), NotFound),
    ("cut in a file", BASE[:1700], Malformed),
    ("cut in a header", BASE[:700], Malformed),
    ("no tar", b"not an archive" * 100, Malformed),
    ("cut gzip", gzip.compress(BASE)[:-20], Malformed),
    ("damaged gzip", gzip.compress(BASE)[:60] + b"\0" * 60, Malformed),
    ("the layer as a file", tar((".", b"1")), Escapes),
]


@pytest.mark.parametrize(("archive", "error"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_refused_archive_leaves_nothing(
    layers: Layers, tmp_path: Path, archive: bytes, error: type[OrlopError]
) -> None:
    before = everything(tmp_path)

    with pytest.raises(error):
        register(layers, archive)

    assert everything(tmp_path) - before - {"overlay2", "overlay2/l", "vfs", "vfs/dir"} == set()
    assert layers.map() == {}


def test_a_refused_archive_leaves_the_layer_below_as_it_was(layers: Layers, tmp_path: Path) -> None:
    base = register(layers, BASE)
    before, known = everything(tmp_path), layers.map()

    with pytest.raises(Malformed):
        register(layers, TOP[:1700], base)

    assert {path for path in everything(tmp_path) - before if not path.endswith("/committed")} == set()
    assert layers.map() == known
    assert whole(layers, base) == BASE


def test_a_layer_on_nothing_known_is_refused(layers: Layers) -> None:
    with pytest.raises(NotFound):
        register(layers, TOP, "sha256:" + "0" * 64)


# --- holding and letting go ------------------------------------------------------


def test_a_layer_goes_when_the_last_holder_lets_go(layers: Layers) -> None:
    base = register(layers, BASE)
    layers.get(base)

    assert layers.release(base) == ()
    assert [layer.chain_id for layer in layers.release(base)] == [base]
    assert layers.map() == {}
    with pytest.raises(NotFound):
        layers.get(base)


def test_a_layer_that_another_stands_on_goes_with_it(layers: Layers) -> None:
    base = register(layers, BASE)
    top = register(layers, TOP, base)

    assert layers.release(base) == ()
    assert [layer.chain_id for layer in layers.release(top)] == [top, base]


def test_a_neighbour_keeps_what_both_stand_on(layers: Layers) -> None:
    base = register(layers, BASE)
    top, other = register(layers, TOP, base), register(layers, tar(("other", b"")), base)
    layers.release(base)

    assert [layer.chain_id for layer in layers.release(top)] == [top]
    assert whole(layers, other) == tar(("other", b""))


def test_what_nobody_holds_cannot_be_let_go(layers: Layers) -> None:
    base = register(layers, BASE)
    register(layers, TOP, base)
    layers.release(base)

    with pytest.raises(Refused, match="nobody holds it"):
        layers.release(base)
    with pytest.raises(NotFound):
        layers.release("sha256:" + "0" * 64)


def test_an_image_store_can_count_on_it(layers: Layers) -> None:
    counted: LayerReferences = layers
    base = register(layers, BASE)
    counted.get(base)

    assert layers.release(base) == ()
    assert layers.find(base).chain_id == base
    assert [layer.chain_id for layer in counted.release(base)] == [base]


def test_a_layer_can_come_back(layers: Layers) -> None:
    first = register(layers, BASE)
    layers.release(first)

    assert whole(layers, register(layers, BASE)) == BASE


# --- any archive -------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["a", "b", "usr", "é", "\udcff", "x" * 120, ".wh", " "]), min_size=1, max_size=4)
FILES = st.dictionaries(NAMES.map("/".join), st.binary(max_size=1500), max_size=8)


@settings(max_examples=examples(0.25), deadline=None)
@given(files=FILES, form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), zipped=st.booleans())
def test_random_trees_come_back_or_are_refused_whole(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], form: int, zipped: bool
) -> None:
    clash = {above for name in files for above in _above(name)} & files.keys()
    archive = tar(*files.items(), form=form)
    for store in (MemoryLayerStore(), *_stores(tmp_path_factory.mktemp("random"))):
        given_bytes = gzip.compress(archive) if zipped else archive
        if clash:
            with pytest.raises((WrongKind, Malformed)):
                register(store, given_bytes)
        else:
            assert whole(store, register(store, given_bytes)) == archive


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _stores(folder: Path) -> list[Layers]:
    stores: list[Layers] = []
    for name in ("overlay2", "vfs"):
        (folder / name).mkdir()
        stores.append(LayerStore(str(folder / name), driver=name))
    return stores


def test_an_altered_file_is_told(tmp_path: Path) -> None:
    layers = LayerStore(str(tmp_path), driver="vfs")
    made = layers.register(io.BytesIO(BASE))
    (tmp_path / "vfs/dir" / made.cache_id / "etc/motd").write_bytes(b"hullo")

    with pytest.raises((Malformed, DigestMismatch), match="etc/motd"):
        whole(layers, made.chain_id)


@pytest.mark.parametrize(
    "records",
    [
        {"uid": str(1 << 32)},
        {"gid": "9" * 19},
        {"mtime": "--5"},
        {"path": "a\0b"},
        {"linkpath": "a\0b"},
        {"SCHILY.xattr.user.a\0b": "v"},
    ],
)
def test_what_no_file_can_have_is_refused_as_damage(layers: Layers, records: dict[str, str]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname, info.pax_headers = tarfile.SYMTYPE, "target", records
        info.uid, info.gid = os.geteuid(), os.getegid()
        archive.addfile(info)

    with pytest.raises(Malformed):
        register(layers, buffer.getvalue())

    assert layers.map() == {}
