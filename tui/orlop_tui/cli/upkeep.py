"""The commands that look after a store: clean and repair."""

import argparse
from collections.abc import Iterator, Sequence

from orlop import times
from orlop.errors import Malformed, NotFound
from orlop.finding import Finding, Repair
from orlop.intent import Clean, DropUploads
from orlop.intent import Repair as RepairIntent
from orlop.store import Store
from orlop_tui.cli import exits, hashing, opening
from orlop_tui.cli.change import change
from orlop_tui.cli.exits import Usage
from orlop_tui.cli.history import seconds
from orlop_tui.cli.output import Output

_GRACE = "24h"
"""Age that something must have before it is removed, if nobody says otherwise: a push takes no longer."""

_UPLOAD_GRACE = "168h"
"""The same of uploads: the age after which a registry's own timer removes them."""


def clean(arguments: argparse.Namespace) -> int:
    """Remove what nothing needs."""
    if arguments.older is not None and arguments.before is not None:
        raise Usage("give --older or --before, not both")
    if arguments.uploads is not None and arguments.untagged:
        raise Usage("--uploads removes uploads and nothing else: leave --untagged out")
    if arguments.uploads is not None and arguments.only is not None:
        raise Usage("--uploads removes uploads and nothing else: leave --only out")
    with opening.one(arguments.path, arguments.driver) as store:
        if arguments.uploads is not None:
            before = _before(arguments, _UPLOAD_GRACE)
            chosen = tuple(dict.fromkeys(arguments.uploads)) or None
            return change(store, DropUploads(before=before, uploads=chosen), arguments)
        only = tuple(dict.fromkeys(arguments.only)) if arguments.only is not None else None
        intent = Clean(before=_before(arguments, _GRACE), untagged=arguments.untagged, only=only)
        return change(store, intent, arguments)


def _before(arguments: argparse.Namespace, grace: str) -> int:
    if arguments.before is None:
        return times.now() - seconds(arguments.older or grace) * 1_000_000_000
    try:
        return times.parse(arguments.before)
    except Malformed as error:
        raise Usage(f"{arguments.before!r} is no time", do="write it as 2026-08-29T10:14:07Z") from error


def repair(arguments: argparse.Namespace) -> int:
    """Put right what findings name."""
    with opening.one(arguments.path, arguments.driver) as store:
        output = Output(json=arguments.json)
        with hashing.under_way(store, arguments, output) as how, how.meter:
            checked = store.check(None, content=arguments.content, progress=how.meter, hashing=how.hashing)
            found = list(checked)
        chosen = list(_chosen(store, found, arguments.findings, content=arguments.content))
        if not chosen:
            output.line("no finding can be put right with proof: nothing to do")
            return exits.DONE
        identities = tuple(dict.fromkeys(finding.identity for finding in chosen))
        return change(store, RepairIntent(findings=identities, guess=arguments.guess), arguments)


def _chosen(store: Store, found: Sequence[Finding], terms: Sequence[str], *, content: bool) -> Iterator[Finding]:
    """The findings that the terms mean.

    Raises:
        NotFound: a term means none.
    """
    if not terms:
        yield from (finding for finding in found if finding.repair is Repair.REBUILD)
    for term in terms:
        rule, mark, place = term.partition(":")
        meant = [one for one in found if one.rule == rule.upper() and (not mark or place in (one.path, one.subject))]
        if not meant:
            raise NotFound(
                f"no finding is {term!r}",
                path=store.identity.path,
                do="`orlop check PATH` lists them; name one as RULE, RULE:PATH or RULE:NAME"
                + ("" if content else "; what is wrong in the bytes is found with --content"),
            )
        yield from meant
