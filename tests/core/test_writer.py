"""The one writer: what is there after a success, and that a failure leaves what was there."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.errors import (
    AlreadyExists,
    Changed,
    Escapes,
    NoPermission,
    NoSpace,
    NotFound,
    StorageFailure,
    WrongKind,
)
from orlop.fs import Root
from orlop.fs.writer import System, Writer, missing_folders, temporary_name


class Failing(System):
    """Fails the named call, with the given errno."""

    def __init__(self, call: str, number: int) -> None:
        self.call = call
        self.number = number

    def _maybe(self, call: str) -> None:
        if call == self.call:
            raise OSError(self.number, os.strerror(self.number))

    def write(self, fd: int, data: bytes) -> int:
        if self.call == "write":
            super().write(fd, data[:1])
        self._maybe("write")
        return super().write(fd, data[:3])  # a short write, as the system may make one

    def fsync(self, fd: int) -> None:
        self._maybe("sync of a folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync of a file")
        super().fsync(fd)

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        self._maybe("rename")
        super().rename(source, source_folder, target, target_folder, replace=replace)

    def link(self, source: str, source_folder: int, target: str, target_folder: int) -> None:
        self._maybe("link")
        super().link(source, source_folder, target, target_folder)

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        self._maybe("chown")
        super().fchown(fd, uid, gid)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    folder = tmp_path / "store"
    folder.mkdir()
    with Root.open(str(folder)) as opened:
        yield opened


@pytest.fixture
def writer(root: Root) -> Writer:
    return Writer(root)


def test_a_replaced_file_keeps_its_mode_and_attributes(writer: Writer, root: Root) -> None:
    file = Path(root.path, "f")
    file.write_bytes(b"old")
    file.chmod(0o604)
    try:
        os.setxattr(file, "user.label", b"kept")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    writer.replace("f", b"new", mode=0o600)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    assert os.getxattr(file, "user.label") == b"kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_replaced_file_keeps_its_owner_and_a_new_one_takes_its_folders(writer: Writer, root: Root) -> None:
    file = Path(root.path, "f")
    file.write_bytes(b"old")
    os.chown(file, 1234, 2345)
    os.chown(root.path, 77, 78)
    writer.replace("f", b"new")
    writer.create("g", b"new")
    writer.create_folder("d")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)
    for name in ("g", "d"):
        found = Path(root.path, name).stat()
        assert (found.st_uid, found.st_gid) == (77, 78)


def test_a_new_file_has_its_exact_mode_whatever_the_umask(writer: Writer, root: Root) -> None:
    before = os.umask(0o077)
    try:
        writer.replace("f", b"", mode=0o644)
        writer.create_folder("d", mode=0o755)
    finally:
        os.umask(before)
    assert root.stat("f").mode == 0o644
    assert root.stat("d").mode == 0o755


@pytest.mark.parametrize("call", ["write", "sync of a file", "rename"])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, NoSpace), (errno.EIO, StorageFailure)])
def test_a_failed_replace_leaves_the_old_file_and_nothing_else(
    root: Root, call: str, number: int, error: type[Exception]
) -> None:
    Path(root.path, "f").write_bytes(b"old")
    with pytest.raises(error):
        Writer(root, Failing(call, number)).replace("f", b"new")
    assert root.names("") == ["f"]
    assert root.read("f") == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_whose_owner_cannot_be_kept_is_not_replaced(root: Root) -> None:
    Path(root.path, "f").write_bytes(b"old")
    os.chown(Path(root.path, "f"), 1234, 1234)
    with pytest.raises(NoPermission):
        Writer(root, Failing("chown", errno.EPERM)).replace("f", b"new")
    assert root.read("f") == b"old"
    assert root.names("") == ["f"]


def test_a_link_in_the_place_of_the_file_is_not_replaced_and_not_followed(
    writer: Writer, root: Root, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"other")
    Path(root.path, "f").symlink_to(outside)
    with pytest.raises(WrongKind):
        writer.replace("f", b"new")
    with pytest.raises(AlreadyExists):
        writer.create("f", b"new")
    with pytest.raises((WrongKind, NotFound)):
        writer.append("f", b"new", after=0)
    assert outside.read_bytes() == b"other"
    assert Path(root.path, "f").is_symlink()


def test_a_file_written_anew_has_its_exact_mode_and_replaces_a_link(writer: Writer, root: Root, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"untouched")
    os.symlink(tmp_path / "outside", os.path.join(root.path, "link"))
    writer.create("file", b"old", mode=0o640)
    writer.replace("link", b"new", mode=0o644, anew=True)
    writer.replace("file", b"new", mode=0o644, anew=True)
    assert [(root.stat(name).kind, root.stat(name).mode) for name in ("link", "file")] == [("file", 0o644)] * 2
    assert (tmp_path / "outside").read_bytes() == b"untouched"


def test_the_umask_takes_bits_from_a_folder_only_where_asked(writer: Writer, root: Root) -> None:
    before = os.umask(0o077)
    try:
        writer.create_folders("exact/below", mode=0o755)
        writer.create_folders("masked/below", mode=0o755, masked=True)
    finally:
        os.umask(before)
    assert [root.stat(path).mode for path in ("exact", "exact/below")] == [0o755] * 2
    assert [root.stat(path).mode for path in ("masked", "masked/below")] == [0o700] * 2


def test_a_link_on_the_way_is_not_followed(writer: Writer, root: Root, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Path(root.path, "way").symlink_to(outside)
    for attempt in (
        lambda: writer.create("way/f", b""),
        lambda: writer.create_folder("way/f"),
        lambda: writer.create_folders("way/f/g"),
    ):
        with pytest.raises(WrongKind):
            attempt()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["../f", "/f", "", "a/../../f"])
def test_no_path_leaves_the_root(writer: Writer, path: str) -> None:
    with pytest.raises(Escapes):
        writer.replace(path, b"")


def test_a_pipe_is_neither_opened_nor_replaced(writer: Writer, root: Root) -> None:
    os.mkfifo(Path(root.path, "f"))
    with pytest.raises(WrongKind):
        writer.replace("f", b"new")
    with pytest.raises(WrongKind):
        writer.append("f", b"new", after=0)


def test_a_move_never_overwrites(writer: Writer, root: Root) -> None:
    Path(root.path, "a").write_bytes(b"a")
    Path(root.path, "b").write_bytes(b"b")
    with pytest.raises(AlreadyExists) as error:
        writer.move("a", "b")
    assert error.value.path == "b"
    assert root.read("b") == b"b"
    assert root.read("a") == b"a"


def test_a_move_never_overwrites_where_the_system_cannot_rename_exclusively(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orlop.fs.writer._renameat2", lambda: None)
    Path(root.path, "a").write_bytes(b"a")
    Path(root.path, "b").mkdir()
    writer = Writer(root)
    with pytest.raises(AlreadyExists):
        writer.move("a", "b")
    writer.move("a", "c")
    assert root.names("") == ["b", "c"]


def test_a_move_keeps_the_inode(writer: Writer, root: Root) -> None:
    Path(root.path, "a").mkdir()
    Path(root.path, "to").mkdir()
    inode = root.stat("a").inode
    writer.move("a", "to/b")
    assert root.stat("to/b").inode == inode


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_is_kept_by_a_copy_where_there_are_no_hard_links(root: Root, number: int) -> None:
    file = Path(root.path, "f")
    file.write_bytes(b"x" * 3_000)
    file.chmod(0o640)
    Writer(root, Failing("link", number)).keep("f", "kept")
    assert root.read("kept") == b"x" * 3_000
    assert root.stat("kept").mode == 0o640
    assert root.stat("kept").inode != root.stat("f").inode


def test_an_append_cuts_off_what_was_torn(writer: Writer, root: Root) -> None:
    writer.create("log", b"one\ntorn")
    writer.append("log", b"two\n", after=4)
    assert root.read("log") == b"one\ntwo\n"
    with pytest.raises(Changed):
        writer.append("log", b"three\n", after=9)


@pytest.mark.parametrize("call", ["write", "sync of a file"])
def test_a_failed_append_ends_where_it_began(root: Root, call: str) -> None:
    Writer(root).create("log", b"one\n")
    with pytest.raises(NoSpace):
        Writer(root, Failing(call, errno.ENOSPC)).append("log", b"two\n", after=4)
    assert root.read("log") == b"one\n"


def test_a_tree_of_any_depth_is_removed_with_few_descriptors(writer: Writer, root: Root) -> None:
    here = os.open(root.path, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.mkfifo("pipe", dir_fd=here)
    os.symlink("/", "link", dir_fd=here)
    os.close(here)
    writer.remove_tree("deep")
    assert root.names("") == []


def test_what_a_link_in_a_removed_tree_names_stays(writer: Writer, root: Root, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").touch()
    Path(root.path, "tree").mkdir()
    Path(root.path, "tree/link").symlink_to(outside)
    writer.remove_tree("tree")
    assert (outside / "f").exists()


def test_names_that_are_not_utf_8_are_written_and_moved(writer: Writer, root: Root) -> None:
    name = os.fsdecode(b"caf\xe9")
    writer.replace(name, b"1")
    writer.move(name, name + "\udcff")
    assert os.listdir(os.fsencode(root.path)) == [b"caf\xe9\xff"]


def test_a_temporary_name_is_the_engines_own_and_never_too_long() -> None:
    assert temporary_name("repositories.json").startswith(".tmp-repositories.json")
    assert temporary_name("repositories.json").removeprefix(".tmp-repositories.json").isdigit()
    assert len(os.fsencode(temporary_name("é" * 127))) <= 255


def test_missing_folders_are_listed_topmost_first(root: Root) -> None:
    Path(root.path, "a").mkdir()
    assert missing_folders(root, "a/b/c") == ("a/b", "a/b/c")
    assert missing_folders(root, "a") == ()
    Path(root.path, "file").touch()
    with pytest.raises(WrongKind):
        missing_folders(root, "file/b")


def test_content_may_come_in_pieces_and_is_counted(root: Root) -> None:
    assert Writer(root).create_from("f", (bytes([n]) * 3 for n in range(4)), mode=0o640) == 12
    assert (Path(root.path) / "f").read_bytes() == b"\0\0\0\1\1\1\2\2\2\3\3\3"
    assert stat.S_IMODE((Path(root.path) / "f").stat().st_mode) == 0o640


def test_pieces_that_end_in_an_error_leave_no_file(root: Root) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"some"
        raise Changed("the archive ended early")

    with pytest.raises(Changed):
        Writer(root).create_from("f", pieces())
    assert list(Path(root.path).iterdir()) == []


def test_writing_at_an_offset_keeps_what_lies_around_it(root: Root) -> None:
    writer = Writer(root)
    assert writer.write_at("f", 2, [b"ab", b"c"], mode=0o644) == 3
    assert (Path(root.path) / "f").read_bytes() == b"\0\0abc"
    assert writer.write_at("f", 1, [b"XY"]) == 2
    assert (Path(root.path) / "f").read_bytes() == b"\0XYbc"
    assert stat.S_IMODE((Path(root.path) / "f").stat().st_mode) == 0o644


def test_writing_at_an_offset_follows_no_link(root: Root) -> None:
    (Path(root.path) / "outside").write_bytes(b"kept")
    (Path(root.path) / "f").symlink_to("outside")
    with pytest.raises(WrongKind):
        Writer(root).write_at("f", 0, [b"lost"])
    assert (Path(root.path) / "outside").read_bytes() == b"kept"
