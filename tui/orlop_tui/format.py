"""How values of the store library become words: for commands and screens alike.

Every text that comes from a store passes `orlop.text.visible` here or in the
caller, so that nothing of it reaches a terminal raw. No function here prints,
and none needs a terminal, Rich or Textual.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orlop import times
from orlop.errors import OrlopError, Refused
from orlop.finding import Finding, Repair, Severity
from orlop.plan import Plan, Reason
from orlop.records import Condition, EngineState, Fact, Flag, Row, Trust
from orlop.text import is_odd, masked, masked_env, middle, visible

UNKNOWN = "?"
"""Stands for a size or time that cannot be read; never for zero."""

NO_NAME = "(no name)"

SEVERITY_WORDS: Mapping[Severity, str] = {
    Severity.BLOCKS: "stops the whole store",
    Severity.UNUSABLE: "image unusable or wrong",
    Severity.LATENT: "works now, fails later or misreports",
    Severity.SPACE: "space that nothing needs",
    Severity.INFORMATION: "information",
}

REPAIR_WORDS: Mapping[Repair, str] = {
    Repair.REBUILD: "rebuild it with proof, offline",
    Repair.QUARANTINE: "move it aside, so that the engine can fetch it again",
    Repair.REMOVE: "remove it; nothing else is lost",
    Repair.LOSSY: "loses something: only with your consent",
}

BYTES_OF: Mapping[str, str] = {"docker": "of layers", "registry": "of blobs", "rkt": "of images and trees"}
"""What the total size of a kind of store counts."""

USE_WORDS: Mapping[str, str] = {
    "content": "needed by images",
    "records": "records",
    "containers": "containers",
    "build cache": "build cache",
    "uploads": "on its way in",
    "unreferenced": "nothing needs it",
    "unrecorded": "no record names it",
    "debris": "left over",
    "quarantine": "quarantine",
    "hidden": "another store's",
    "other": "not of images",
    "cannot tell": "cannot tell",
}
"""What bytes are there for, by `orlop.space.Use`."""

ENGINE_WORDS: Mapping[EngineState, str] = {
    EngineState.STOPPED: "engine not running",
    EngineState.RUNNING: "engine RUNNING",
    EngineState.HELD: "HELD by another program",
    EngineState.UNKNOWN: "engine state unknown",
}

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY
_TAIL = r"(?:[0-9a-f]{116}|[0-9a-f]{84}|[0-9a-f]{52})"
"""What follows the first twelve digits of a sha512, a sha384, and a sha256 or half of a sha512."""
_ALGORITHM = r"sha(?:256|384|512)[:-]"
_DIGEST = re.compile(rf"{_ALGORITHM}([0-9a-f]{{12}}){_TAIL}(?![0-9a-f])", re.ASCII)
_ANY_DIGEST = re.compile(rf"(?<![\w/.])(?:{_ALGORITHM})?([0-9a-f]{{12}}){_TAIL}(?![\w/])", re.ASCII)
"""A digest, an ACI key or a hex id, but no part of a path."""
_BYTES = re.compile(r"\b(\d+) bytes\b", re.ASCII)
_PLACEHOLDER = re.compile(r"(`orlop [^`]*?)\bPATH\b")
_ASSIGNMENT = re.compile(r"""(?<![\w.-])([\w.-]+)=("[^"]*"|'[^']*'|\S+)""")


# --- errors ------------------------------------------------------------------


def words(error: OrlopError) -> list[tuple[str, str]]:
    """An error as labelled lines, safe for a terminal: ``what``, ``where``, ``why``, ``do``.

    Answers that it does not give are left out; ``what`` is always there. Each
    reason of a refusal has its own line, from the second on with an empty label.
    """
    reasons = error.reasons if isinstance(error, Refused) else (error.why,)
    lines = [("what", error.what), ("where", error.path), *(("why", reason) for reason in reasons), ("do", error.do)]
    return [
        ("" if index and label == lines[index - 1][0] else label, visible(text))
        for index, (label, text) in enumerate(lines)
        if text
    ]


def advice(do: str, path: str) -> str:
    """What a person can do, with the store's own path in the place of ``PATH`` in the commands that it names."""
    return _PLACEHOLDER.sub(lambda found: found[1] + shell([path]), do)


