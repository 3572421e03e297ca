"""The driver on files: modes and owners, links, temporary files, and being cut off."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.errors import NoSpace, NotFound, OrlopError, StorageFailure, WrongKind
from orlop.fs.writer import System
from orlop.registry.filedriver import FileDriver


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_files_have_their_mode_and_folders_theirs_under_the_umask(tmp_path: Path, umask: None) -> None:
    driver = FileDriver(str(tmp_path))
    driver.put("a/b/put", b"")
    driver.write("a/c/written", 0, [b"x"])
    driver.move("a/c/written", "a/d/moved")

    assert [mode(tmp_path / path) for path in ("a/b/put", "a/d/moved")] == [0o644, 0o644]
    assert [mode(tmp_path / path) for path in ("a", "a/b", "a/c", "a/d")] == [0o750] * 4


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    driver = FileDriver(str(tmp_path))
    driver.put("a", b"old")
    (tmp_path / "a").chmod(0o600)
    driver.put("a", b"new")
    assert mode(tmp_path / "a") == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
def test_what_is_new_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    driver = FileDriver(str(tmp_path))
    driver.put("a/put", b"")
    driver.write("a/b/written", 0, [b"x"])
    for path in ("a", "a/put", "a/b", "a/b/written"):
        found = (tmp_path / path).stat()
        assert (found.st_uid, found.st_gid) == (4711, 4712)


def test_the_root_may_be_a_link_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    FileDriver(str(tmp_path / "link")).put("a", b"x")
    assert (tmp_path / "real/a").read_bytes() == b"x"
    with pytest.raises(NotFound):
        FileDriver(str(tmp_path / "missing")).put("a", b"x")


def test_a_link_is_not_followed_wherever_it_stands(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"kept")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to("../outside/file")
    (root / "folder").symlink_to("../outside")
    (root / "plain").write_bytes(b"kept too")
    driver = FileDriver(str(root))

    for path in ("file", "folder/file"):
        with pytest.raises(WrongKind):
            driver.get(path)
        with pytest.raises(WrongKind):
            driver.reader(path)
        with pytest.raises(WrongKind):
            driver.stat(path)
        with pytest.raises(WrongKind):
            driver.put(path, b"lost")
        with pytest.raises(WrongKind):
            driver.write(path, 0, [b"lost"])
        with pytest.raises(WrongKind):
            driver.move(path, "moved")
        with pytest.raises(WrongKind):
            driver.move("plain", path)
    with pytest.raises(WrongKind):
        driver.names("folder")
    with pytest.raises(WrongKind):
        driver.delete("folder/file")
    driver.delete("folder")
    assert (outside / "file").read_bytes() == b"kept"
    assert sorted(os.listdir(root)) == ["file", "plain"]


def test_a_deleted_tree_takes_links_and_not_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_bytes(b"kept")
    (tmp_path / "root/tree").mkdir(parents=True)
    (tmp_path / "root/tree/link").symlink_to("../../outside")
    FileDriver(str(tmp_path / "root")).delete("tree")
    assert (tmp_path / "outside/file").read_bytes() == b"kept"
    assert os.listdir(tmp_path / "root") == []


def test_a_pipe_is_an_error_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    driver = FileDriver(str(tmp_path))
    with pytest.raises(WrongKind):
        driver.get("pipe")
    with pytest.raises(WrongKind):
        driver.reader("pipe")
    with pytest.raises(WrongKind):
        driver.stat("pipe")
    with pytest.raises(WrongKind):
        driver.write("pipe", 0, [b"x"])
    with pytest.raises(WrongKind):
        driver.put("pipe", b"x")


def test_names_that_no_path_can_name_are_listed(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/a b").touch()
    (tmp_path / "f/\udcff").touch()
    assert FileDriver(str(tmp_path)).names("f") == ("a b", "\udcff")


def test_a_reader_whose_disk_fails_says_so_in_the_cores_own_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 300_000)
    reader = FileDriver(str(tmp_path)).reader("a")
    assert reader.read(1) == b"x"
    gone = os.open("/", os.O_RDONLY)
    os.dup2(gone, reader.fileno())  # reading a folder's descriptor fails as a broken disk does
    os.close(gone)
    with pytest.raises(StorageFailure) as caught:
        reader.read()
    assert caught.value.path == "a"
    reader.close()


# --- cut off -------------------------------------------------------------------


class Failing(System):
    """The n-th call that changes anything fails, and with a kill all that follow."""

    def __init__(self, at: int, error: BaseException, *, lasting: bool) -> None:
        self.left = at
        self.error = error
        self.lasting = lasting

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0 or (self.lasting and self.left < 0):
            raise self.error

    def create(self, name: str, mode: int, folder: int) -> int:
        self._count()
        return super().create(name, mode, folder)

    def write(self, fd: int, data: bytes) -> int:
        self._count()
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._count()

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        self._count()
        super().rename(source, source_folder, target, target_folder, replace=replace)

    def unlink(self, name: str, folder: int) -> None:
        if self.lasting:
            self._count()
        super().unlink(name, folder)


class Killed(BaseException):
    """The end of a process, for a test that goes on in the same one."""


def test_a_put_that_fails_anywhere_leaves_the_old_or_the_new_and_no_temporary_file(tmp_path: Path) -> None:
    for at in range(1, 50):
        (tmp_path / "a").write_bytes(b"old")
        ops = Failing(at, OSError(errno.ENOSPC, "full"), lasting=False)
        try:
            FileDriver(str(tmp_path), ops=ops).put("a", b"new")
        except NoSpace:
            assert (tmp_path / "a").read_bytes() in (b"old", b"new")
            assert os.listdir(tmp_path) == ["a"]
            continue
        assert ops.left > 0
        assert at > 4, "no call failed"
        return
    raise AssertionError("it never ends")


def test_a_put_that_is_killed_leaves_at_most_a_temporary_name_that_the_registry_ignores(tmp_path: Path) -> None:
    seen = set()
    for at in range(1, 50):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "link").write_bytes(b"old")
        try:
            FileDriver(str(folder), ops=Failing(at, Killed(), lasting=True)).put("link", b"new")
        except Killed:
            assert (folder / "link").read_bytes() in (b"old", b"new")
            rest = [name for name in os.listdir(folder) if name != "link"]
            assert all(name.startswith(".tmp-link") for name in rest)
            seen.update(rest)
            continue
        break
    assert seen, "no temporary file was ever left"


def test_a_file_keeps_its_path_or_has_the_other_when_a_move_fails(tmp_path: Path) -> None:
    for at in range(1, 50):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "a").write_bytes(b"new")
        (folder / "b").mkdir()
        (folder / "b/c").write_bytes(b"old")
        try:
            FileDriver(str(folder), ops=Failing(at, OSError(errno.EIO, "broken"), lasting=False)).move("a", "b/c")
        except OrlopError:
            left = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            assert left in ({"a": b"new", "c": b"old"}, {"c": b"new"})
            continue
        assert at > 2
        return
    raise AssertionError("it never ends")


def test_the_moved_bytes_are_on_disk_before_their_name(tmp_path: Path) -> None:
    calls: list[str] = []

    class Noting(System):
        def fsync(self, fd: int) -> None:
            kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
            calls.append(f"fsync {kind}")

        def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
            calls.append("rename")
            super().rename(source, source_folder, target, target_folder, replace=replace)

    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"x")
    FileDriver(str(tmp_path), ops=Noting()).move("a", "b/a")
    assert calls == ["fsync file", "rename", "fsync folder", "fsync folder"]
