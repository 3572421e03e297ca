"""What the library writes in an ACI store has rkt's modes, is whole or not there, and stays in the store."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.errors import Escapes, Locked, NotFound, WrongKind
from orlop.fs import Root
from orlop.rkt import keylocks
from orlop.rkt.files import Files


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    (tmp_path / "cas").mkdir(mode=0o755)
    with Root.open(str(tmp_path / "cas")) as root:
        yield Files(root)


@pytest.fixture
def cas(tmp_path: Path) -> Path:
    return tmp_path / "cas"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_are_0770_under_any_umask(files: Files, cas: Path) -> None:
    umask = os.umask(0o077)
    try:
        files.make_folders("blob/sha512/ab")
    finally:
        os.umask(umask)

    assert [_mode(cas / path) for path in ("blob", "blob/sha512", "blob/sha512/ab")] == [0o770] * 3


def test_the_set_group_id_bit_is_passed_on(files: Files, cas: Path) -> None:
    cas.chmod(0o2770)

    files.make_folders("blob/sha512")

    assert [_mode(cas / path) for path in ("blob", "blob/sha512")] == [0o2770] * 2


def test_a_temporary_file_is_for_its_owner_only_and_gone_after_a_failure(files: Files, cas: Path) -> None:
    def torn() -> Iterator[bytes]:
        yield b"begun"
        raise NotFound("the source is gone")

    path = files.temporary((b"one", b"two"))

    assert (cas / path).read_bytes() == b"onetwo"
    assert _mode(cas / path) == 0o600
    with pytest.raises(NotFound, match="source"):
        files.temporary(torn())
    assert os.listdir(cas / "tmp") == [path.removeprefix("tmp/")]


def test_what_cannot_be_placed_is_not_left_in_tmp(files: Files, cas: Path) -> None:
    (cas / "blob" / "key").mkdir(parents=True)

    with pytest.raises(WrongKind):
        files.write("blob/key", b"image", mode=0o600)

    assert os.listdir(cas / "tmp") == []


def test_writing_replaces_whole_and_sets_the_mode(files: Files, cas: Path) -> None:
    files.write("a/b", b"first", mode=0o600)
    files.write("a/b", b"second", mode=0o660)

    assert (cas / "a/b").read_bytes() == b"second"
    assert _mode(cas / "a/b") == 0o660


def test_erasing_takes_the_folders_that_become_empty_and_no_other(files: Files, cas: Path) -> None:
    files.write("blob/sha512/ab/one", b"", mode=0o600)
    files.write("blob/sha512/cd/two", b"", mode=0o600)
    (cas / "blob/sha512/cd/.hidden").touch()

    files.erase("blob/sha512/ab/one", keep="blob")
    files.erase("blob/sha512/cd/two", keep="blob")

    assert os.listdir(cas / "blob/sha512") == ["cd"]
    (cas / "blob/sha512/cd/.hidden").unlink()
    files.prune("blob/sha512/cd", keep="blob")
    assert os.listdir(cas / "blob") == []


def test_a_named_temporary_file_is_gone_on_with(files: Files, cas: Path) -> None:
    with files.named("partial") as file:
        file.write(b"one")
    with files.named("partial") as file:
        assert file.tell() == 3
        file.write(b"two")

    assert (cas / "tmp/partial").read_bytes() == b"onetwo"
    with pytest.raises(NotFound):
        files.named("a/b")
    with pytest.raises(Escapes):
        files.named("../escaped")


def test_a_link_or_device_in_the_place_of_a_named_file_is_not_opened(files: Files, cas: Path) -> None:
    (cas / "tmp").mkdir()
    (cas / "tmp/link").symlink_to("/etc/hostname")
    os.mkfifo(cas / "tmp/pipe")

    for name in ("link", "pipe"):
        with pytest.raises(WrongKind):
            files.named(name)


def test_shared_locks_go_together_and_an_exclusive_one_alone(files: Files, cas: Path) -> None:
    root = files.root
    files.create("lock", mode=0o660)

    with (
        keylocks.locked(root, "lock", exclusive=False),
        keylocks.locked(root, "lock", exclusive=False),
        pytest.raises(Locked, match="in use"),
        keylocks.locked(root, "lock", exclusive=True, patience=0),
    ):
        raise AssertionError
    with keylocks.locked(root, "", exclusive=True, patience=0), keylocks.locked(root, "lock", exclusive=True):
        pass


def test_a_lock_on_a_file_that_was_replaced_is_taken_again(files: Files, cas: Path) -> None:
    files.create("lock", mode=0o660)
    (cas / "other").touch()

    with Root.open(str(cas)) as root:
        real = root.stat
        seen: list[str] = []

        def replacing(path: str) -> object:
            if not seen:  # between the lock and the look at the path
                os.replace(cas / "other", cas / "lock")
            seen.append(path)
            return real(path)

        root.stat = replacing  # type: ignore[method-assign,assignment]
        fd = keylocks.acquire(root, "lock", exclusive=True)
        try:
            assert os.path.samestat(os.fstat(fd), os.stat(cas / "lock"))
        finally:
            keylocks.release(fd)
