"""The command that shows where the bytes are: df."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from orlop.records import StoreId
from orlop.space import ImageSpace, Part, Space, Use
from orlop.text import visible
from orlop_tui import format, terminal
from orlop_tui.cli import exits, objects, opening
from orlop_tui.cli.output import Meter, Output
from orlop_tui.format import Column

_SHOWN = 10
"""Parts and images that people are told unless they ask for more."""
_WIDTH = 80
"""Columns where no terminal says how many there are."""
_LONGEST_BAR = 48
_SMALL_BAR = 12

_COLOURS: Mapping[Use, str] = {
    Use.CONTENT: "36",
    Use.RECORDS: "34",
    Use.CONTAINERS: "32",
    Use.BUILD_CACHE: "35",
    Use.UPLOADS: "35",
    Use.UNREFERENCED: "33",
    Use.UNRECORDED: "33",
    Use.DEBRIS: "33",
    Use.QUARANTINE: "33",
    Use.HIDDEN: "90",
    Use.OTHER: "90",
    Use.UNKNOWN: "31",
}
"""ANSI colours: what works, what could go, what is not Orlop's."""


def df(arguments: argparse.Namespace) -> int:
    """Show what the bytes of a store are for, its largest parts, and what each image has to itself."""
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        complete = True
        for number, store in enumerate(stores):
            with Meter() as meter:
                space = store.space(meter)
            complete = complete and not space.unreadable
            if number:
                output.line()
            _records(output, space, store.identity, arguments)
            _Picture(output, space, store.identity, arguments).show()
        unread = opening.notes(output, stores)
        return exits.DONE if complete and not unread else exits.FAILED


# --- for programs ----------------------------------------------------------------


def _records(output: Output, space: Space, identity: StoreId, arguments: argparse.Namespace) -> None:
    """All there is, unless a limit was asked for."""
    if not output.json:
        return
    scope = identity.scope
    output.record(objects.space(space, identity))
    if not arguments.images:
        found = ((part, above) for top in space.parts for part, above in _walk(top, None))
        for number, (part, above) in enumerate(found):
            if arguments.limit is not None and number >= arguments.limit:
                break
            output.record(objects.part(part, above, scope))
    for image in space.images[: arguments.limit]:
        output.record(objects.image_space(image, scope))


def _walk(part: Part, above: Part | None) -> Iterator[tuple[Part, Part | None]]:
    yield part, above
    for inner in part.parts:
        yield from _walk(inner, part)


# --- for people ------------------------------------------------------------------


