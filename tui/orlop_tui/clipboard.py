"""Putting a text on the clipboard of the terminal that the person sits at, over ssh as well.

OSC 52, as xterm's ctlseqs defines it. tmux and screen keep such sequences for
themselves unless they are wrapped: tmux passes ``ESC P tmux; … ESC \\`` on (its
option ``allow-passthrough``) or takes a bare one itself (``set-clipboard on``);
screen passes ``ESC P … ESC \\`` on in short pieces.
"""

import base64
from collections.abc import Callable, Mapping

from orlop.errors import TooLarge
from orlop.text import visible

LIMIT = 75_000
"""Bytes of the sequence from which on terminals begin to drop it whole."""
_PIECE = 240
"""Bytes that every version of screen passes on at once."""


def copy(text: str, write: Callable[[str], object], environ: Mapping[str, str], *, lines: bool = False) -> str:
    """Send a text to the clipboard; no terminal answers whether it took it.

    Args:
        text: made harmless first, so that nothing acts where it is pasted.
        write: takes what goes to the terminal.
        environ: tells whether tmux or screen is in between.
        lines: keeps line breaks, for a text of several lines; a paste into a shell would run them.

    Returns:
        Which way it went: ``terminal``, ``tmux`` or ``screen``.

    Raises:
        TooLarge: nothing was sent.
    """
    parts = text.split("\n") if lines else [text]
    data = base64.b64encode("\n".join(map(visible, parts)).encode())
    if len(data) > LIMIT:
        raise TooLarge(len(data), LIMIT)
    sequence = f"\x1b]52;c;{data.decode('ascii')}\x07"
    if environ.get("TMUX"):
        wrapped = sequence.replace("\x1b", "\x1b\x1b")
        write(f"{sequence}\x1bPtmux;{wrapped}\x1b\\")
        return "tmux"
    if environ.get("TERM", "").startswith("screen") and environ.get("STY"):
        write("".join(f"\x1bP{sequence[i : i + _PIECE]}\x1b\\" for i in range(0, len(sequence), _PIECE)))
        return "screen"
    write(sequence)
    return "terminal"
