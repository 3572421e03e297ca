"""The sample store of ``orlop demo``: made fresh, judged by the check, taken away again."""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop.errors import AlreadyExists
from orlop.fs import translate
from orlop.progress import Silent
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import exits, objects, opening
from orlop_tui.cli.output import Output
from orlop_tui.format import Column

if TYPE_CHECKING:
    from orlop.samples import Sample


@contextmanager
def sample(keep: str | None) -> "Iterator[Sample]":
    """A sample store in a private folder that is removed afterwards, or in `keep`, which stays.

    Raises:
        AlreadyExists: `keep` holds something.
        NoPermission, NoSpace, StorageFailure: the folder cannot be made.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="orlop-demo-") as folder:
            yield _made(folder)
    else:
        yield _made(keep)


def _made(folder: str) -> "Sample":
    """The sample in a folder that is empty, or that is made, for this user alone.

    Raises:
        AlreadyExists: it holds something.
        NoPermission, NoSpace, StorageFailure: it cannot be made.
    """
    from orlop.samples import make

    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.listdir(folder):
            raise AlreadyExists(
                "the sample was not made",
                path=folder,
                why="the folder is not empty",
                do="name a new or an empty folder",
            )
        return make(folder)
    except OSError as error:
        raise translate(error, "the sample cannot be made", folder) from error


def check(arguments: argparse.Namespace) -> int:
    """Make the sample, check it, and compare what was found with what was planted."""
    output = Output(json=arguments.json)
    with sample(arguments.keep) as made, opening.every(made.path, None) as stores:
        found = [finding for store in stores for finding in store.check(None, content=False, progress=Silent())]
        wanted = Counter((rule, path) for rule, path in made.expected)
        got = Counter((finding.rule, finding.path) for finding in found)
        for finding in found:
            output.record(objects.finding(finding, ""))
        images = sum(store.rows().images for store in stores)
        output.line(f"sample store: {format.count(images, 'image')}, {format.count(wanted.total(), 'planted fault')}")
        output.table(
            [Column(title=""), Column(title="RULE"), Column(title="PATH")],
            ([_verdict(pair, wanted, got), pair[0], visible(pair[1])] for pair in sorted((wanted | got).elements())),
        )
        missed, extra = wanted - got, got - wanted
        if missed or extra:
            output.line(f"FAILED: {missed.total()} planted and not found, {extra.total()} found and not planted")
            return exits.FAILED
        output.line(f"all {wanted.total()} planted faults were found, and nothing else")
        return exits.DONE


def _verdict(pair: tuple[str, str], wanted: Counter[tuple[str, str]], got: Counter[tuple[str, str]]) -> str:
    if got[pair] < wanted[pair]:
        return "MISSED"
    return "found" if got[pair] == wanted[pair] else "EXTRA"
