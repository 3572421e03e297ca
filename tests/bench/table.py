"""The table of all that a run measured, each figure beside its yardstick and what is to be reached.

A measurement asks for the fixture ``table``::

    table.about("list 100000 images, every config hashed")
    table.row("first time", seconds, beside="find | xargs cat", yardstick=reading, at_most=2)
    table.row("by as many threads as cores", seconds, beside="sha256sum", yardstick=sums, at_least=0.95)
    table.figure("idle: share of one core", share * 100, "%", at_most=1)
    table.note("blobs", "100000")

The whole is printed at the end of the run (`tests/bench/conftest.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

_WHAT, _BESIDE = 52, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing measured."""

    what: str
    beside: str = ""
    """The yardstick, run in the same minute."""
    theirs: str = ""
    ours: str
    ratio: float | None = None
    """Seconds per seconds of the yardstick; where a share is to be reached, its seconds per ours; else the figure."""
    at_most: float | None = None
    at_least: float | None = None
    shows_ratio: bool = True

    @property
    def reached(self) -> bool | None:
        """None where nothing is to be reached."""
        if self.ratio is None or (self.at_most is None and self.at_least is None):
            return None
        return (self.at_most is None or self.ratio <= self.at_most) and (
            self.at_least is None or self.ratio >= self.at_least
        )

    def text(self) -> str:
        ratio = f"{self.ratio:.2f}" if self.ratio is not None and self.shows_ratio else ""
        target = "" if self.at_most is None else f"≤ {self.at_most:g}"
        target = target if self.at_least is None else f"≥ {self.at_least:g}"
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[self.reached]
        cells = f"  {self.what:<{_WHAT}} {self.beside:<{_BESIDE}} {self.theirs:>10} {self.ours:>10}"
        return f"{cells} {ratio:>7} {target:>7}  {verdict}".rstrip()


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured so far, in the order of measuring."""

    sections: dict[str, list[Line]] = field(default_factory=dict)

    def about(self, title: str) -> None:
        """What the lines from here on are about."""
        self.sections[title] = self.sections.pop(title, [])

    def row(
        self,
        what: str,
        ours: float,
        *,
        beside: str,
        yardstick: float,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Seconds of ours and of a yardstick: at most so many times as long, or at least that share of its speed."""
        ratio = yardstick / ours if at_least is not None else ours / yardstick
        self._add(
            Line(
                what=what,
                beside=beside,
                theirs=f"{yardstick:.2f} s",
                ours=f"{ours:.2f} s",
                ratio=ratio,
                at_most=at_most,
                at_least=at_least,
            )
        )

    def figure(
        self, what: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """A figure that has no yardstick but perhaps a bound."""
        shown = f"{value:.0f}" if value >= 100 else f"{value:.2f}"
        self._add(
            Line(what=what, ours=f"{shown} {unit}", ratio=value, at_most=at_most, at_least=at_least, shows_ratio=False)
        )

    def note(self, what: str, value: str) -> None:
        """Something to know beside the figures."""
        self._add(Line(what=what, ours=value))

    def lines(self) -> Iterable[str]:
        """The whole table, and how much of it was reached."""
        yield f"  {'':<{_WHAT}} {'yardstick':<{_BESIDE}} {'its time':>10} {'orlop':>10} {'ratio':>7} {'goal':>7}"
        for title, rows in self.sections.items():
            if not rows:
                continue
            yield ""
            yield title
            yield from (line.text() for line in rows)
        verdicts = [line.reached for rows in self.sections.values() for line in rows if line.reached is not None]
        yield ""
        yield f"{sum(verdicts)} of {len(verdicts)} goals reached"

    def _add(self, line: Line) -> None:
        next(reversed(self.sections.values())).append(line)
