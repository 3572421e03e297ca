"""A record byte for byte: as JSON, as its text, or in hex; and the same in a pager."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType

from orlop.records import Detail
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.screens.dialog import Dialog, Host
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import Line, LinesView, Role, Span, fold, line, span

MOST_JSON = 1 << 20
"""Bytes up to which JSON is set out for reading."""
MOST_SHOWN = 1 << 18
"""Bytes that are shown as text or in hex; a pager takes them all."""
_WIDTH = 16
"""Bytes on a line of hex."""


class Record:
    """One thing that can be shown raw."""

    def __init__(self, title: str, path: str, data: bytes) -> None:
        self.title = title
        self.path = path
        self.data = data


def records_of(detail: Detail) -> list[Record]:
    """What of an image can be shown raw: its manifest and config, and what the engine keeps beside them."""
    found = [Record(one.title, one.path, one.raw) for one in detail.documents if one.raw is not None]
    if detail.config_raw is not None and detail.config_path not in {one.path for one in found}:
        found.append(Record("config", detail.config_path, detail.config_raw))
    return found + [Record(one.name, one.path, one.value) for one in detail.metadata]


class RawView(Dialog[None]):
    """One record; secrets of an engine's environment stay masked until they are asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "as('hex')", "in hex", show=False),
        Binding("t", "as('text')", "as its exact text", show=False),
        Binding("s", "as('json')", "as JSON, set out for reading", show=False),
        Binding("m", "reveal", "show or mask what looks secret", show=False),
        Binding("o", "pager", "in a pager", show=False),
        Binding("c,y", "copy", "copy", show=False),
        Binding("q,r", "leave", "close", show=False),
    ]

    def __init__(self, record: Record, host: Host) -> None:
        super().__init__()
        self._record = record
        self._host = host
        self._value = _parsed(record.data)
        self._way = "text" if self._value is _NOTHING else "json"
        self._revealed = False

    def heading(self) -> tuple[Span, ...]:
        size = words.exact_size(len(self._record.data))
        return (span(self._record.title, Role.HEADING), span(f"  {self._record.path}  {size}", Role.FAINT))

    def hints(self) -> Iterable[KeyHint]:
        ways = (("s", "JSON", "json"), ("t", "text", "text"), ("h", "hex", "hex"))
        yield from (KeyHint(key, label, f"as('{way}')", self._can(way)) for key, label, way in ways if way != self._way)
        if self._masks:
            yield KeyHint("m", "mask" if self._revealed else "secrets", "reveal")
        yield KeyHint("o", "pager", "pager")
        yield KeyHint("y", "copy", "copy")

    def _can(self, way: str) -> bool:
        return way != "json" or self._value is not _NOTHING

    @property
    def _masks(self) -> bool:
        return self._way != "hex" and self._value is not _NOTHING

    def action_as(self, way: str) -> None:
        if self._can(way):
            self._way = way
            self.draw()
        else:
            self.remark("it is no JSON, or too much to set out")

    def action_reveal(self) -> None:
        self._revealed = not self._revealed
        self.draw(keep=True)

    def action_copy(self) -> None:
        self._host.offer_copy(self._record.title, self._texts(None))

    # --- what is said

    def body(self, width: int) -> Sequence[Line]:
        shown = [line(part) for text in self._texts(MOST_SHOWN) for part in fold(text, width)]
        left = len(self._record.data) - MOST_SHOWN
        if left > 0 and self._way != "json":
            shown.append(line(span(f"… {words.size(left)} more: o shows all in a pager", Role.FAINT)))
        return shown or [line(span("it is empty", Role.WARN))]

    def _texts(self, most: int | None) -> list[str]:
        """The record's safe lines, of so many bytes at most."""
        data = self._record.data if most is None else self._record.data[:most]
        if self._way == "hex":
            return hex_lines(data)
        if self._way == "json" or (self._masks and not self._revealed):
            value = words.masked_config(self._value, reveal=self._revealed)
            text = json.dumps(value, indent=2 if self._way == "json" else None, ensure_ascii=False)
        else:
            text = data.decode("utf-8", "surrogateescape")
        return [visible(each.expandtabs(4)) for each in text.split("\n")] if text else []

    # --- the pager

    def action_pager(self) -> None:
        """Hand the same lines, all of them, to the person's pager, and come back when it ends."""
        pager = shlex.split(os.environ.get("PAGER") or "less") or ["less"]
        text = "\n".join(self._texts(None)).encode("utf-8", "replace") + b"\n"
        try:
            with self.app.suspend():
                subprocess.run(pager, input=text, check=False, env=os.environ | {"LESSSECURE": "1"})
        except SuspendNotSupported:
            self.remark("this terminal cannot be handed to a pager")
        except OSError as error:
            self.remark(f"{pager[0]} cannot be started: {error.strerror}; PAGER names another")
        self.query_one("#said", LinesView).refresh()


class _Nothing:
    """What is no JSON, or too much of it."""


_NOTHING = _Nothing()


def _parsed(data: bytes) -> object:
    if len(data) > MOST_JSON or not data.strip().startswith((b"{", b"[")):
        return _NOTHING
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _NOTHING


def hex_lines(data: bytes) -> list[str]:
    """Sixteen bytes a line: offset, hex in two groups, and what is printable of them."""
    found: list[str] = []
    for at in range(0, len(data), _WIDTH):
        part = data[at : at + _WIDTH]
        left, right = part[:8].hex(" "), part[8:].hex(" ")
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        found.append(f"{at:08x}  {left:<23}  {right:<23}  {text}")
    return found
