"""What is read the quick way, or not read again, is what reading it the long way gives."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop import times
from orlop.digest import is_digest
from orlop.docker import layout, tagfile
from orlop.docker.configs import ConfigReader, _members
from orlop.docker.configshape import IMAGE, read_plain
from orlop.docker.join import read
from orlop.docker.model import ConfigState
from orlop.errors import Malformed
from orlop.fs import Root
from orlop.jsonrules import loads
from orlop.progress import Silent
from orlop.samples import DataRoot
from tests.examples import examples

DIFF = "sha256:" + "ab" * 32
TEXTS = st.one_of(st.none(), st.sampled_from(["", "x", "a\\b", 'q"', "\u2028é", "\ud800", "\x07", "amd64", "linux"]))
TIMES = st.sampled_from(["2026-08-01T10:00:00Z", "2026-02-29T10:00:00.5Z", "2024-02-29T1:00:00Z", "", None, 5])
NUMBERS = st.sampled_from([0, -1, 2**63, 2**63 - 1, 1.5, "1", None, True])
SETS = st.one_of(st.none(), st.dictionaries(st.sampled_from(["80/tcp", ""]), st.sampled_from([{}, None, {"a": 1}, 1])))
LISTS = st.one_of(TEXTS, st.lists(st.one_of(TEXTS, NUMBERS), max_size=3))
RUN = st.fixed_dictionaries(
    {},
    optional={
        "Env": LISTS,
        "Cmd": LISTS,
        "Labels": st.dictionaries(st.sampled_from(["os", "rootfs", "a"]), st.one_of(TEXTS, NUMBERS), max_size=2),
        "ExposedPorts": SETS,
        "Tty": st.sampled_from([True, False, None, 0]),
        "StopTimeout": NUMBERS,
        "healthcheck": st.sampled_from([None, {"Test": ["a"], "Interval": 1}]),
    },
)
HISTORY = st.fixed_dictionaries({}, optional={"created": TIMES, "created_by": TEXTS, "empty_layer": NUMBERS})
CONFIGS = st.fixed_dictionaries(
    {"created": TIMES},
    optional={
        "architecture": TEXTS,
        "os": TEXTS,
        "OS": TEXTS,
        "variant": TEXTS,
        "config": st.one_of(RUN, st.none(), st.just([])),
        "container_config": RUN,
        "history": st.one_of(st.none(), st.lists(HISTORY, max_size=2)),
        "rootfs": st.sampled_from(
            [
                None,
                {"type": "layers"},
                {"type": "layers", "diff_ids": [DIFF]},
                {"type": "layers", "diff_ids": [DIFF, "sha256:" + "00" * 32]},
                {"type": "layers", "diff_ids": ["sha256:zz"]},
                {"type": "layers", "diff_ids": [1]},
                {"diff_ids": [DIFF], "type": "layers"},
            ]
        ),
        "Size": NUMBERS,
        "moby.buildkit.cache.v0": TEXTS,
        "unknown": NUMBERS,
    },
)
EDITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from([b"", b",", b'"', b"{", b"}", b"\xff", b"\\u12", b"1", b"]"])),
    max_size=2,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Configs as engines spell them, and nearly so."""
    members = sorted(draw(CONFIGS).items()) if draw(st.booleans()) else list(draw(CONFIGS).items())
    if members and draw(st.integers(0, 4)) == 0:
        members.append(members[draw(st.integers(0, len(members) - 1))])
    spelled = (
        (json.dumps(k), json.dumps(v, separators=(",", ":"), ensure_ascii=draw(st.booleans()))) for k, v in members
    )
    data = ("{" + ",".join(f"{key}:{value}" for key, value in spelled) + "}").encode("utf-8", "surrogatepass")
    for at, text in draw(EDITS):
        at %= len(data) + 1
        data = data[:at] + text + data[at + len(text) :]
    return data


@settings(max_examples=examples(2), deadline=None)
@given(documents())
def test_a_config_read_quickly_is_one_that_the_whole_reading_gives(data: bytes) -> None:
    found = read_plain(data)
    if found is None:
        return
    created, os_name, architecture, variant, diff_ids = (part.decode() for part in found)
    stack = tuple(diff_ids[:-1].split('","'))
    try:
        config = loads(data)
        IMAGE.conform(config)
        expected = _members(config)
    except Malformed:
        assert not all(map(is_digest, stack))  # which is left to the caller
        return
    platform = "/".join(part for part in (os_name, architecture, variant) if part)
    assert (times.parse(created), platform, stack) == expected


