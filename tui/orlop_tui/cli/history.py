"""The commands on what was changed before: journal, undo, purge."""

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orlop import times
from orlop.errors import NotFound
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import exits, objects, opening
from orlop_tui.cli.change import DRY_RUN, ask, check_holdable, print_receipt, statement, under_way
from orlop_tui.cli.exits import Usage
from orlop_tui.cli.output import Output
from orlop_tui.format import Column

if TYPE_CHECKING:
    from orlop.journal import Change, Journal

_AGE = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
_ID_SHOWN = 19
"""Characters of a change's id that a terminal shows: to the millisecond, and enough to name it by."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def journal(arguments: argparse.Namespace) -> int:
    """List every change, oldest first, with what its quarantine holds."""
    from orlop.journal import Journal, State

    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.of_one_root(arguments.path, arguments.driver) as stores:
        changes = Journal.of(stores[0].root).changes()
        for change in changes:
            output.record(_object(change))
        if not changes:
            output.line("Orlop changed nothing here")
            return exits.DONE
        _print_changes(output, changes)
        output.line(f"\n{format.both_sizes(_bytes(changes))} in the quarantine")
        return exits.FAILED if any(change.state is State.DAMAGED for change in changes) else exits.DONE


def undo(arguments: argparse.Namespace) -> int:
    """Take the last change back, or one that is named."""
    from orlop.apply import undo as run
    from orlop.journal import Journal

    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.of_one_root(arguments.path, arguments.driver) as stores:
        record = Journal.of(stores[0].root)
        change = record.find(arguments.change) if arguments.change else _last(record.changes())
        output.line(f"To take back: {_headline(change)}")
        if arguments.dry_run:
            output.line(DRY_RUN)
            return exits.DONE
        store = opening.touched_by(stores, change)
        with under_way(store, arguments.path) as (record, _):
            receipt = run(store, record, change.id, statement=statement(arguments))
        return print_receipt(output, receipt, arguments, undoable=False)


def purge(arguments: argparse.Namespace) -> int:
    """Empty the quarantine, for good."""
    from orlop.apply import purge as run
    from orlop.journal import Journal

    output = Output(json=arguments.json, full=arguments.no_trunc)
    before = times.now() - seconds(arguments.older) * 1_000_000_000 if arguments.older else None
    with opening.of_one_root(arguments.path, arguments.driver) as stores:
        record = Journal.of(stores[0].root)
        chosen = _to_purge(record, arguments.changes, before)
        if not chosen:
            asked = "such" if arguments.changes or before is not None else "any"
            output.line(f"the quarantine does not hold {asked} change: nothing to do")
            return exits.DONE
        _print_changes(output, chosen)
        number = format.count(len(chosen), "change")
        output.line(f"\n{format.both_sizes(_bytes(chosen))} would be freed; undo of {number} would end")
        if arguments.dry_run:
            output.line(DRY_RUN)
            return exits.DONE
        check_holdable(stores[0], arguments)
        ask("free it for good", "yes", arguments.yes)
        with under_way(stores[0], arguments.path) as (record, _):
            receipt = run(stores[0], record, [change.id for change in chosen], statement=statement(arguments))
        return print_receipt(output, receipt, arguments, undoable=False)


def seconds(age: str) -> int:
    """An age such as ``12h``, ``7d``, ``4w`` in seconds.

    Raises:
        Usage: it is none.
    """
    found = _AGE.fullmatch(age)
    if found is None:
        raise Usage(f"{age!r} is no age", do="a number and one of s, m, h, d, w: 12h, 7d, 4w")
    return int(found[1]) * _SECONDS[found[2]]


def _last(changes: "Sequence[Change]") -> "Change":
    """The change that undo means when nobody names one: a cut-off one, else the last that is done."""
    from orlop.journal import State

    unfinished = [change for change in changes if change.state is State.UNFINISHED]
    found = [*(change for change in changes if change.state is State.DONE), *unfinished]
    if not found:
        raise NotFound("there is nothing to take back", why="the journal has no change that is done and not purged")
    return found[-1]


def _to_purge(record: "Journal", wanted: Sequence[str], before: int | None) -> "list[Change]":
    """The changes that are meant: those named, else all that hold something, and only old ones where asked."""
    from orlop.journal import State

    changes = [record.find(one) for one in wanted] if wanted else list(record.changes())
    settled = (State.DONE, State.UNDONE, State.ROLLED_BACK)
    return [
        change
        for change in changes
        if (wanted or (change.state in settled and (change.bytes or change.state is State.DONE)))
        and (before is None or change.at < before)
    ]


def _bytes(changes: "Sequence[Change]") -> int:
    return sum(change.bytes for change in changes)


def _headline(change: "Change") -> str:
    return f"{visible(change.action)}  ({format.moment(change.at)}, {change.state}, change {visible(change.id)})"


def _object(change: "Change") -> objects.Object:
    return {
        "type": "change",
        "id": change.id,
        "at": objects.moment(change.at) if change.at else None,
        "action": change.action or None,
        "state": change.state,
        "steps": len(change.steps),
        "bytes": change.bytes,
        "user": change.user,
        "why": change.why or None,
    }


def _print_changes(output: Output, changes: "Sequence[Change]") -> None:
    output.table(
        [
            Column(title="CHANGE"),
            Column(title="WHEN"),
            Column(title="STATE"),
            Column(title="QUARANTINE", right=True),
            Column(title="ACTION", gives=True),
        ],
        (
            [
                visible(change.id if output.full else change.id[:_ID_SHOWN]),
                format.moment(change.at) if change.at else format.UNKNOWN,
                change.state,
                format.size(change.bytes),
                visible(change.action or change.why),
            ]
            for change in changes
        ),
    )
