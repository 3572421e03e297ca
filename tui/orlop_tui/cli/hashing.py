"""How ``check --content`` hashes: within its budget, gently, and remembering what it saw whatever ends it."""

import argparse
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orlop.errors import OrlopError
from orlop.progress import Progress
from orlop.store import Hashing, Store
from orlop_tui import format, hashed
from orlop_tui.cli.exits import Usage
from orlop_tui.cli.history import seconds
from orlop_tui.cli.output import Meter, Output, print_error, say
from orlop_tui.cli.saving import ending_tidily

if TYPE_CHECKING:
    from orlop.verified import VerifiedCache

_SIZE = re.compile(r"([0-9]{1,12})([KMGT]?)(i?)B?", re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_NICENESS = 10
_EVERY = 60.0
"""Seconds between two times that the memory is written down."""


def refuse_without_content(arguments: argparse.Namespace) -> None:
    """Make sure that nobody asks how to hash without asking to hash.

    Raises:
        Usage
    """
    given = [name for name in ("again", "for", "bytes", "rate") if getattr(arguments, _ATTRIBUTES.get(name, name))]
    if given and not arguments.content:
        raise Usage(f"--{given[0]} says how contents are hashed, and --content was not given")


_ATTRIBUTES = {"for": "seconds"}


class UnderWay:
    """One check of contents, or of structure only: then it only measures nothing."""

    def __init__(self, hashing: Hashing | None) -> None:
        self.meter = Meter()
        self.progress: Progress = self.meter
        """What the check tells how far it is."""
        self.hashing = hashing

    @property
    def cut_short(self) -> bool:
        """Whether the budget ended it before everything was hashed."""
        return self.hashing is not None and self.hashing.budget is not None and bool(self.hashing.budget.reached)

    def lines(self) -> Iterator[str]:
        """What was hashed now, in words; none where nothing was asked for."""
        if self.hashing is None or self.hashing.budget is None:
            return
        budget = self.hashing.budget
        fast = f", {format.size(int(budget.done / budget.elapsed))}/s" if budget.elapsed > 1 else ""
        yield f"{format.size(budget.done)} hashed now in {format.duration(budget.elapsed)}{fast}"
        if budget.reached:
            yield f"not everything was hashed: {budget.reached}; the same command goes on where this stopped"

    def object(self) -> dict[str, object]:
        """The same as a JSON object."""
        budget = self.hashing.budget if self.hashing is not None else None
        return {
            "type": "hashed",
            "bytes": budget.done if budget is not None else 0,
            "of": self.meter.hashed[1],
            "complete": not self.cut_short,
            "reached": (budget.reached or None) if budget is not None else None,
        }


@contextmanager
def under_way(store: Store, arguments: argparse.Namespace, output: Output) -> Iterator[UnderWay]:
    """While a store is checked: what was verified before is at hand, and what is verified now is kept.

    It is kept also where Ctrl-C, SIGTERM or an error ends the check, and once a minute meanwhile.
    """
    if not arguments.content:
        yield UnderWay(None)
        return
    from orlop.spread import Budget

    budget = Budget(
        seconds=seconds(arguments.seconds) if arguments.seconds else None,
        bytes=_bytes(arguments.bytes) if arguments.bytes else None,
        rate=_bytes(arguments.rate) if arguments.rate else None,
    )
    cache = hashed.verified(store.identity)
    if cache.why:
        output.note(f"note: {cache.why}")
    _be_gentle()
    how = UnderWay(Hashing(verified=cache, again=arguments.again, budget=budget))
    how.progress = _Keeping(how.meter, cache)
    with ending_tidily():
        try:
            yield how
        finally:
            _keep(cache)
    output.record(how.object())


class _Keeping:
    """Progress that writes down once a minute what was verified so far: no power cut loses more than that."""

    def __init__(self, inner: Progress, cache: "VerifiedCache") -> None:
        self._inner = inner
        self._cache = cache
        self._next = time.monotonic() + _EVERY

    def step(self, what: str, done: int, total: int) -> None:
        self._inner.step(what, done, total)
        if time.monotonic() >= self._next:
            with suppress(OrlopError):  # it is tried again, and said at the end
                self._cache.save()
            self._next = time.monotonic() + _EVERY


def _keep(cache: "VerifiedCache") -> None:
    try:
        cache.save()
    except OrlopError as error:  # the check itself stands; the next one takes longer
        say("orlop: what was verified cannot be remembered")
        print_error(error)


def _be_gentle() -> None:
    """Let everything else on this host go first."""
    with suppress(OSError):  # a process that is gentle already, or may not change
        if os.nice(0) < _NICENESS:
            os.nice(_NICENESS - os.nice(0))


def _bytes(text: str) -> int:
    """Bytes of ``500M``, ``50G``, ``2GiB``.

    Raises:
        Usage: it is no such thing.
    """
    found = _SIZE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise Usage(f"{text!r} is no size", do="write it as 500M, 50G or 2GiB")
    unit: int = (1024 if found[3] else 1000) ** _POWERS[found[2]]
    return int(found[1]) * unit
