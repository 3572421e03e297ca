"""What every storage driver of a registry does: the one in memory, and the one on files."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from orlop.errors import Changed, Escapes, NotFound, OrlopError, TooLarge, WrongKind
from orlop.fs.writer import System
from orlop.registry.driver import Driver
from orlop.registry.filedriver import FileDriver
from orlop.registry.memorydriver import MemoryDriver
from tests.examples import examples


class Unsynced(System):
    """Waits for no disk: what is looked at here is what programs see."""

    def fsync(self, fd: int) -> None:
        return None


@pytest.fixture(params=["memory", "files"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return MemoryDriver() if request.param == "memory" else FileDriver(str(tmp_path), ops=Unsynced())


def whole(driver: Driver, path: str, offset: int = 0) -> bytes:
    with driver.reader(path, offset) as stream:
        return stream.read()


# --- whole files -------------------------------------------------------------


def test_what_was_put_is_got_and_read(driver: Driver) -> None:
    driver.put("a/b/c", b"content")

    assert driver.get("a/b/c") == b"content"
    assert whole(driver, "a/b/c") == b"content"
    assert driver.stat("a/b/c").size == 7


def test_a_put_replaces_the_whole_file(driver: Driver) -> None:
    driver.put("a", b"a long old content")
    driver.put("a", b"new")
    assert driver.get("a") == b"new"
    driver.put("a", b"")
    assert driver.get("a") == b""


def test_a_reader_goes_on_reading_the_file_that_a_put_replaces(driver: Driver) -> None:
    driver.put("a", b"old" * 100_000)
    with driver.reader("a") as stream:
        driver.put("a", b"new")
        assert stream.read() == b"old" * 100_000


def test_no_more_than_the_limit_is_got(driver: Driver) -> None:
    driver.put("a", b"12345")

    assert driver.get("a", 5) == b"12345"
    with pytest.raises(TooLarge) as caught:
        driver.get("a", 4)
    assert (caught.value.size, caught.value.limit) == (5, 4)


def test_what_is_missing_is_not_found(driver: Driver) -> None:
    driver.put("there/file", b"")
    for path in ("missing", "there/missing", "missing/below"):
        for look in (driver.get, driver.reader, driver.stat, driver.names, driver.delete):
            with pytest.raises(NotFound):
                look(path)
        with pytest.raises(NotFound):
            driver.move(path, "elsewhere")


def test_a_folder_is_no_file(driver: Driver) -> None:
    driver.put("folder/file", b"kept")

    with pytest.raises(WrongKind):
        driver.get("folder")
    with pytest.raises(WrongKind):
        driver.reader("folder")
    with pytest.raises(WrongKind):
        driver.put("folder", b"")
    with pytest.raises(WrongKind):
        driver.write("folder", 0, [b"x"])
    with pytest.raises(WrongKind):
        driver.move("folder", "other")
    driver.put("file", b"")
    with pytest.raises(WrongKind):
        driver.move("file", "folder")
    assert driver.get("folder/file") == b"kept"
    assert driver.get("file") == b""


def test_a_file_is_no_folder(driver: Driver) -> None:
    driver.put("file", b"kept")
    driver.put("other", b"kept too")

    for look in (driver.get, driver.reader, driver.stat, driver.names, driver.delete):
        with pytest.raises(WrongKind):
            look("file/below")
    with pytest.raises(WrongKind):
        driver.names("file")
    with pytest.raises(WrongKind):
        driver.put("file/below/deeper", b"")
    with pytest.raises(WrongKind):
        driver.write("file/below", 0, [b"x"])
    with pytest.raises(WrongKind):
        driver.move("other", "file/below")
    assert driver.get("file") == b"kept"
    assert driver.get("other") == b"kept too"


# --- at an offset --------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "rest"), [(0, b"0123456789"), (3, b"3456789"), (9, b"9"), (10, b""), (11, b""), (10**12, b"")]
)
def test_reading_begins_at_an_offset(driver: Driver, offset: int, rest: bytes) -> None:
    driver.put("a", b"0123456789")
    assert whole(driver, "a", offset) == rest


def test_a_reader_reads_in_pieces(driver: Driver) -> None:
    driver.put("a", b"0123456789" * 50_000)
    with driver.reader("a", 5) as stream:
        assert stream.read(7) == b"5678901"
        assert stream.read(300_000) == (b"0123456789" * 50_000)[12:300_012]
    assert stream.closed


def test_writing_makes_a_file_and_goes_on_in_it(driver: Driver) -> None:
    assert driver.write("a/b", 0, [b"one ", b"two "]) == 8
    assert driver.write("a/b", 8, [b"three"]) == 5
    assert driver.get("a/b") == b"one two three"


def test_writing_into_the_middle_keeps_what_lies_around(driver: Driver) -> None:
    driver.put("a", b"0123456789")
    assert driver.write("a", 3, [b"ab", b"", b"c"]) == 3
    assert driver.get("a") == b"012abc6789"
    assert driver.write("a", 8, [b"tail"]) == 4
    assert driver.get("a") == b"012abc67tail"


def test_a_gap_reads_as_zeros(driver: Driver) -> None:
    driver.put("a", b"ab")
    driver.write("a", 5, [b"c"])
    assert driver.get("a") == b"ab\0\0\0c"


def test_writing_nothing_makes_an_empty_file_and_no_gap(driver: Driver) -> None:
    assert driver.write("a", 5, []) == 0
    assert driver.write("b", 5, [b""]) == 0
    assert (driver.get("a"), driver.get("b")) == (b"", b"")
    driver.put("a", b"kept")
    driver.write("a", 9, [])
    assert driver.get("a") == b"kept"


def test_what_was_asked_of_the_chunks_is_written_when_they_fail(driver: Driver) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        raise Changed("the source went away")

    with pytest.raises(Changed):
        driver.write("a", 0, chunks())
    assert driver.get("a") == b"onetwo"


# --- stat ----------------------------------------------------------------------


def test_a_file_is_told_from_a_folder(driver: Driver) -> None:
    driver.put("folder/file", b"12345")

    file, folder = driver.stat("folder/file"), driver.stat("folder")
    assert (file.path, file.size, file.folder) == ("folder/file", 5, False)
    assert (folder.path, folder.size, folder.folder, folder.version) == ("folder", 0, True, "")
    assert file.version


def test_the_version_differs_with_every_change_and_with_no_reading(driver: Driver) -> None:
    seen = []
    changes: list[Callable[[], object]] = [
        lambda: driver.put("a", b"same size"),
        lambda: driver.put("a", b"same size"),
        lambda: driver.write("a", 9, [b"more"]),
        lambda: driver.move("b", "a"),
    ]
    driver.put("b", b"same size")
    for change in changes:
        change()
        version = driver.stat("a").version
        whole(driver, "a")
        driver.get("a")
        assert driver.stat("a").version == version
        seen.append(version)
    assert len(set(seen)) == len(changes)


# --- names, move, delete ---------------------------------------------------------


def test_names_are_those_directly_below_sorted(driver: Driver) -> None:
    for path in ("f/b", "f/a/deep/er", "f/B", "f/10", "f/9", "f.x", "f/.hidden"):
        driver.put(path, b"")
    assert driver.names("f") == (".hidden", "10", "9", "B", "a", "b")
    assert driver.names("f/a") == ("deep",)


def test_a_moved_file_has_the_other_path_only(driver: Driver) -> None:
    driver.put("from/a", b"content")
    driver.move("from/a", "to/deep/b")

    assert driver.get("to/deep/b") == b"content"
    with pytest.raises(NotFound):
        driver.stat("from/a")


def test_a_moved_file_replaces_the_one_at_its_target(driver: Driver) -> None:
    driver.put("a", b"new")
    driver.put("b", b"old and longer")
    driver.move("a", "b")
    assert driver.get("b") == b"new"
    driver.move("b", "b")
    assert driver.get("b") == b"new"


def test_a_deleted_folder_goes_with_all_below_it_and_nothing_beside_it(driver: Driver) -> None:
    for path in ("a/b/c", "a/b/d/e", "a/bb", "ab"):
        driver.put(path, b"")
    driver.delete("a/b")

    assert driver.names("a") == ("bb",)
    assert driver.get("ab") == b""
    driver.delete("a/bb")
    with pytest.raises(NotFound):
        driver.delete("a/bb")
    with contextlib.suppress(NotFound):  # a folder that nothing lies in may be there or not
        assert driver.names("a") == ()


def test_deep_trees_go_as_well(driver: Driver) -> None:
    driver.put("top/" + "/".join(["d"] * 100) + "/file", b"")
    driver.delete("top")
    with pytest.raises(NotFound):
        driver.stat("top")


# --- refused --------------------------------------------------------------------

HOSTILE = (
    "",
    "/",
    "/etc/passwd",
    "..",
    "../outside",
    "a/../../outside",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "a b",
    "a\n",
    "a\0b",
    "a\\b",
    "ä",
    "\udcff",
    "a:b",
    "~",
    "*",
)


@pytest.mark.parametrize("path", HOSTILE)
def test_paths_outside_the_grammar_are_refused_before_anything_is_touched(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").write_bytes(b"kept")
    (tmp_path / "root/a").mkdir(parents=True)
    drivers: tuple[Driver, ...] = (MemoryDriver(), FileDriver(str(tmp_path / "root")))
    calls: list[Callable[[Driver], object]] = [
        lambda driver: driver.get(path),
        lambda driver: driver.put(path, b"x"),
        lambda driver: driver.reader(path),
        lambda driver: driver.write(path, 0, [b"x"]),
        lambda driver: driver.stat(path),
        lambda driver: driver.names(path),
        lambda driver: driver.move(path, "target"),
        lambda driver: driver.move("a/file", path),
        lambda driver: driver.delete(path),
    ]
    for driver in drivers:
        driver.put("a/file", b"")
        for call in calls:
            with pytest.raises(Escapes):
                call(driver)
        assert driver.names("a") == ("file",)
    assert (tmp_path / "outside").read_bytes() == b"kept"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "file", "outside", "root"]


def test_an_offset_before_the_beginning_is_refused(driver: Driver) -> None:
    driver.put("a", b"kept")
    with pytest.raises(Escapes):
        driver.reader("a", -1)
    with pytest.raises(Escapes):
        driver.write("a", -1, [b"x"])
    with pytest.raises(Escapes):
        driver.write("b", -1, [b"x"])
    assert driver.get("a") == b"kept"
    with pytest.raises(NotFound):
        driver.stat("b")


# --- one like the other ------------------------------------------------------------

Answer: TypeAlias = "tuple[str, object]"
FILES = st.sampled_from(["f", "a/f", "a/g", "a/b/f", "c/f"])  # of a name that is a file's, no folder is ever made
FOLDERS = st.sampled_from(["a", "a/b", "c"])
CONTENT = st.binary(max_size=6)


class OneLikeTheOther(RuleBasedStateMachine):
    """The same calls, one after the other, have the same answers and leave the same files."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.memory: Driver = MemoryDriver()
        self.files: Driver = FileDriver(self.folder.name, ops=Unsynced())

    def teardown(self) -> None:
        self.folder.cleanup()

    def both(self, call: Callable[[Driver], object]) -> None:
        assert answer(lambda: call(self.files)) == answer(lambda: call(self.memory))

    @rule(path=FILES, content=CONTENT)
    def put(self, path: str, content: bytes) -> None:
        self.both(lambda driver: driver.put(path, content))

    @rule(path=FILES, offset=st.integers(0, 9), chunks=st.lists(CONTENT, max_size=3))
    def write(self, path: str, offset: int, chunks: list[bytes]) -> None:
        self.both(lambda driver: driver.write(path, offset, chunks))

    @rule(source=FILES, other=FILES)
    def move(self, source: str, other: str) -> None:
        self.both(lambda driver: driver.move(source, other))

    @rule(path=FILES)
    def delete(self, path: str) -> None:
        self.both(lambda driver: driver.delete(path))

    @precondition(lambda self: any(files_below(self.memory, folder) for folder in ("a", "c")))
    @rule(path=FOLDERS)
    def delete_folder(self, path: str) -> None:
        for driver in (self.memory, self.files):
            with contextlib.suppress(NotFound):  # whether an empty folder is there is left open
                driver.delete(path)

    @rule(path=FILES, offset=st.integers(0, 9))
    def read(self, path: str, offset: int) -> None:
        self.both(lambda driver: whole(driver, path, offset))

    @rule(path=FILES, limit=st.integers(0, 9))
    def get(self, path: str, limit: int) -> None:
        self.both(lambda driver: driver.get(path, limit))

    @invariant()
    def the_same_files_are_there(self) -> None:
        assert files_below(self.files, "a") == files_below(self.memory, "a")
        assert files_below(self.files, "c") == files_below(self.memory, "c")
        self.both(lambda driver: driver.get("f"))


def answer(call: Callable[[], object]) -> Answer:
    try:
        return "ok", call()
    except OrlopError as error:
        return type(error).__name__, getattr(error, "found", None)


def files_below(driver: Driver, folder: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        names = driver.names(folder)
    except NotFound:
        return found
    for name in names:
        path = f"{folder}/{name}"
        if driver.stat(path).folder:
            found.update(files_below(driver, path))
        else:
            found[path] = driver.get(path)
    return found


def test_the_two_drivers_answer_alike_whatever_is_asked_of_them() -> None:
    run_state_machine_as_test(
        OneLikeTheOther,
        settings=settings(
            max_examples=examples(0.25),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            database=None,
        ),
    )