def surprise(error: BaseException) -> str:
    """One line for an exception that nobody expected: a fault of the program, not of the store."""
    said = visible(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


# --- numbers and times -----------------------------------------------------------


def size(count: int | None) -> str:
    """Bytes for people, such as ``1.7 GB`` (powers of 1000); `UNKNOWN` for None."""
    if count is None:
        return UNKNOWN
    if abs(count) < 1000:
        return f"{count} B"
    from humanize.filesize import naturalsize  # deferred: it costs as much as the interpreter's own start

    return naturalsize(count)


def exact_size(count: int | None) -> str:
    """Bytes to the last one, such as ``1 702 345 B``; `UNKNOWN` for None."""
    return UNKNOWN if count is None else f"{count:,} B".replace(",", " ")


def both_sizes(count: int | None) -> str:
    """``1.7 GB (1 702 345 678 B)``, or the exact one alone where they say the same."""
    if count is None or abs(count) < 1000:
        return size(count)
    return f"{size(count)} ({exact_size(count)})"


def age(at: int | None, now: int) -> str:
    """How long ago, in one short unit: ``12 s``, ``5 min``, ``3 h``, ``40 d``, ``4 y``.

    A moment that is yet to come reads ``future``; None reads `UNKNOWN`.
    """
    if at is None:
        return UNKNOWN
    seconds = (now - at) // 1_000_000_000
    if seconds < -_MINUTE:  # a little is a clock that is wrong
        return "future"
    for unit, length, until in (("s", 1, _MINUTE), ("min", _MINUTE, _HOUR), ("h", _HOUR, _DAY), ("d", _DAY, 2 * _YEAR)):
        if seconds < until:
            return f"{max(seconds, 0) // length} {unit}"
    return f"{seconds // _YEAR} y"


def duration(seconds: float) -> str:
    """A length of time in at most two units: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(round(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(part: int, whole: int, width: int, *, plain: bool = False) -> str:
    """A bar for a part of something, `width` columns for all of it; what is there at all is never without a mark.

    Args:
        part: how much, in the unit of `whole`.
        whole: what the full width stands for.
        width: columns.
        plain: only ASCII; else blocks to an eighth of a column.
    """
    if part <= 0 or whole <= 0 or width <= 0:
        return ""
    if plain:
        return "#" * min(round(part * width / whole), width) or "."
    full, rest = divmod(min(max(round(part * width * 8 / whole), 1), width * 8), 8)
    return "█" * full + _EIGHTHS[rest].strip()


def percent(part: int, whole: int) -> str:
    """``37 %``; ``<1 %`` for what is there and less than that."""
    if part <= 0 or whole <= 0:
        return "0 %"
    hundredths = part * 100 / whole
    return "<1 %" if hundredths < 1 else f"{hundredths:.0f} %"


def sized(text: str) -> str:
    """A sentence of Orlop's own with ``N bytes`` in it, in a short unit."""
    return _BYTES.sub(lambda found: size(int(found[1])), text)


def hashing(done: int, total: int, seconds: float, *, width: int) -> str:
    """One line on bytes being hashed: how many of how many, how fast, how long yet, and a bar where it fits."""
    rate = done / seconds if seconds > 0 else 0.0
    left = f", {duration((total - done) / rate)} left" if rate and total > done else ""
    text = f"{size(done)} of {size(total)}, {size(int(rate))}/s{left}"
    room = min(width - len(text) - 4, _BAR)
    if room < _SHORTEST_BAR or not total:
        return text
    filled = min(room * done // total, room)
    return f"[{'#' * filled}{'-' * (room - filled)}]  {text}"


_BAR, _SHORTEST_BAR = 30, 8


def moment(at: int | None) -> str:
    """A time to the second, UTC: ``2026-08-29 10:14:07Z``; `UNKNOWN` for None."""
    return UNKNOWN if at is None else times.rfc3339(at)[:19].replace("T", " ") + "Z"


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``3 images``; `many` where an s is not enough."""
    return f"{number} {one if number == 1 else many or one + 's'}"


# --- names and states ----------------------------------------------------------


def short(text: str) -> str:
    """Twelve hex digits of a digest, ACI key or hex id; any other text made safe and whole."""
    found = _ANY_DIGEST.fullmatch(text)
    return found[1] if found else visible(text)


def shortened(text: str) -> str:
    """A sentence made safe, each digest in it cut to twelve digits."""
    return _DIGEST.sub(lambda found: found[1], visible(text))


def state_word(row: Row) -> str:
    """The one word for a row's state, damage first.

    ``BAD`` damaged, ``partial`` incomplete, ``busy`` changed while it was read,
    ``listed`` named by a record and no more, ``odd name``, ``untagged``. Of what
    is well it is how that is known: ``verified`` all bytes hashed, ``linked``
    config hashed and every record agrees, contents not hashed.
    """
    if row.condition is Condition.DAMAGED:
        return "BAD"
    if row.condition is Condition.INCOMPLETE:
        return "partial"
    if Flag.BUSY in row.flags:
        return "busy"
    if row.trust is Trust.LISTED:
        return "listed"
    if Flag.ODD_NAME in row.flags:
        return "odd name"
    if Flag.UNTAGGED in row.flags:
        return "untagged"
    return "verified" if row.trust is Trust.VERIFIED else "linked"


def state_sentence(row: Row, now: int) -> str:
    """A row's state and how it is known, one clause; never healthier than what was read."""
    if row.condition is not Condition.SOUND:
        return f"{row.condition}: {visible(row.reason)}" if row.reason else str(row.condition)
    match row.trust:
        case Trust.VERIFIED:
            return f"verified: all bytes hashed {age(row.verified_at, now)} ago"
        case Trust.LINKED:
            return "linked: config hashed, all it needs is there and agrees; layer contents not hashed"
        case Trust.LISTED:
            return "listed, unverified: a record names it, and nothing behind it was read"


def listed_name(row: Row) -> str:
    """The name of a row in a list, not yet safe: an index's platform, which has none, stands under its index."""
    if row.under is None:
        if row.key.name is None:
            return f"{row.key.scope} {NO_NAME}" if row.key.scope else NO_NAME
        return row.key.name
    return f"└ {row.key.name or row.platform or row.what}"


def fact_line(fact: Fact, *, full: bool = True, reveal: bool = False) -> tuple[str, str]:
    """One fact of a section: its name and, safe, its value with what Orlop adds; secrets masked unless `reveal`."""
    value = visible(fact.value if reveal else masked_fact(fact.name, fact.value))
    remark = f"  ({'PROBLEM: ' if fact.problem else ''}{visible(fact.remark)})" if fact.remark else ""
    text = f"{value}{remark}"
    name = visible(fact.name if reveal else masked_fact("", fact.name))
    return name, text if full else _ANY_DIGEST.sub(lambda found: found[1], text)


def row_name(row: Row) -> str:
    """The name on a row, safe for a terminal; `NO_NAME` for an untagged image."""
    return NO_NAME if row.key.name is None else visible(row.key.name)


def repair_line(severity: Severity, repair: Repair | None) -> str:
    """The cure of a finding, its class first; of mere information, that it may stay as it is."""
    if repair is None:
        return "nothing to repair"
    may_stay = "" if severity is not Severity.INFORMATION else " (harmless: it may stay)"
    return f"{repair}: {REPAIR_WORDS[repair]}{may_stay}"


def finding_line(finding: Finding) -> str:
    """The headline of a finding: ``DK05 layer-parent-lost  image/…/parent``."""
    return f"{finding.rule} {finding.title}  {visible(finding.path)}"


# --- plans -----------------------------------------------------------------------

_VERBS = {
    "tag": "Tag",
    "untag": "Untag",
    "remove": "Remove",
    "layer": "Layers",
    "repository": "Remove",
    "revision": "Remove",
    "blob": "Blobs",
    "link": "Links",
    "upload": "Uploads",
    "tree": "Trees",
    "data": "Data",
    "mount": "Mounts",
    "debris": "Debris",
    "unmap": "V2 maps",
    "add": "Add",
    "set": "Set",
    "repair": "Repair",
    "drop": "Forget",
    "keep": "Keep",
    "note": "Note",
}


FEW_LAYERS = 2
"""Layers up to which a plan names each, where it may sum them up."""


def plan_lines(plan: Plan, *, full: bool = True, listed: bool = True) -> list[tuple[str, str]]:
    """What a plan does, for people: (word at the margin, line), the word only where it changes.

    Args:
        plan: the plan.
        full: digests are whole; else twelve digits of each.
        listed: every layer has its line; else those that go, and those that stay, are
            summed up in one where they are more than `FEW_LAYERS`.
    """
    groups: dict[str, list[Reason]] = {}
    for reason in plan.reasons:
        groups.setdefault(_layers_of(reason), []).append(reason)
    lines: list[tuple[str, str]] = []
    last = ""
    for reason in plan.reasons:
        layers = groups[_layers_of(reason)]
        if listed or not _layers_of(reason) or len(layers) <= FEW_LAYERS:
            text = reason_line(reason, full=full)
        elif reason is layers[0]:
            text = _summed(layers, plan.kept_for)
        else:
            continue
        word = _VERBS.get(reason.verb, reason.verb)
        lines.append(("" if word == last else word, text))
        last = word
    return lines


def _layers_of(reason: Reason) -> str:
    """``layer`` or ``keep`` for a layer that goes or stays; empty for anything else."""
    is_layer = reason.verb == "layer" or (reason.verb == "keep" and reason.subject.startswith("layer "))
    return reason.verb if is_layer else ""


def _summed(layers: Sequence[Reason], needed_by: int) -> str:
    if layers[0].verb == "layer":
        unneeded = all(reason.because.endswith("nothing else needs it") for reason in layers)
        return f"{len(layers)} layers go" + (
            "; nothing else needs them" if unneeded else ", damaged or on damaged ones"
        )
    images = [f"needed by {count(needed_by, 'other image')}"] if needed_by else []
    others = any(not reason.because.startswith("needed by image") for reason in layers)
    return ", ".join([f"{len(layers)} layers stay", *images, *(["some by containers or other layers"] * others)])


def reason_line(reason: Reason, *, full: bool = True) -> str:
    """One reason of a plan: what, and because of what, with bytes in a short unit."""
    because = _BYTES.sub(lambda found: size(int(found[1])), visible(reason.because))
    text = f"{visible(reason.subject)}  ({because})" if because else visible(reason.subject)
    return text if full else _ANY_DIGEST.sub(lambda found: found[1], text)


def plan_space(plan: Plan) -> str:
    """What a plan does for the disk: now, after the quarantine is purged, and what stays."""
    if plan.bytes_now or plan.bytes_freed:
        text = f"{size(plan.bytes_now)} now, {size(plan.bytes_freed)} after a purge"
    elif plan.bytes_added:
        text = f"{size(plan.bytes_added)} are added"
    else:
        text = "none is freed"
    return f"{text}; {size(plan.bytes_kept)} of layers stay" if plan.bytes_kept else text


PART_WORDS: Mapping[str, str] = {
    "images": "images without a name",
    "mounts": "mount records of containers that are gone",
    "layers": "layers that no image needs",
    "data": "folders of layer data without a record",
    "debris": "things that were cut off",
    "mappings": "stale digest mappings",
    "repositories": "repositories with nothing in them",
    "manifests": "manifests that nothing keeps",
    "links": "links to layers that no manifest names",
    "blobs": "blobs that nothing needs",
    "folders": "empty folders",
    "trees": "rendered trees that no pod stands on",
    "remotes": "remote records that lead to no image",
    "rows": "rows whose archive is gone",
    "archives": "archives that are not what their key says",
}
"""The parts of a plan to clean, after their number."""


def weight(plan: Plan) -> tuple[int, str]:
    """The number that a person types before a weighty plan is done, and the word for what it counts.

    The images that go, or the names where no image does, or what else does.
    """
    for verb, noun in _WEIGHTS:
        number = sum(reason.verb == verb for reason in plan.reasons)
        if number:
            return number, noun
    return max(len(plan.images), 1), "image"  # no plan is weighty by anything else


_WEIGHTS = (
    ("repository", "repository"),
    ("remove", "image"),
    ("revision", "revision"),
    ("untag", "name"),
    ("blob", "blob"),
    ("upload", "upload"),
    ("tree", "tree"),
)


# --- secrets -----------------------------------------------------------------------


def masked_command(text: str) -> str:
    """A command line or history entry with secret-looking values masked: of assignments, and passwords in URLs."""
    return masked("", _ASSIGNMENT.sub(lambda found: f"{found[1]}={masked(found[1], found[2])}", text))


def masked_fact(name: str, value: str) -> str:
    """The value of a detail's fact with what looks secret masked: by its name, and in assignments and URLs."""
    return masked(name, masked_command(value))


def masked_config(value: object, *, member: str = "", reveal: bool = False, depth: int = 0) -> object:
    """A config, or a part of it, as it may be shown: every value masked that looks secret.

    ``Env`` entries and ``Labels`` by their names, and so the appc pairs of a ``name``
    and a ``value``; in every other text the values
    of assignments such as those of ``ENV`` and ``ARG`` lines. What lies deeper than
    any real config, where an engine still reads, is an ellipsis.

    Args:
        value: the config.
        member: the name that holds it.
        reveal: mask nothing.
        depth: how deep it lies.
    """
    if isinstance(value, str):
        if reveal:
            return value
        return masked_env(value) if member == "env" else masked_command(value)
    if depth > _DEEPEST and isinstance(value, Mapping | list | tuple):
        return "…"
    if isinstance(value, Mapping):
        labels = member == "labels" and not reveal
        if not reveal and isinstance(named := value.get("name"), str) and isinstance(value.get("value"), str):
            hidden = masked_fact(named, str(value["value"]))
            value = {**value, "value": hidden}
        return {
            key: masked(key, item)
            if labels and isinstance(item, str)
            else masked_config(item, member=key.lower(), reveal=reveal, depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked_config(item, member=member, reveal=reveal, depth=depth + 1) for item in value]
    return value


_DEEPEST = 64
"""Levels of a config that are shown."""


# --- tables -------------------------------------------------------------------------


def cells(text: str) -> int:
    """Columns that a safe text takes on a terminal: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """A safe text cut in the middle so that it takes at most `width` columns."""
    room = width
    while cells(text) > width and room > 0:
        text = middle(text, room)
        room -= 1
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a plain table."""

    title: str
    right: bool = False
    """Whether its values stand at the right margin, as numbers do."""
    gives: bool = False
    """Whether it is cut where the table is too wide; the widest such column first."""


GAP = "  "
_NARROWEST = 12

_WIDEST = 400
"""Columns that a value takes from the others where nothing is cut; a longer one stands out of its column."""


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, width: int | None = None) -> list[str]:
    """A plain table with its heading, line by line, no blanks at the ends.

    Args:
        columns: the columns, left to right.
        rows: safe texts, one a column.
        width: columns of the terminal; None never cuts.
    """
    lines = [[column.title for column in columns], *(list(row) for row in rows)]
    most = _WIDEST if width is None else width
    widths = [max(min(cells(line[index]), most) for line in lines) for index in range(len(columns))]
    if width is not None:
        _narrow(widths, columns, width)
    return [_line(columns, widths, line, cuts=width is not None) for line in lines]


def _narrow(widths: list[int], columns: Sequence[Column], width: int) -> None:
    """Take the missing room from the columns that give, from the widest first."""
    missing = sum(widths) + len(GAP) * (len(columns) - 1) - width
    giving = [index for index, column in enumerate(columns) if column.gives]
    while missing > 0 and giving:
        widest = max(giving, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        missing -= 1


def _line(columns: Sequence[Column], widths: Sequence[int], values: Sequence[str], *, cuts: bool) -> str:
    parts = []
    for column, room, value in zip(columns, widths, values, strict=True):
        shown = cut(value, room) if cuts else value
        blanks = " " * (room - cells(shown))
        parts.append(blanks + shown if column.right else shown + blanks)
    return GAP.join(parts).rstrip()


# --- shells --------------------------------------------------------------------------------


def shell(words: Iterable[str]) -> str:
    """Words quoted for a shell and safe for a terminal; odd characters in bash's ``$'…'`` form."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if not is_odd(word):
        return shlex.quote(word)
    data = word.encode(errors="surrogateescape")
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in data) + "'"
