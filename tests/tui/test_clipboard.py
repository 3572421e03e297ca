"""The clipboard sequence: which way it goes, and that nothing hostile goes with it."""

import base64
import re

import pytest

from orlop.errors import TooLarge
from orlop_tui.clipboard import LIMIT, copy


def sent(text: str, environ: dict[str, str], *, lines: bool = False) -> tuple[str, str]:
    written: list[str] = []
    how = copy(text, written.append, environ, lines=lines)
    return how, "".join(written)


def payload(sequence: str) -> str:
    found = re.search(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", sequence)
    assert found is not None
    return base64.b64decode(found.group(1)).decode()


def test_a_text_goes_as_one_osc_52() -> None:
    how, sequence = sent("sha256:häsh", {"TERM": "xterm-256color"})
    assert how == "terminal"
    assert re.fullmatch(r"\x1b\]52;c;[A-Za-z0-9+/=]*\x07", sequence)
    assert payload(sequence) == "sha256:häsh"


def test_tmux_gets_it_bare_and_wrapped() -> None:
    how, sequence = sent("digest", {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"})
    assert how == "tmux"
    bare, wrapped = sequence.split("\x1bPtmux;")
    assert payload(bare) == "digest"
    assert wrapped.endswith("\x1b\\")
    assert payload(wrapped.removesuffix("\x1b\\").replace("\x1b\x1b", "\x1b")) == "digest"


def test_screen_gets_it_in_pieces_that_it_passes_on() -> None:
    how, sequence = sent("x" * 1000, {"TERM": "screen.xterm-256color", "STY": "1.pts-0"})
    assert how == "screen"
    pieces = re.findall(r"\x1bP(.*?)\x1b\\", sequence, re.DOTALL)
    assert "".join(f"\x1bP{piece}\x1b\\" for piece in pieces) == sequence
    assert max(map(len, pieces)) <= 240
    assert payload("".join(pieces)) == "x" * 1000


@pytest.mark.parametrize("hostile", ["\x1b]0;x\x07", "rm -rf /\n", "a\rb", "\u202egnp.exe", "\udcff", "\x9b2J"])
def test_what_is_copied_cannot_act_where_it_is_pasted(hostile: str) -> None:
    _, sequence = sent(hostile, {})
    assert payload(sequence).isprintable()


def test_a_text_of_several_lines_keeps_its_line_breaks_and_nothing_else() -> None:
    _, sequence = sent('{\n  "a": "\x1b[2J"\n}', {}, lines=True)
    assert payload(sequence) == '{\n  "a": "␛[2J"\n}'


def test_too_long_a_text_is_refused_and_nothing_is_sent() -> None:
    written: list[str] = []
    with pytest.raises(TooLarge) as caught:
        copy("x" * LIMIT, written.append, {})
    assert caught.value.limit == LIMIT
    assert written == []
