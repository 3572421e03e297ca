"""The command that takes images out of a store: save."""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import BinaryIO

from orlop.errors import Unsupported
from orlop.records import Key
from orlop.store import Store
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import objects, opening
from orlop_tui.cli.exits import Usage
from orlop_tui.cli.output import Meter, Output
from orlop_tui.newfile import new_file

STDOUT = "-"
_LOADED_BY = {
    "docker-archive": ["docker", "load", "-i"],
    "oci-archive": ["podman", "load", "-i"],
    "aci": ["orlop", "import", "PATH"],
}


def save(arguments: argparse.Namespace) -> int:
    """Write images as one archive, every byte verified."""
    to_stdout = arguments.output == STDOUT
    refuse_stdout(arguments, "an archive")
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        store, keys = _chosen(stores, arguments.images)
        roots = [each.identity.path for each in stores]
        with (
            ending_tidily(),
            Meter() as meter,
            opened(arguments.output, roots, "the archive", replace=arguments.force) as to,
        ):
            saved = store.save(keys, to, form=arguments.form, progress=meter)
    say = output.note if to_stdout else output.line
    for one in saved:
        output.record(objects.saved(one, arguments.output))
        names = ", ".join(output.name(name) for name in one.names)
        say(f"saved {names or output.identity(one.id)} as {one.form}, {format.size(one.bytes)}")
        for remark in one.remarks:
            say(f"  note: {output.sentence(remark)}")
    if not to_stdout:
        say(f"load it:  {visible(format.shell([*_LOADED_BY[saved[0].form], arguments.output]))}")
    return 0


def refuse_stdout(arguments: argparse.Namespace, what: str) -> None:
    """Make sure that ``an archive`` goes where one can be.

    Raises:
        Usage: stdout is a terminal, or carries JSON.
    """
    if arguments.output != STDOUT:
        return
    if arguments.json:
        raise Usage(f"stdout cannot carry both {what} and JSON lines of its own", do="name a file: -o FILE")
    if sys.stdout.isatty():
        raise Usage(f"{what} is not written to a terminal", do="name a file: -o FILE, or send it on through a pipe")


def _chosen(stores: Sequence[Store], images: Sequence[str]) -> tuple[Store, list[Key]]:
    found = [opening.find(stores, image) for image in images]
    store = found[0][0]
    other = next((each for each, _ in found if each is not store), None)
    if other is not None:
        raise Unsupported(
            "images of several stores cannot be saved together",
            why=f"of {store.identity.label} and {other.identity.label}",
            do="save them in turn",
        )
    return store, [key for _, key in found]


@contextmanager
def opened(path: str, stores: Sequence[str], what: str, *, replace: bool) -> Iterator[BinaryIO]:
    """The file that is to be written, or stdout; as `orlop_tui.newfile.new_file`."""
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with new_file(path, what=what, stores=stores, replace=replace) as file:
        yield file


@contextmanager
def ending_tidily() -> Iterator[None]:
    """While a file is made, SIGTERM and SIGHUP unwind, so that nothing of it is left."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
