"""Every inode below a root is counted once, as `du -x` does, for whoever claims its place."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import Cancelled
from orlop.fs import Root
from orlop.progress import Silent, Stoppable
from orlop.space import Part, Use
from orlop.usage import Usage, group, measure, needed_by, space_of
from tests.examples import examples


def du(path: str | Path) -> int:
    ran = subprocess.run(["du", "--block-size=1", "-s", "-x", path], capture_output=True, check=False)
    return int(ran.stdout.split()[0])


def counted(path: str | Path, claims: dict[str, str] | None = None) -> Usage[str]:
    with Root.open(str(path)) as root:
        return measure(root, claims or {}, rest="rest", progress=Silent())


_NAMES = st.sampled_from(["a", "b", "c", "d\n", "é", "\udcff", "-x", "l"])
_FILES = st.one_of(
    st.tuples(st.just("file"), st.integers(0, 20_000)),
    st.tuples(st.just("hole"), st.integers(1, 1 << 22)),
    st.tuples(st.just("again"), st.integers(0, 7)),
    st.tuples(st.just("link"), st.just(0)),
    st.tuples(st.just("pipe"), st.just(0)),
)
_TREES = st.recursive(_FILES, lambda inner: st.dictionaries(_NAMES, inner, max_size=5), max_leaves=25)


def build(path: str, tree: object, made: list[str]) -> None:
    if isinstance(tree, dict):
        os.mkdir(path)
        for name, inner in tree.items():
            build(f"{path}/{name}", inner, made)
        return
    assert isinstance(tree, tuple)
    kind, number = tree
    match kind:
        case "link":
            os.symlink("/", path)
        case "pipe":
            os.mkfifo(path)
        case "again" if made:
            os.link(made[number % len(made)], path)
        case _:
            with open(path, "wb") as file:
                file.write(b"x" * min(number, 20_000))
                file.truncate(number)
            made.append(path)


@settings(max_examples=examples(0.4), deadline=None)
@given(tree=st.dictionaries(_NAMES, _TREES, max_size=5), claimed=st.sets(_NAMES))
def test_any_tree_is_counted_as_du_counts_it(
    tmp_path_factory: pytest.TempPathFactory, tree: object, claimed: set[str]
) -> None:
    top = tmp_path_factory.mktemp("tree") / "top"
    build(str(top), tree, [])

    found = counted(top, {name: name for name in claimed} | {f"{name}/a": "inner" for name in claimed})

    assert found.total == du(top)
    assert sum(found.counted.values()) == found.total
    assert found.takes(list(found.counted)) == found.freed(list(found.counted)) == found.total


def test_a_file_with_links_in_two_places_is_freed_with_both_of_them_only(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/file").write_bytes(b"x" * 8192)
    os.link(tmp_path / "a/file", tmp_path / "b/file")
    (tmp_path / "c/file").write_bytes(b"x" * 8192)

    found = counted(tmp_path, {"a": "a", "b": "b", "c": "c"})

    folder = os.lstat(tmp_path / "b").st_blocks * 512
    assert (found.of("a"), found.of("b")) == (8192 + folder, folder)
    assert (found.freed({"a"}), found.freed({"b"}), found.freed({"c"})) == (folder, folder, 8192 + folder)
    assert found.takes({"b"}) == 8192 + folder
    assert found.takes({"a", "b"}) == found.freed({"a", "b"}) == 8192 + 2 * folder


def test_a_file_with_a_link_outside_is_never_freed(tmp_path: Path) -> None:
    (tmp_path / "store/a").mkdir(parents=True)
    (tmp_path / "store/a/file").write_bytes(b"x" * 8192)
    os.link(tmp_path / "store/a/file", tmp_path / "outside")

    found = counted(tmp_path / "store", {"a": "a"})

    folder = os.lstat(tmp_path / "store/a").st_blocks * 512
    assert (found.of("a"), found.freed({"a"})) == (8192 + folder, folder)


def test_the_nearest_claim_above_counts(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b/c/file").write_bytes(b"x" * 4096)
    (tmp_path / "a/b/other").write_bytes(b"x" * 4096)

    found = counted(tmp_path, {"a": "outer", "a/b/c/file": "inner", "gone/for/ever": "nothing"})

    assert (found.of("inner"), found.of("nothing")) == (4096, 0)
    assert found.of("outer") == du(tmp_path / "a") - 4096
    assert found.of("rest") == os.lstat(tmp_path).st_blocks * 512


@pytest.fixture
def few_files() -> Iterator[None]:
    """A program that may open 100 files more than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_a_tree_deeper_than_folders_may_be_open_is_counted_whole(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(400):
        for name in ("x" * 200, "side"):
            os.mkdir(name, dir_fd=here)
        inner = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    found = counted(tmp_path)

    assert (found.files, found.unreadable) == (801, ())
    assert found.total == du(tmp_path)


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of a user who is not root, and that user's rights."""
    folder = Path(tempfile.mkdtemp(prefix="orlop-"))
    if os.geteuid() != 0:
        yield folder
        shutil.rmtree(folder)
        return
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)


