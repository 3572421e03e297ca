"""``save``: a file that is whole or not there, and never in the store."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from orlop.samples import DataRoot
from tests.cli.conftest import Orlop, Small


def test_an_image_is_saved_and_told(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "app.tar"

    ran = orlop("save", small.path, "postgres:16", "redis:7", "-o", file)

    assert (ran.code, ran.err) == (0, "")
    assert "saved postgres:16 as docker-archive" in ran.out
    assert f"docker load -i {file}" in ran.out
    with tarfile.open(file) as tar:
        listed = tar.extractfile("manifest.json")
        assert listed is not None
        assert [entry["RepoTags"] for entry in json.load(listed)] == [["postgres:16"], ["redis:7"]]
    assert os.listdir(tmp_path) == ["app.tar"]


def test_it_is_one_object_an_image(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "app.tar"

    [one] = orlop("save", small.path, small.images["untagged"][7:19], "-o", file, "--json").objects()

    assert (one["type"], one["form"], one["id"]) == ("saved", "docker-archive", small.images["untagged"])
    assert (one["names"], one["bytes"], one["file"]) == ([], file.stat().st_size, str(file))


def test_the_mode_is_that_of_the_umask(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        orlop("save", small.path, "redis:7", "-o", tmp_path / "app.tar")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "app.tar").stat().st_mode) == 0o640


def test_a_file_is_replaced_only_when_asked(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    file = tmp_path / "app.tar"
    file.write_bytes(b"mine")

    ran = orlop("save", small.path, "redis:7", "-o", file)
    assert (ran.code, file.read_bytes()) == (3, b"mine")
    assert "--force" in ran.err

    assert orlop("save", small.path, "redis:7", "-o", file, "--force").code == 0
    assert tarfile.is_tarfile(file)


def test_what_is_no_file_is_never_replaced(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")

    for name in ("link", "pipe", "."):
        assert orlop("save", small.path, "redis:7", "-o", tmp_path / name, "--force").code == 4
    assert (tmp_path / "target").read_bytes() == b"mine"


def test_it_is_never_written_into_the_store(orlop: Orlop, own: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(own)
    for file in (own / "app.tar", own / "image/app.tar", tmp_path / "elsewhere/app.tar"):
        ran = orlop("save", own, "redis:7", "-o", file)
        assert (ran.code, file.exists()) == (4, False)
        assert "never written into the store" in ran.err


def test_nothing_is_left_where_a_layer_is_damaged(orlop: Orlop, own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    [file] = own.glob("overlay2/*/diff/redis")
    file.write_bytes(b"x")

    ran = orlop("save", own, "postgres:16", "redis:7", "-o", folder / "app.tar")

    assert ran.code == 3
    assert "redis (other bytes)" in ran.err
    assert os.listdir(folder) == []


def test_a_folder_that_is_not_there_is_named(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    ran = orlop("save", small.path, "redis:7", "-o", tmp_path / "no" / "app.tar")

    assert ran.code == 3
    assert "a folder that is there" in ran.err


def test_an_unknown_image_makes_no_file(orlop: Orlop, small: Small, tmp_path: Path) -> None:
    assert orlop("save", small.path, "nothing:1", "-o", tmp_path / "app.tar").code == 3
    assert os.listdir(tmp_path) == []


def test_json_and_the_archive_do_not_share_stdout(orlop: Orlop, small: Small) -> None:
    assert orlop("save", small.path, "redis:7", "-o", "-", "--json").code == 64


ORLOP = [sys.executable, "-m", "orlop_tui"]


def environment() -> dict[str, str]:
    top = Path(__file__).parents[2]
    return os.environ | {"PYTHONPATH": f"{top / 'core'}{os.pathsep}{top / 'tui'}"}


def test_stdout_carries_the_archive_alone(small: Small, orlop: Orlop, tmp_path: Path) -> None:
    argv = [*ORLOP, "save", small.path, "redis:7", "-o", "-"]
    done = subprocess.run(argv, env=environment(), capture_output=True, check=True)

    orlop("save", small.path, "redis:7", "-o", tmp_path / "app.tar")
    assert done.stdout == (tmp_path / "app.tar").read_bytes()
    assert b"saved redis:7" in done.stderr


def test_an_archive_never_goes_to_a_terminal(small: Small) -> None:
    primary, secondary = os.openpty()
    argv = [*ORLOP, "save", small.path, "redis:7", "-o", "-"]
    done = subprocess.run(argv, env=environment(), stdout=secondary, stderr=subprocess.PIPE, check=False)
    os.close(primary)
    os.close(secondary)

    assert done.returncode == 64
    assert b"terminal" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_it_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    root = DataRoot.create(str(tmp_path / "docker"))
    root.image({f"big{n}": os.urandom(1 << 20) * 64 for n in range(4)}, names=("big:1",))
    folder = tmp_path / "out"
    folder.mkdir()
    process = subprocess.Popen([*ORLOP, "save", root.path, "big:1", "-o", str(folder / "app.tar")], env=environment())
    end = time.monotonic() + 30
    while not os.listdir(folder) and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(number)

    assert process.wait(30) in (130, 128 + number)
    assert os.listdir(folder) == []
    shutil.rmtree(root.path)