class _Picture:
    """One store, drawn."""

    def __init__(self, output: Output, space: Space, identity: StoreId, arguments: argparse.Namespace) -> None:
        self._output = output
        self._space = space
        self._identity = identity
        self._arguments = arguments
        self._plain = not (output.terminal and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8")
        self._coloured = output.terminal and not terminal.no_color(os.environ) and os.environ.get("TERM") != "dumb"
        self._width = _WIDTH if output.width is None else output.width

    def show(self) -> None:
        if self._output.json:
            return
        self._head()
        if not self._arguments.images:
            self._uses()
            self._waste()
            self._largest()
        self._images()
        self._foot()

    def _head(self) -> None:
        space, identity = self._space, self._identity
        self._output.line(
            f"{visible(identity.label)}  {visible(identity.path)}  {format.size(space.disk)} on disk; "
            f"{format.size(space.free)} of {format.size(space.capacity)} free"
        )

    def _bar(self, part: int, whole: int, width: int, use: Use | None) -> str:
        drawn = format.bar(part, whole, width, plain=self._plain)
        if not self._coloured or use is None or not drawn:
            return drawn
        return f"\x1b[{_COLOURS[use]}m{drawn}\x1b[0m"

    def _uses(self) -> None:
        """A bar for each use, all of them to the scale of the longest."""
        found = [(use, bytes_) for use in Use if (bytes_ := self._space.of(use))]
        if not found:
            self._output.line("\nnothing is here")
            return
        found.sort(key=lambda one: -one[1])
        self._output.line()
        words = max(len(format.USE_WORDS[use]) for use, _ in found)
        sizes = max(len(format.size(count)) for _, count in found)
        room = min(max(self._width - words - sizes - 12, 8), _LONGEST_BAR)
        for use, count in found:
            share = format.percent(count, self._space.disk)
            drawn = self._bar(count, found[0][1], room, use)
            self._output.line(
                f"  {format.USE_WORDS[use]:<{words}}  {format.size(count):>{sizes}}  {share:>5}  {drawn}".rstrip()
            )

    def _waste(self) -> None:
        """What could go, and by which command."""
        space, path = self._space, self._arguments.path
        unneeded = sum(space.of(use) for use in (Use.UNREFERENCED, Use.UNRECORDED, Use.DEBRIS))
        lines = []
        if unneeded:
            command = format.shell(["orlop", "clean", path, "--dry-run"])
            lines.append(f"{format.size(unneeded)} that nothing needs:  {command}")
        if held := space.of(Use.QUARANTINE):
            command = format.shell(["orlop", "purge", path])
            lines.append(f"{format.size(held)} in quarantine, which an undo can bring back:  {command}")
        if lines:
            self._output.line()
        self._output.lines(f"  {line}" for line in lines)

    def _largest(self) -> None:
        limit = _SHOWN if self._arguments.limit is None else self._arguments.limit
        parts = sorted(_pieces(self._space), key=lambda part: (-part.bytes, part.title, part.path))
        shown = parts[:limit]
        if not shown:
            return
        self._output.line("\nLargest parts")
        columns = [Column(title="PART", gives=True), Column(title="WHY", gives=True)]
        if self._output.width is None:
            columns.append(Column(title="PATH", gives=True))
        self._table(
            columns,
            [(part.bytes, part.use, [self._title(part), self._why(part), visible(part.path)]) for part in shown],
            shown[0].bytes,
            below=self._output.width is not None,
        )
        if len(parts) > len(shown):
            rest = sum(part.bytes for part in parts[limit:])
            more = format.count(len(parts) - len(shown), "more part")
            self._output.line(f"  and {more}, {format.size(rest)} together: --limit {len(parts)} lists all")

    def _title(self, part: Part) -> str:
        return self._output.sentence(part.title)

    def _why(self, part: Part) -> str:
        return format.sized(self._output.sentence(part.remark)) or format.USE_WORDS[part.use]

    def _images(self) -> None:
        limit = self._arguments.limit
        if limit is None and not self._arguments.images:
            limit = _SHOWN
        images = self._space.images
        if not images:
            return
        self._output.line("\nImages, by what each has to itself")
        self._table(
            [Column(title="TOTAL", right=True), Column(title="IMAGE ID"), Column(title="NAME", gives=True)],
            [(image.own, Use.CONTENT, self._image(image)) for image in images[:limit]],
            images[0].own or 1,
            title="OWN",
        )
        if limit is not None and len(images) > limit:
            more = format.count(len(images) - limit, "more image")
            self._output.line(f"  and {more}: --images lists all")

    def _image(self, image: ImageSpace) -> list[str]:
        names = [self._output.name(name) for name in image.names] or [
            f"{visible(image.key.scope)} {format.NO_NAME}".strip()
        ]
        others = f"  and {format.count(len(names) - 1, 'other name')}" if len(names) > 1 else ""
        return [format.size(image.bytes), self._output.identity(image.key.id) or "-", names[0] + others]

    def _table(
        self,
        columns: Sequence[Column],
        rows: Sequence[tuple[int | None, Use, Sequence[str]]],
        most: int,
        *,
        title: str = "SIZE",
        below: bool = False,
    ) -> None:
        """Lines with a size and a small bar in front; the bars get their colour last, for it has no width.

        Args:
            below: whether the last of the values stands on a line of its own.
        """
        size = max([len(title), *(len(format.size(count)) for count, _, _ in rows)])
        bars = [format.bar(count or 0, most, _SMALL_BAR, plain=self._plain) for count, _, _ in rows]
        room = None if self._output.width is None else self._width - size - _SMALL_BAR - 6
        lines = format.table(columns, [list(values)[: len(columns)] for _, _, values in rows], width=room)
        self._output.line(f"  {title:>{size}}  {'':<{_SMALL_BAR}}  {lines[0]}")
        margin = " " * (size + _SMALL_BAR + 6)
        for (count, use, values), drawn, line in zip(rows, bars, lines[1:], strict=True):
            painted = self._bar(count or 0, most, _SMALL_BAR, use) + " " * (_SMALL_BAR - len(drawn))
            self._output.line(f"  {format.size(count):>{size}}  {painted}  {line}".rstrip())
            if below and values[-1]:
                self._output.line(margin + self._dim(format.cut(values[-1], self._width - len(margin))))

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._coloured else text

    def _foot(self) -> None:
        """That the parts are all there is, or what is missing; and the file system."""
        space = self._space
        total = sum(part.bytes for part in space.parts)
        self._output.line()
        if total == space.disk and not space.differences:
            self._output.line(f"The parts are all that `du -x` counts: {format.exact_size(space.disk)}.")
        else:
            self._output.line(f"Counted: {format.exact_size(total)}; `du -x` counts {format.exact_size(space.disk)}.")
            self._output.lines(f"  - {self._output.sentence(one)}" for one in space.differences)
        used = space.capacity - space.free
        if space.capacity:
            room = min(max(self._width - 40, 8), _LONGEST_BAR)
            mine = format.bar(min(space.disk, used), space.capacity, room, plain=True).count("#")
            others = max(round(used * room / space.capacity) - mine, 0)
            free = max(room - mine - others, 0)
            drawn = "#" * mine + "=" * others + "." * free if self._plain else "█" * mine + "▒" * others + "░" * free
            share = format.percent(space.disk, space.capacity)
            self._output.line(
                f"File system  {drawn}  this store {share}, free {format.percent(space.free, space.capacity)}"
            )


def _pieces(space: Space) -> Iterator[Part]:
    """What people can do something about: the parts of the parts; a part without any itself."""
    for part in space.parts:
        yield from part.parts or (part,)