def test_what_may_not_be_read_is_named_and_du_says_the_same(nobody: Path) -> None:
    for name, mode in (("closed", 0o000), ("listed", 0o400), ("open", 0o700)):
        (nobody / name / "inner").mkdir(parents=True)
        (nobody / name / "file").write_bytes(b"x" * 5000)
        (nobody / name).chmod(mode)

    found = counted(nobody)

    assert found.total == du(nobody)
    assert sorted(found.unreadable) == [("closed", "permission denied"), ("listed", "permission denied")]
    assert [found.is_whole(path) for path in ("open/inner", "closed", "closed/inner")] == [True, False, False]
    for name in ("closed", "listed"):
        (nobody / name).chmod(0o700)


def test_a_walk_can_be_stopped(tmp_path: Path) -> None:
    for folder in range(30):
        (tmp_path / str(folder)).mkdir()
        for name in range(100):
            (tmp_path / f"{folder}/{name}").touch()
    progress = Stoppable()
    progress.stopped = True

    with Root.open(str(tmp_path)) as root, pytest.raises(Cancelled):
        measure(root, {}, rest=0, progress=progress)
    assert not [
        fd
        for fd in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{fd}") and str(tmp_path) in os.readlink(f"/proc/self/fd/{fd}")
    ]


@pytest.mark.skipif(not os.path.ismount("/dev/pts"), reason="nothing is mounted below /dev")
def test_what_is_mounted_below_is_named_and_not_counted() -> None:
    found = counted("/dev")

    assert "pts" in found.mounts
    assert (found.is_whole("pts"), found.is_whole("pts/0"), found.is_whole("null")) == (False, False, True)
    assert found.total == du("/dev")


def test_why_a_sum_is_not_all_is_said(tmp_path: Path) -> None:
    usage: Usage[str] = Usage(
        total=1,
        files=1,
        counted={},
        alone={},
        ties={},
        unreadable=(("x", "permission denied"),) * 10,
        mounts=("m",),
        gone=1,
    )

    with Root.open(str(tmp_path)) as root:
        space = space_of(root, usage, (), ())

    assert space.unreadable == ("x",) * 10
    assert space.differences[-3:] == (
        "nor is what is in 2 more folders, for the like",
        "m is of another file system, and not counted",
        "1 name went away while this was measured",
    )


def test_parts_add_up_and_come_largest_first() -> None:
    parts = [
        Part(title=title, use=Use.OTHER, bytes=size) for title, size in (("a", 1), ("none", 0), ("b", 5), ("c", 5))
    ]

    found = group("all", Use.OTHER, parts)

    assert (found.bytes, [part.title for part in found.parts]) == (11, ["b", "c", "a"])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ""),
        (["a"], "needed by image a"),
        (["a", "b", "c"], "needed by 3 images: a, b, c"),
        (["a", "b", "c", "d"], "needed by 4 images: a, b, c, …"),
    ],
)
def test_who_needs_it_is_said_in_few_words(names: list[str], words: str) -> None:
    assert needed_by("image", names) == words
