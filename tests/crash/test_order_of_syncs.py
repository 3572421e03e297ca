"""A power cut: what a step needs for its undo has reached the disk before the step, and all of it at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orlop.apply import apply, undo
from orlop.fs.writer import System
from orlop.intent import Intent, Remove, Tag
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.records import Key

if TYPE_CHECKING:
    from tests.crash.conftest import SmallStore

INTENTS: dict[str, Intent] = {
    "tag": Tag(image="one", name="new:1"),
    "remove": Remove(keys=(Key("", "one", None),)),
}


class Watchful(System):
    """Knows what was changed and not synced, and refuses to rename a thing of the store while there is any."""

    def __init__(self) -> None:
        self.unsynced: dict[int, str] = {}
        self.steps = 0

    def _changed(self, fd: int) -> None:
        self.unsynced[os.fstat(fd).st_ino] = os.readlink(f"/proc/self/fd/{fd}")

    def create(self, name: str, mode: int, folder: int) -> int:
        fd = super().create(name, mode, folder)
        self._changed(folder)
        self._changed(fd)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        self._changed(fd)
        return super().write(fd, data)

    def fchmod(self, fd: int, mode: int) -> None:
        self._changed(fd)
        super().fchmod(fd, mode)

    def fsync(self, fd: int) -> None:
        self.unsynced.pop(os.fstat(fd).st_ino, None)
        super().fsync(fd)

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        folders = {os.readlink(f"/proc/self/fd/{fd}") for fd in (source_folder, target_folder)}
        if not all("/.orlop" in folder for folder in folders):
            self.steps += 1
            assert self.unsynced == {}, f"before {source} became {target}"
        super().rename(source, source_folder, target, target_folder, replace=replace)
        self._changed(source_folder)
        self._changed(target_folder)

    def link(self, source: str, source_folder: int, target: str, target_folder: int) -> None:
        super().link(source, source_folder, target, target_folder)
        self._changed(target_folder)

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        super().mkdir(name, mode, folder)
        self._changed(folder)

    def unlink(self, name: str, folder: int) -> None:
        super().unlink(name, folder)
        self._changed(folder)


@pytest.mark.parametrize("intent", INTENTS.values(), ids=INTENTS)
def test_no_step_comes_before_what_its_undo_needs_is_on_the_disk(small: SmallStore, intent: Intent) -> None:
    ops = Watchful()
    journal = Journal.of(small.root, ops)
    plan = small.plan(intent)
    assert isinstance(plan, Plan)
    apply(small, plan, journal)
    assert ops.steps == len(plan.steps)
    assert ops.unsynced == {}
    undo(small, journal)
    assert ops.steps == 2 * len(plan.steps)
    assert ops.unsynced == {}
