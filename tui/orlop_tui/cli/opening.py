"""How the commands open a store: every one of a root, or the one that is meant; cut-off changes are named."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop.errors import Ambiguous, NotFound, OrlopError
from orlop.records import Key
from orlop.store import Store
from orlop.text import visible
from orlop_tui import format, hashed
from orlop_tui.cli import places
from orlop_tui.cli.exits import Usage
from orlop_tui.cli.output import Meter, Output, print_error, say

if TYPE_CHECKING:
    from orlop.journal import Change

_SHOWN = 8
"""Places that could not be read for one reason that people are told; JSON has them all."""


@contextmanager
def every(path: str, driver: str | None) -> Iterator[tuple[Store, ...]]:
    """Open every store of a root, or the one of `driver`, and close them at the end.

    Raises:
        NotFound, NotAStore, NoPermission, …: as `orlop.kinds.open_all`.
        NotFound: no store there is of that driver.
    """
    from orlop import kinds

    with Meter() as meter, places.explained(path):
        found = kinds.open_all(path, progress=meter, verified=hashed.verified)
    try:
        chosen = tuple(store for store in found if driver in (None, store.identity.scope))
        if not chosen:
            drivers = ", ".join(store.identity.scope for store in found)
            raise NotFound(f"no store of the driver {driver} is there", path=path, do=f"its drivers: {drivers}")
        name_unfinished(path, chosen)
        yield chosen
    finally:
        for store in found:
            store.close()


@contextmanager
def one(path: str, driver: str | None) -> Iterator[Store]:
    """Open the store that a change is meant for.

    Raises:
        Usage: the root holds several, and no driver was given.
    """
    with every(path, driver) as found:
        if len(found) > 1:
            drivers = ", ".join(store.identity.scope for store in found)
            raise Usage(
                f"the root holds {len(found)} stores", path=path, why=drivers, do="say which one with --driver NAME"
            )
        yield found[0]


@contextmanager
def of_one_root(path: str, driver: str | None) -> Iterator[tuple[Store, ...]]:
    """Open the stores that share one root, and so one journal.

    Raises:
        Usage: the path holds several roots.
    """
    with every(path, driver) as found:
        roots = sorted({store.identity.path for store in found})
        if len(roots) > 1:
            raise Usage(f"{len(roots)} data roots are there", path=path, why=", ".join(roots), do="name one of them")
        yield found


def touched_by(stores: Sequence[Store], change: "Change") -> Store:
    """The store, of those that share a root, that a recorded change was made in."""
    made_in = (change.kind, change.scope)
    return next((one for one in stores if (one.identity.kind, one.identity.scope) == made_in), stores[0])


def name_unfinished(path: str, found: Sequence[Store]) -> None:
    """Say on stderr which change was cut off, if one was; a journal that cannot be read is said, too."""
    from orlop.journal import Journal

    for store in {store.identity.path: store for store in found}.values():
        try:
            change = Journal.of(store.root).unfinished()
        except OrlopError as error:
            say("orlop: the journal of changes cannot be read")
            print_error(error)
            continue
        if change is not None:
            say(f"orlop: {unfinished_line(change.action, change.id)}")
            say(f"  take it back:  {format.shell(['orlop', 'undo', path])}")
            say(f"  complete it:   {format.shell(['orlop', 'apply', path, '--finish'])}")


def unfinished_line(action: str, change: str) -> str:
    """One safe line that names a change that was cut off."""
    return f"a change was cut off before its end: {visible(action)} (change {visible(change)})"


def find(stores: Sequence[Store], image: str) -> tuple[Store, Key]:
    """The one row that a person means, among all the stores that are open.

    Raises:
        NotFound: no store has it.
        Ambiguous: several images answer, in one store or in several.
    """
    found: list[tuple[Store, Key]] = []
    missing: NotFound | None = None
    for store in stores:
        try:
            found += [(store, key) for key in store.find(image)]
        except NotFound as error:
            missing = error
    if len(found) > 1:
        candidates = [f"{store.identity.scope or store.identity.kind}: {key.name or key.id}" for store, key in found]
        raise Ambiguous(image, sorted(candidates), do="say which store with --driver NAME")
    if not found:
        raise missing or NotFound(f"no image {image!r} is there")
    return found[0]


def unreadable(stores: Sequence[Store]) -> bool:
    """Whether a part of a store could not be read, so that nothing certain is said of all of it."""
    return any(note.unreadable for store in stores for note in store.rows().notes)


def notes(output: Output, stores: Sequence[Store]) -> bool:
    """Say what a person should know of the stores as a whole; whether a part could not be read."""
    told: Counter[str] = Counter()
    for note in (note for store in stores for note in store.rows().notes):
        where = f"  {visible(note.path)}" if note.path else ""
        if not note.unreadable:
            output.note(f"note: {visible(note.text)}{where}")
            continue
        output.record({"type": "error", "what": note.text, "path": note.path, "why": None, "do": None})
        why = visible(note.text.removeprefix("cannot be read: "))
        told[why] += 1
        if told[why] <= _SHOWN:
            output.note(f"could not read: {why}{where}")
    for why, number in told.items():
        if number > _SHOWN:
            output.note(f"could not read: {why}  … and {number - _SHOWN} places more; --json names them all")
    if any("permission denied" in why for why in told):
        output.note("  do:    run as root, or work on a readable copy")
    return bool(told)
