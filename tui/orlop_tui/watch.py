"""Noticing that a store changed: kernel events as hints, and a slow poll that misses nothing.

Events never say what is in the store: they name paths, and the store reads those
again. The folders that matter are watched one by one and not recursively: a
recursive watch takes one inotify watch per folder, holds the interpreter while it
is set up, and one folder that may not be read makes the whole of it fail. Beside
it a poll compares the times of the same few folders, so that a lost event, a
network file system, an unreadable folder or a replaced root are noticed as well.
"""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

POLL = 5.0
"""Seconds between two looks at the folders' times."""
TICK = 0.1
"""Seconds between two looks at the root itself: has it gone, is it another folder?"""
DEBOUNCE = 100
"""Milliseconds over which events are gathered at most."""
STEP = 25
"""Milliseconds without a further event after which they are handed on."""
BURST = 512
"""Events in one batch from which on their folders are handed on instead."""
AGAIN = 1.0
"""Seconds after which a new folder is handed on once more: what is put into it later gives no event."""

Stamp: TypeAlias = tuple[int, int, int, int]
LOG = logging.getLogger("orlop.watch")


class Watch:
    """Watches one store in a thread of its own, until stopped.

    All callbacks come from that thread, one at a time; while one runs, further
    events are gathered. None of them may raise.

    Args:
        root: absolute path of the store's root.
        identity: device and inode of the root that the store has open.
        folders: gives the folders to watch, relative to the root; asked again after every change.
        changed: told the paths, relative to the root, that may have changed.
        replaced: told that another folder lies at `root`; answers its device and inode once the
            store was opened anew, or None where that did not work, and is then asked again later.
        polled: called at each slow poll that found nothing, for what no folder's time tells.
        state: told how changes are noticed: ``live``, ``live, 2 folders by poll``, ``poll 5 s``, ``STALE: …``.
        since: nanoseconds since 1970 when the store's first read began; what changed later is handed on at once.
        poll: seconds between two looks at the folders' times.
    """

    def __init__(
        self,
        root: str,
        identity: tuple[int, int],
        folders: Callable[[], Sequence[str]],
        *,
        changed: Callable[[frozenset[str]], None],
        replaced: Callable[[], tuple[int, int] | None],
        state: Callable[[str], None],
        polled: Callable[[], None] = lambda: None,
        since: int = 0,
        poll: float = POLL,
    ) -> None:
        self._root = root
        self._identity = identity
        self._folders = folders
        self._changed = changed
        self._replaced = replaced
        self._state = state
        self._no_change = polled
        self._since = since
        self._poll = poll
        self._stamps: dict[str, Stamp] | None = None
        self._again: dict[str, float] = {}
        self._polled = 0.0
        self._said = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orlop-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> bool:
        """End the thread; False where it did not end in `timeout` seconds."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._root_is_there():
                    self._follow()
            except Exception:
                # A fault in here must not end the watching: the poll goes on.
                LOG.exception("watching %r", self._root)
                self._say("STALE: watching failed, it is tried again")
                self._stopped.wait(self._poll)

    # --- the root itself

    def _root_is_there(self) -> bool:
        """Whether the store's own folder is at its path, opening it anew where another one is."""
        try:
            found = _identity(os.stat(self._root))
        except OSError as error:
            self._say(f"STALE: the store's folder is gone ({os.strerror(error.errno or 0)})")
            self._stopped.wait(min(0.25, self._poll))
            return False
        if found == self._identity:
            return True
        identity = self._replaced()
        if identity is None:
            self._say("STALE: another folder is in the store's place, and no store can be read in it")
            self._stopped.wait(min(1.0, self._poll))
            return False
        self._identity = identity
        self._stamps = None
        self._since = 0
        return identity == found

    def _same_root(self) -> bool:
        try:
            return _identity(os.stat(self._root)) == self._identity
        except OSError:
            return False

    # --- following the folders

    def _follow(self) -> None:
        """Watch the folders as they are now, until they are other ones or the root is."""
        folders = tuple(self._folders())
        armed, deaf = self._readable(folders)
        try:
            self._listen(folders, armed, deaf)
        except FileNotFoundError:
            self._stopped.wait(0.05)  # a folder went between the look and the watch
        except OSError as error:  # no more inotify watches, or none at all on this system
            if not self._said.startswith("poll"):
                LOG.warning("no events for %r: %s", self._root, error)
            self._poll_only(folders)

    def _listen(self, folders: tuple[str, ...], armed: Mapping[str, tuple[int, int]], deaf: int) -> None:
        import watchfiles  # takes as long as all of our own modules: not before the first paint

        batches = watchfiles.watch(
            *(self._absolute(folder) for folder in armed),
            watch_filter=None,
            debounce=DEBOUNCE,
            step=STEP,
            stop_event=self._stopped,
            rust_timeout=int(min(TICK, self._poll) * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
            force_polling=False,
        )
        quiet = f"live, {deaf} folder{'s' if deaf > 1 else ''} by poll" if deaf else "live"
        # The generator sets the watches up in its first step. What changed before that is found
        # by comparing times, once now and then at every poll.
        self._polled = 0.0
        for batch in batches:
            if not self._same_root():
                return
            named = {self._relative(path) for _, path in batch}
            looked = self._hand_on(self._hints(named), folders)
            self._say(quiet)
            if not looked:
                continue
            # A folder that was deleted and made again may have its old inode number: then only the event tells.
            if named & armed.keys() or tuple(self._folders()) != folders or self._readable(folders)[0] != armed:
                return

    def _poll_only(self, folders: tuple[str, ...]) -> None:
        self._hand_on(frozenset(), folders)
        self._say(f"poll {self._poll:g} s")
        deadline = time.monotonic() + self._poll
        while time.monotonic() < deadline and self._same_root():
            if self._stopped.wait(min(TICK, self._poll)):
                return

    def _readable(self, folders: Iterable[str]) -> tuple[dict[str, tuple[int, int]], int]:
        """The folders that can be watched, with their identities, the root first; and how many cannot."""
        armed: dict[str, tuple[int, int]] = {}
        deaf = 0
        for folder in dict.fromkeys(("", *folders)):
            try:
                fd = os.open(self._absolute(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError:
                deaf += 1
                continue
            try:
                armed[folder] = _identity(os.fstat(fd))
            finally:
                os.close(fd)
        return armed, deaf

    # --- what may have changed

    def _hand_on(self, hints: frozenset[str], folders: Iterable[str]) -> bool:
        """Tell what events named, and the folders whose times say more; False where there was nothing to look at."""
        now = time.monotonic()
        if not hints and now - self._polled < self._poll:
            return False
        self._polled = now
        hints |= self._restamped(folders) - hints - {_parent(hint) for hint in hints}
        if hints:
            self._changed(hints)
        else:
            self._no_change()
        return True

    def _restamped(self, folders: Iterable[str]) -> frozenset[str]:
        """The folders whose time or identity is another one than at the last look."""
        stamps: dict[str, Stamp] = {}
        for folder in folders:
            try:
                found = os.stat(self._absolute(folder), follow_symlinks=False)
            except OSError:
                continue
            stamps[folder] = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        before, self._stamps = self._stamps, stamps
        if before is None:
            # File times come from the kernel's coarse clock: a second of grace.
            return frozenset(name for name, stamp in stamps.items() if self._since and stamp[3] >= self._since - 10**9)
        return frozenset(name for name in stamps.keys() | before.keys() if stamps.get(name) != before.get(name))

    def _hints(self, named: set[str]) -> frozenset[str]:
        """What to hand on for the paths that events named; a burst becomes the folders that it happened in."""
        hints = named - {""}
        if len(hints) > BURST:
            hints = {_parent(hint) for hint in hints}
        # The kernel's bytes reach Python decoded with losses: such a name cannot be looked up again.
        hints = {_parent(hint) if "\ufffd" in hint else hint for hint in hints}
        now = time.monotonic()
        due = {hint for hint, at in self._again.items() if at <= now}
        self._again = {hint: at for hint, at in self._again.items() if at > now}
        self._again.update((hint, now + AGAIN) for hint in hints if self._is_folder(hint))
        return frozenset(hints | due)

    def _is_folder(self, hint: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(self._absolute(hint), follow_symlinks=False).st_mode)
        except OSError:
            return False

    def _relative(self, path: str) -> str:
        if not path.startswith(self._root):
            return ""
        return path[len(self._root) :].strip("/")

    def _absolute(self, folder: str) -> str:
        return os.path.join(self._root, folder) if folder else self._root

    def _say(self, text: str) -> None:
        if text != self._said and not self._stopped.is_set():
            self._said = text
            self._state(text)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return (found.st_dev, found.st_ino)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