def test_what_engines_write_is_read_quickly(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    made = data.image({"a": b"x"}, names=["a:1"])
    assert read_plain(made.config) is not None
    reader = ConfigReader()
    quick, whole = reader._plain(made.config), reader._whole(made.config)
    assert quick == whole


@pytest.mark.parametrize(
    "tail", ['{"a":1,}', '{"a":[1,]}', '{"a":"\\x"}'], ids=["comma in an object", "comma in a list", "escape"]
)
def test_what_is_nearly_json_is_not_read_quickly(tail: str) -> None:
    text = f'{{"architecture":"amd64","config":{tail},"created":"2026-08-01T10:00:00Z","os":"linux"'
    text += f',"rootfs":{{"type":"layers","diff_ids":["{DIFF}"]}}}}'
    assert read_plain(text.encode()) is None
    assert read_plain(text.replace(tail, "{}").encode()) is not None
    assert read_plain(text.replace(tail, "{}").replace("]}}", "]},}").encode()) is None


# --- a folder that is read again ---------------------------------------------


def test_a_config_that_was_written_over_in_the_same_size_is_read_again(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    made = data.image({"a": b"x"}, names=["a:1"])
    path = Path(data.at(layout.config(data.driver, made.id)))
    with Root.open(data.path) as root:
        reader = ConfigReader()
        with root.folder(layout.configs(data.driver)) as folder:
            reader._now = 2**62  # long after
            before = reader.read(folder, made.id[7:], "file")
            assert before.config is ConfigState.GOOD
            assert reader.same(folder, made.id[7:], "file", before)
            written = os.stat(path)
            content = path.read_bytes()
            path.write_bytes(content[:-1] + b" ")
            os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
            assert not reader.same(folder, made.id[7:], "file", before)
            assert reader.read(folder, made.id[7:], "file").config is ConfigState.ALTERED


def test_what_changed_just_now_is_always_read_again(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    data.image({"a": b"x"}, names=["a:1"])
    with Root.open(data.path) as root:
        model = read(root, data.driver, progress=Silent())
    assert [image.stamp for image in model.images.values()] == [0]
    assert {layer.stamp for layer in model.layers.values()} == {0}


# --- names ---------------------------------------------------------------------

IMAGES = ["sha256:" + hashlib.sha256(b"%d" % n).hexdigest() for n in range(3)] + ["sha256:short", "{}"]
NAMES = ["a", "b/c", "localhost:5000/x", "UPPER", "a:1"]
STORES = st.dictionaries(
    st.sampled_from(NAMES),
    st.dictionaries(
        st.tuples(st.sampled_from(NAMES), st.sampled_from([":1", ":2", "", "@sha256:" + "0" * 64])).map("".join),
        st.sampled_from(IMAGES),
        max_size=3,
    ),
    max_size=4,
)
SPELLINGS = st.sampled_from([(",", ":"), (", ", ":"), (",", ": ")])


@contextmanager
def tempfile_root() -> Iterator[tuple[Root, Path]]:
    """A data root with room for the names of a driver ``d``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, layout.tag_file("d"))
        path.parent.mkdir(parents=True)
        with Root.open(folder) as root:
            yield root, path


def spelled(store: object, separators: tuple[str, str] = (",", ":")) -> bytes:
    return json.dumps({"Repositories": store}, separators=separators).encode()


@settings(max_examples=examples(1), deadline=None)
@given(STORES, STORES, SPELLINGS, st.one_of(st.none(), st.tuples(st.integers(0, 10_000), st.sampled_from(b'{},"x '))))
def test_names_that_are_read_from_what_differs_are_those_of_the_whole_file(
    before: dict[str, dict[str, str]],
    after: dict[str, dict[str, str]],
    separators: tuple[str, str],
    edit: tuple[int, int] | None,
) -> None:
    raw = spelled(after, separators)
    if edit is not None:
        at = edit[0] % len(raw)
        raw = raw[:at] + bytes([edit[1]]) + raw[at + 1 :]
    with tempfile_root() as (root, path):
        path.write_bytes(spelled(before))
        first = tagfile.read_tag_file(root, "d")
        path.write_bytes(raw)
        again = tagfile.read_tag_file(root, "d", first)
        assert again == tagfile.read_tag_file(root, "d")


@given(
    st.from_regex(r"(docker\.io/|library/|localhost(:5000)?/|[a-f0-9]{64}|A|a_b/)?[a-z0-9._/-]{0,6}", fullmatch=True)
)
def test_a_repository_that_looks_usual_makes_names_without_fault(repository: str) -> None:
    if tagfile._is_usual(repository):
        assert tagfile._problem(f"{repository}:t", repository, IMAGES[0]) == ""


def test_one_name_more_is_read_by_itself() -> None:
    store = {name: {f"{name}:{tag}": IMAGES[0] for tag in range(3)} for name in ("a", "b", "c")}
    with tempfile_root() as (root, path):
        path.write_bytes(spelled(store))
        first = tagfile.read_tag_file(root, "d")
        store["b"]["b:9"] = IMAGES[1]
        path.write_bytes(spelled(store))
        again = tagfile.read_tag_file(root, "d", first)
    assert first.compact
    assert again.references["b:9"].image == IMAGES[1]
    assert again.references["a:1"] is first.references["a:1"]
    assert again.references["b:1"] is first.references["b:1"]
