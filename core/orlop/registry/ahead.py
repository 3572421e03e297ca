"""Reading ahead: where the disk is slow to answer, several threads ask it for what one reader will want next.

A store of many small files costs a visit to the disk for each, one after the other,
unless the system has them in memory. Disks and networks answer many questions in the
time of one. The threads here look at every folder and small file and throw away what
they see: the reader then finds it in memory, or meets them on the way. They begin only
when the reader has waited for the disk for a while, not for a core, and end when no
more comes from it: a store in memory is read faster alone.
"""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from orlop.errors import OrlopError
from orlop.fs import Folder, Root

WORKERS = 8
"""More do not make it faster: measured on a virtual disk, 92 s alone, 33 s with 8, 31 s with 32."""
_LOOK = 0.5
"""Seconds between two looks at what the reader does."""
_LOOKS = 2
"""Looks in turn that must find it waiting."""
_WAITING = 0.3
"""Share of the time that a reader must wait for a disk; what the system does for it meanwhile is work."""
_LITTLE = 256 * 1024
"""Bytes from the disk between two looks, below which all is in memory and nothing is won."""
_SMALL = 64 * 1024
"""Bytes of the largest file that is read; layers are only looked at."""
_DIGEST = 64
"""Characters of a folder's name from which on it is a digest, whose few files are looked at at once."""
_PROCESS = "/proc/self/io"
_MOST = 4_000_000
"""Folders and files that are looked at; a hostile tree has no end."""


class Ahead:
    """Reads ahead of the thread that enters it, until that leaves.

    Args:
        root: the store.
        paths: folders, in the order in which they will be read whole; what is below them is taken by its names.
    """

    def __init__(self, root: Root, paths: Sequence[str]) -> None:
        self._root = root
        self._waiting = list(reversed(paths))
        self._news = threading.Condition()
        self._working = 0
        self._looked = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        if not os.path.exists(_PROCESS):
            return self  # no system that tells a reader that waits from one that works
        watch = threading.Thread(target=self._watch, args=(_Reader(),), name="read-ahead", daemon=True)
        self._threads.append(watch)
        watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._news:
            self._news.notify_all()
        for thread in self._threads:  # the first may still begin others
            thread.join()

    def start(self) -> None:
        """Begin without waiting for signs of a slow disk."""
        for number in range(WORKERS):
            thread = threading.Thread(target=self._work, name=f"read-ahead-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _watch(self, reader: "_Reader") -> None:
        looks = 0
        while looks < _LOOKS:
            if self._over.wait(_LOOK):
                return
            looks = looks + 1 if reader.waits() else 0
        self.start()
        before = _fetched(_PROCESS)
        while not self._over.wait(_LOOK):
            now = _fetched(_PROCESS)
            if 0 <= now - before < _LITTLE:
                self._over.set()
                with self._news:
                    self._news.notify_all()
            before = now

    # --- the threads -----------------------------------------------------------

    def _work(self) -> None:
        while (path := self._next()) is not None:
            with contextlib.suppress(OrlopError):  # the reader comes to it, and tells
                self._look_into(path)
            with self._news:
                self._working -= 1
                self._news.notify_all()

    def _next(self) -> str | None:
        with self._news:
            while not self._over.is_set() and self._looked < _MOST:
                if self._waiting:
                    self._working += 1
                    return self._waiting.pop()
                if not self._working:
                    break
                self._news.wait()
            self._news.notify_all()
            return None

    def _look_into(self, path: str) -> None:
        below: list[str] = []
        with self._root.folder(path) as folder:
            for name, kind in folder.kinds():
                if self._over.is_set():
                    return
                if kind == "file":
                    self._peek(folder, name)
                elif kind == "folder" and len(name) >= _DIGEST:
                    below += self._leaf(folder, name)
                elif kind == "folder":
                    below.append(f"{path}/{name}")
        if below:
            with self._news:
                self._waiting.extend(reversed(below))
                self._news.notify_all()

    def _leaf(self, above: Folder, name: str) -> list[str]:
        """Look at a digest's folder; gives the folders in it."""
        below: list[str] = []
        with contextlib.suppress(OrlopError), above.folder(name) as folder:
            for inner, kind in folder.kinds():
                if kind == "file":
                    self._peek(folder, inner)
                elif kind == "folder":
                    below.append(f"{folder.path}/{inner}")
        self._looked += 1
        return below

    def _peek(self, folder: Folder, name: str) -> None:
        self._looked += 1
        with contextlib.suppress(OrlopError):  # a large one, or one that went away
            folder.read(name, _SMALL)


class _Reader:
    """What the thread that made it does: whether it works, waits for a core, or waits for a disk."""

    def __init__(self) -> None:
        here = f"/proc/self/task/{threading.get_native_id()}"
        self._io = f"{here}/io"
        self._times = f"{here}/schedstat"
        self._before = self._now()

    def _now(self) -> tuple[float, float, int]:
        """The time, seconds spent working or waiting for a core, bytes from the disk."""
        try:
            with open(self._times, "rb") as file:
                worked, queued, _ = (int(number) for number in file.read().split())
        except (OSError, ValueError):
            return time.monotonic(), 0.0, 0  # nothing can be told: no bytes ever come
        return time.monotonic(), (worked + queued) / 1e9, _fetched(self._io)

    def waits(self) -> bool:
        """Whether it waited for a disk for most of the time since the last question."""
        before, self._before = self._before, self._now()
        wall, busy, fetched = (now - then for now, then in zip(self._before, before, strict=True))
        return fetched > 0 and wall - busy > wall * _WAITING


def _fetched(path: str) -> int:
    """Bytes that a thread or process got from a disk or network so far (proc(5), ``io``); -1 where that is not told."""
    try:
        with open(path, "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"read_bytes:")), -1)
    except (OSError, ValueError):
        return -1
