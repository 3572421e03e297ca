"""The commands that take images in: import and fetch."""

import argparse
import contextlib
from collections.abc import Iterator

from orlop import incoming, times
from orlop.fs import Root
from orlop.intent import Import, Intent
from orlop.journal import Journal
from orlop.text import masked, visible
from orlop_tui.cli import opening
from orlop_tui.cli.change import ask, change, check_holdable
from orlop_tui.cli.output import Meter, Output


def import_(arguments: argparse.Namespace) -> int:
    """Take an image in from an archive; cut off, the same command goes on where it stopped."""
    with opening.one(arguments.path, arguments.driver) as store:
        if not arguments.dry_run:
            check_holdable(store, arguments)
        with Meter() as meter:
            intent = store.stage(
                arguments.archive,
                name=arguments.name or "",
                latest=arguments.latest,
                at=times.now(),
                progress=meter,
            )
        with _tidied(store.root, intent, arguments):
            return change(store, intent, arguments)


def fetch(arguments: argparse.Namespace) -> int:
    """Ask a URL for its image again; what it gives is taken in by a plan that is shown first."""
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.one(arguments.path, arguments.driver) as store:
        check_holdable(store, arguments)
        output.line(f"To fetch: {visible(masked('', arguments.url))}")
        ask("ask that server for it", "yes", arguments.yes)
        with Meter() as meter:
            fetched = store.fetch(arguments.url, at=times.now(), progress=meter)
        for remark in fetched.remarks:
            output.line(visible(remark))
        with _tidied(store.root, fetched.intent, arguments):
            return change(store, fetched.intent, arguments)


@contextlib.contextmanager
def _tidied(root: Root, intent: Intent, arguments: argparse.Namespace) -> Iterator[None]:
    """Leave nothing of what was staged, taken in or not; a saved plan and a change that was cut off still need it."""
    try:
        yield
    finally:
        saved = arguments.plan is not None and not arguments.yes
        if isinstance(intent, Import) and not saved and Journal.of(root).unfinished() is None:
            incoming.discard(root, intent.staged)
