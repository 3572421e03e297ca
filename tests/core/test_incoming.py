"""Content on its way in: whole or not there, found again after a cut, and gone without a trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop import incoming
from orlop.errors import Locked, Malformed, NotFound, OrlopError
from orlop.fs import Root

NAME = "0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    folder = tmp_path / "store"
    folder.mkdir()
    with Root.open(str(folder)) as opened:
        yield opened


def test_a_file_that_is_whole_is_found_again(root: Root) -> None:
    with incoming.receiving(root, NAME) as first:
        assert first.size("blob") is None
        assert first.put("blob", [b"ab", b"c"], mode=0o644) == 3
    with incoming.receiving(root, NAME) as second:
        assert second.size("blob") == 3
    assert root.read(incoming.path_of(NAME, "blob")) == b"abc"
    assert root.stat(incoming.path_of(NAME, "blob")).mode == 0o644


def test_a_file_that_was_cut_off_is_not_there(root: Root) -> None:
    def torn() -> Iterator[bytes]:
        yield b"ab"
        raise Malformed("the archive ends here")

    with incoming.receiving(root, NAME) as one:
        with pytest.raises(Malformed):
            one.put("blob", torn(), mode=0o644)
        assert one.size("blob") is None
    assert root.names(incoming.path_of(NAME)) == []


def test_an_import_is_whole_only_when_it_was_noted(root: Root) -> None:
    with incoming.receiving(root, NAME) as one:
        one.put("blob", [b"abc"], mode=0o644)
        with pytest.raises(NotFound):
            incoming.noted(root, NAME)
        one.note({"blobs": ["blob"]})
    assert incoming.noted(root, NAME) == {"blobs": ["blob"]}
    assert incoming.waiting(root) == (NAME,)


def test_two_programs_do_not_fill_one_import(root: Root) -> None:
    with incoming.receiving(root, NAME), pytest.raises(Locked), incoming.receiving(root, NAME):
        pass


def test_what_is_discarded_leaves_no_folder(root: Root) -> None:
    with incoming.receiving(root, NAME) as one:
        one.put("blob", [b"abc"], mode=0o644)
    incoming.discard(root, NAME)
    incoming.discard(root, NAME)
    assert root.names("") == []
    assert incoming.waiting(root) == ()


@pytest.mark.parametrize("name", ["..", "", "0123", "../../etc", "0123456789ABCDEF", "0" * 65])
def test_a_name_that_leads_elsewhere_is_refused(root: Root, name: str) -> None:
    with pytest.raises(OrlopError):
        incoming.noted(root, name)
    with pytest.raises(OrlopError), incoming.receiving(root, name):
        pass
    assert root.names("") == []


@pytest.mark.parametrize("file", ["..", "a/b", ".hidden", "x.part", ""])
def test_a_file_name_that_leads_elsewhere_is_refused(root: Root, file: str) -> None:
    with incoming.receiving(root, NAME) as one, pytest.raises(OrlopError):
        one.put(file, [b""], mode=0o600)


def test_a_note_that_is_no_object_is_refused(root: Root) -> None:
    with incoming.receiving(root, NAME):
        Path(root.path, incoming.path_of(NAME), "staged.json").write_bytes(b"[" * 5000)
    with pytest.raises(Malformed):
        incoming.noted(root, NAME)
