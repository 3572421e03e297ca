"""What is remembered of a store survives sessions, other sessions, and damage of the memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orlop_tui.remembered import Remembered, Sorting

BY_SIZE = Sorting(column="own", backwards=True)


def test_what_was_kept_is_known_in_the_next_session(tmp_path: Path) -> None:
    folder = str(tmp_path / "state" / "orlop")
    assert Remembered(folder).sorting("docker-1") is None
    assert Remembered(folder).keep("docker-1", BY_SIZE)
    assert Remembered(folder).sorting("docker-1") == BY_SIZE
    assert Remembered(folder).sorting("docker-2") is None


def test_a_filter_is_kept_and_a_memory_without_one_is_read(tmp_path: Path) -> None:
    filtered = Sorting(column="own", backwards=False, filter="repo:acme !state:linked")
    assert Remembered(str(tmp_path)).keep("docker-1", filtered)
    assert Remembered(str(tmp_path)).sorting("docker-1") == filtered
    (tmp_path / "sorting.json").write_text('{"docker-1": ["own", true]}')
    assert Remembered(str(tmp_path)).sorting("docker-1") == BY_SIZE


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"[]", b'{"docker-1":5}', b'{"docker-1":["own"]}', b'{"docker-1":["own",true,"\\u001b]0;x"]}', b"\xff"],
)
def test_a_damaged_memory_is_no_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sorting.json").write_bytes(content)
    memory = Remembered(str(tmp_path))
    assert memory.sorting("docker-1") is None
    assert memory.keep("docker-1", BY_SIZE)
    assert memory.sorting("docker-1") == BY_SIZE


def test_only_the_newest_stores_are_remembered(tmp_path: Path) -> None:
    known = {f"docker-{number}": ["own", True] for number in range(200)}
    (tmp_path / "sorting.json").write_text(json.dumps(known))
    Remembered(str(tmp_path)).keep("docker-200", BY_SIZE)
    memory = Remembered(str(tmp_path))
    assert memory.sorting("docker-0") is None
    assert memory.sorting("docker-1") == memory.sorting("docker-200") == BY_SIZE


def test_a_folder_that_cannot_be_made_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file")
    assert not Remembered(str(tmp_path / "state" / "orlop")).keep("docker-1", BY_SIZE)


def test_sessions_beside_each_other_lose_nothing(tmp_path: Path) -> None:
    program = """
import sys
from orlop_tui.remembered import Remembered, Sorting

for number in range(10):
    assert Remembered(sys.argv[1]).keep(f"{sys.argv[2]}-{number}", Sorting(column="own", backwards=True))
"""
    paths = os.pathsep.join(sys.path)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number)], env=os.environ | {"PYTHONPATH": paths}
        )
        for number in range(3)
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    memory = Remembered(str(tmp_path))
    assert all(memory.sorting(f"{session}-{number}") for session in range(3) for number in range(10))
