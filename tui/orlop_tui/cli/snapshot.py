"""The command that writes all that is known of a store into one file: snapshot."""

import argparse

from orlop import __version__
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import opening, saving
from orlop_tui.cli.output import Meter, Output

_PACKED = ".gz"


def snapshot(arguments: argparse.Namespace) -> int:
    """Write a snapshot file, which the other commands and the screens open in a store's place."""
    from orlop.snapshots.writing import write

    to_stdout = arguments.output == saving.STDOUT
    saving.refuse_stdout(arguments, "a snapshot")
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.one(arguments.path, arguments.driver) as store:
        roots = [store.identity.path]
        file = saving.opened(arguments.output, roots, "the snapshot", replace=arguments.force)
        with saving.ending_tidily(), Meter() as meter, file as to:
            written = write(
                store,
                to,
                masked_config=format.masked_config,
                program=f"orlop {__version__}",
                packed=arguments.output.endswith(_PACKED),
                space=arguments.df,
                progress=meter,
            )
    output.record(
        {
            "type": "snapshot",
            "file": arguments.output,
            "images": written.images,
            "findings": written.findings,
            "bytes": written.bytes,
            "without": list(written.without),
        }
    )
    say = output.note if to_stdout else output.line
    counted = f"{format.count(written.images, 'image')}, {format.count(written.findings, 'finding')}"
    say(f"wrote a snapshot of {counted}, {format.size(written.bytes)}")
    for text in written.without:
        say(f"  without {visible(text)}")
    if not to_stdout:
        say(f"open it:  {visible(format.shell(['orlop', arguments.output]))}")
    return 0
