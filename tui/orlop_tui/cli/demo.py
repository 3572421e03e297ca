"""The sample stores of ``orlop demo``, one of each kind: made fresh, judged by the check, taken away again."""

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
    from orlop.samples import AnySample


@contextmanager
def samples(keep: str | None) -> "Iterator[tuple[AnySample, ...]]":
    """The sample stores in a private folder that is removed afterwards, or in `keep`, which stays.

    Raises:
        AlreadyExists: `keep` holds something.
        NoPermission, NoSpace, StorageFailure: the folder cannot be made.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="orlop-demo-") as folder:
            yield _made(folder)
    else:
        yield _made(keep)


def _made(folder: str) -> "tuple[AnySample, ...]":
    """The samples in a folder that is empty, or that is made, for this user alone.

    Raises:
        AlreadyExists: it holds something.
        NoPermission, NoSpace, StorageFailure: it cannot be made.
    """
    from orlop.samples import make_all

    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.listdir(folder):
            raise AlreadyExists(
                "the sample was not made",
                path=folder,
                why="the folder is not empty",
                do="name a new or an empty folder",
            )
        return make_all(folder)
    except OSError as error:
        raise translate(error, "the sample cannot be made", folder) from error


def check(arguments: argparse.Namespace) -> int:
    """Make the samples, check them, and compare what was found with what was planted."""
    output = Output(json=arguments.json)
    with samples(arguments.keep) as made:
        differing = [_compare(output, sample) for sample in made]
        missed, extra = (sum(counts) for counts in zip(*differing, strict=True))
        planted = sum(len(sample.expected) for sample in made)
        if missed or extra:
            output.line(f"FAILED: {missed} planted and not found, {extra} found and not planted")
            return exits.FAILED
        output.line(f"all {planted} planted faults were found, and nothing else")
        return exits.DONE


def _compare(output: Output, sample: "AnySample") -> tuple[int, int]:
    """Check one sample and print the verdicts; how many faults were missed, and how many were not planted."""
    with opening.every(sample.path, None) as stores:
        found = [finding for store in stores for finding in store.check(None, content=False, progress=Silent())]
        wanted = Counter((rule, path) for rule, path in sample.expected)
        got = Counter((finding.rule, finding.path) for finding in found)
        for finding in found:
            output.record(objects.finding(finding, ""))
        images = sum(store.rows().images for store in stores)
        kind = stores[0].identity.kind
        planted = format.count(wanted.total(), "planted fault")
        output.line(f"sample {kind} store: {format.count(images, 'image')}, {planted}")
        output.table(
            [Column(title=""), Column(title="RULE"), Column(title="PATH")],
            ([_verdict(pair, wanted, got), pair[0], visible(pair[1])] for pair in sorted((wanted | got).elements())),
        )
        output.line()
        return (wanted - got).total(), (got - wanted).total()


def _verdict(pair: tuple[str, str], wanted: Counter[tuple[str, str]], got: Counter[tuple[str, str]]) -> str:
    if got[pair] < wanted[pair]:
        return "MISSED"
    return "found" if got[pair] == wanted[pair] else "EXTRA"
