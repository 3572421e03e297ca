"""``snapshot``, and the commands on the file that it writes."""

from pathlib import Path

from tests.cli.conftest import Orlop, Small


def test_commands_say_of_the_file_what_they_say_of_the_store(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "host.gz"

    ran = orlop("snapshot", small.path, "-o", file)

    assert ran.code == 0
    assert f"orlop {file}" in ran.out
    for words in (("ls",), ("check",), ("mappings",), ("remotes",)):
        store, taken = (orlop(words[0], path, *words[1:], "--json") for path in (small.path, file))
        assert (taken.code, taken.out) == (store.code, store.out)
    store, taken = (orlop("show", path, "postgres:16", "--json") for path in (small.path, file))
    assert taken.out == store.out
    assert "tag postgres:16" in orlop("why", file, "postgres:16").out


def test_the_object_counts_what_was_written(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "host.jsonl"

    [one] = orlop("snapshot", small.path, "-o", file, "--json", "--df").objects()

    assert (one["type"], one["file"], one["images"]) == ("snapshot", str(file), 8)
    assert (one["bytes"], one["without"]) == (file.stat().st_size, [])
    assert orlop("df", file, "--json").code == 0


def test_a_snapshot_cannot_be_changed_and_says_so(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "host.gz"
    orlop("snapshot", small.path, "-o", file)
    before = file.read_bytes()

    for words in (("rm", file, "redis:7"), ("tag", file, "redis:7", "other:1"), ("clean", file)):
        ran = orlop(*words, "--yes")
        assert ran.code in (4, 64)
        assert "snapshot" in ran.err
    assert orlop("check", file, "--content").code == 64
    assert orlop("save", file, "redis:7", "-o", tmp_path / "x.tar").code == 64
    assert orlop("undo", file).code != 0
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["host.gz"]


def test_a_damaged_one_is_refused_in_words(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "host.jsonl"
    orlop("snapshot", small.path, "-o", file)
    file.write_bytes(file.read_bytes()[:-40])

    ran = orlop("ls", file)

    assert ran.code == 3
    assert "cut short" in ran.err
    assert str(file) in ran.err


def test_it_is_never_written_into_the_store(orlop: Orlop, own: Path) -> None:
    assert orlop("snapshot", own, "-o", own / "x.gz").code == 4
    assert not (own / "x.gz").exists()
