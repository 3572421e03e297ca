"""What stands in the four panes beside the image list, as lines for a width; no screen needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

from orlop.finding import Finding, Severity
from orlop.jsonrules import member
from orlop.records import Absent, Detail, HistoryEntry, Key, LayerRecord, Records, Remote, Row
from orlop.records import Mapping as MappingRecord
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.widgets.lines import BLANK, Builder, Line, Role, Span, fit, fold, labelled, line, rule, span, spans
from orlop_tui.widgets.store_table import state_role


class Pane(IntEnum):
    """The sections, by the digit that opens them."""

    META = 1
    DIGESTS = 2
    REMOTE = 3
    PROBLEMS = 4

    @property
    def title(self) -> str:
        return {1: "Meta", 2: "Digests", 3: "Remote", 4: "Problems"}[self]


@dataclass(frozen=True, slots=True)
class ToImage:
    """A line leads to an image of this store."""

    id: str


@dataclass(frozen=True, slots=True)
class ToMapping:
    """A line stands for one V2 digest mapping."""

    mapping: MappingRecord


@dataclass(frozen=True, slots=True)
class ToFinding:
    """A line stands for one finding."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Everything known of the row under the cursor; what is None has not been read yet."""

    row: Row | None
    now: int
    detail: Detail | None = None
    mappings: Records | Absent | None = None
    remotes: Records | Absent | None = None
    findings: tuple[Finding, ...] | None = None
    """Of the whole store; None before a check."""
    own: tuple[Finding, ...] = ()
    """Those of them that are about this row."""
    unchecked: str = "checking …"
    """What to say while there are none yet."""
    problem: str = ""
    """Why the detail could not be read; else empty."""
    whole_store: bool = False
    """Whether the problems pane lists the store's findings, rather than the row's."""


def builder(shown: Shown, panes: Sequence[Pane]) -> Builder:
    """The lines of one pane, or of several below each other with a rule before each.

    Below each other, what is long in the metadata comes last, so that the other
    panes are in sight.
    """

    def build(width: int) -> list[Line]:
        if len(panes) == 1:
            return list(_PANES[panes[0]](shown, width))
        lines = list(_brief(shown, width))
        for pane in panes:
            if pane is not Pane.META:
                lines += [rule(f"{pane} {pane.title}", width), *_PANES[pane](shown, width)]
        if shown.detail is not None:
            lines += [rule("1 Config, layers, history", width), *_long(shown.detail, shown.now, width)]
        return lines

    return build


def place_of(pane: Pane, lines: Sequence[Line]) -> int:
    """The line where a pane begins among stacked ones."""
    start = f"──── {int(pane)} "
    return next((i for i, found in enumerate(lines) if found.spans and found.spans[0].text.startswith(start)), 0)


# --- 1 metadata ------------------------------------------------------------------


def metadata(shown: Shown, width: int) -> Iterator[Line]:
    """An image whole: names, state, config, layers, history, keys beside it."""
    yield from _brief(shown, width)
    if shown.detail is not None:
        yield from _long(shown.detail, shown.now, width)


def _no_row() -> Line:
    return line(span("no row is under the cursor", Role.FAINT))


def _brief(shown: Shown, width: int) -> Iterator[Line]:
    row, detail = shown.row, shown.detail
    if row is None:
        yield _no_row()
        return
    yield from labelled("Image", row.key.id, width)
    names = detail.names if detail is not None else ((row.key.name,) if row.key.name else ())
    yield from _names(names, width)
    yield from labelled("State", words.state_sentence(row, shown.now), width, role=state_role(row))
    for problem in detail.problems if detail is not None else ():
        yield from labelled("Problem", problem, width, role=Role.BAD)
    if shown.problem:
        yield from labelled("Problem", shown.problem, width, role=Role.BAD)
    flags = ", ".join(sorted(row.flags))
    if flags:
        yield from labelled("Notes", flags, width)
    created = f"{words.moment(row.created)}  {words.age(row.created, shown.now)} ago" if row.created else words.UNKNOWN
    yield from labelled("Created", created, width)
    yield from labelled("Platform", row.platform or words.UNKNOWN, width)
    yield from labelled("Size", words.both_sizes(row.size), width)
    yield from labelled("Own", f"{words.both_sizes(row.own_size)}: layers that no other image uses", width)
    if detail is None:
        if not shown.problem:
            yield line(span("reading …", Role.FAINT))
        return
    yield from labelled("Layers", _layers_line(row, detail), width)
    yield from _family(detail, width)


def _layers_line(row: Row, detail: Detail) -> str:
    if not detail.layers and row.size is None:
        return f"{words.UNKNOWN}  its config cannot be read, and nothing else names them"
    shared = sum(bool(layer.shared_with) for layer in detail.layers)
    return f"{len(detail.layers)}, of which other images use {shared} too"


def _long(detail: Detail, now: int, width: int) -> Iterator[Line]:
    yield from _config(detail, width)
    yield from _layers(detail.layers, width)
    yield from _history(detail.history, now, width)
    yield from _files(detail, width)


def _names(names: Sequence[str], width: int) -> Iterator[Line]:
    if not names:
        yield from labelled("Names", "none: no tag and no digest reference leads here", width)
    label = "Names"
    for name in names:
        yield from labelled(label, name, width)
        label = ""


def _family(detail: Detail, width: int) -> Iterator[Line]:
    if detail.parent is not None:
        known = "" if detail.parent_known else "  not in this store"
        yield from _led("Parent", detail.parent, width, ToImage(detail.parent) if detail.parent_known else None)
        if known:
            yield from labelled("", known.strip(), width, role=Role.WARN)
    label = "Children"
    for child in detail.children:
        yield from _led(label, child, width, ToImage(child))
        label = ""
    label = "Used by"
    for container in detail.containers:
        running = {True: "its record says running", False: "stopped", None: "state unknown"}[container.running]
        text = f"container {container.name or '(no name)'}  {words.short(container.id)}  {running}"
        yield from labelled(label, text, width)
        label = ""


def _led(label: str, identity: str, width: int, target: object | None) -> Iterator[Line]:
    head = fit(label, 9)
    for part in fold(visible(identity), width - 9):
        yield Line((Span(head, Role.LABEL), *spans(part)), target, identity)
        head, target = " " * 9, None


def _config(detail: Detail, width: int) -> Iterator[Line]:
    config = words.masked_config(detail.config)
    run = member(config, "config")
    if run is None:
        return
    for label, name in (("Command", "Cmd"), ("Entry", "Entrypoint"), ("Folder", "WorkingDir"), ("User", "User")):
        value = member(run, name)
        if value:
            text = value if isinstance(value, str) else " ".join(_shell(v) for v in _texts(value))
            yield from labelled(label, text, width)
    for label, name in (("Env", "Env"), ("Ports", "ExposedPorts"), ("Volumes", "Volumes"), ("Labels", "Labels")):
        value = member(run, name)
        head = label
        for text in _pairs(value) if isinstance(value, Mapping) else _texts(value):
            yield from labelled(head, text, width)
            head = ""


def _shell(word: str) -> str:
    return word if word and not set(word) & set(" \t\n\"'") else f"{word!r}"


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [v if isinstance(v, str) else str(v) for v in value] if isinstance(value, list | tuple) else []


def _pairs(value: Mapping[str, object]) -> list[str]:
    return [f"{k}={v}" if isinstance(v, str) else str(k) for k, v in value.items()]


def _layers(layers: Sequence[LayerRecord], width: int) -> Iterator[Line]:
    if not layers:
        return
    yield BLANK
    yield line(span("Layers   bottom first", Role.LABEL))
    for number, layer in enumerate(layers, 1):
        head = fit(f"{number}", 3, right=True) + " " + fit(words.size(layer.size), 8, right=True) + "  "
        if width >= len(head) + 71:
            yield line(span(head), span(layer.diff_id), copy=layer.diff_id)
        else:
            parts = fold(visible(layer.diff_id), width - len(head))
            yield line(span(head), span(parts[0]), copy=layer.diff_id)
            for part in parts[1:]:
                yield line(span(" " * len(head)), span(part), copy=layer.diff_id)
        yield from _beside("chain", layer.chain_id, width, len(head), Role.FAINT)
        if layer.shared_with:
            users = ", ".join(words.short(image) for image in layer.shared_with[:6])
            more = f" and {len(layer.shared_with) - 6} more" if len(layer.shared_with) > 6 else ""
            yield from _beside("also in", users + more, width, len(head), Role.FAINT)
        if layer.data_path:
            yield from _beside("data", layer.data_path, width, len(head), Role.FAINT)
        if layer.problem:
            yield from _beside("problem", layer.problem, width, len(head), Role.BAD)


def _beside(label: str, text: str, width: int, margin: int, role: Role) -> Iterator[Line]:
    head = " " * margin + fit(label, 8)
    for part in fold(visible(text), width - margin - 8):
        yield Line((Span(head, Role.LABEL), *spans(part, role)), copy=text)
        head = " " * (margin + 8)


def _history(history: Sequence[HistoryEntry], now: int, width: int) -> Iterator[Line]:
    if not history:
        return
    yield BLANK
    yield line(span("History  oldest first; a number is the layer that a step made", Role.LABEL))
    for entry in history:
        number = "-" if entry.layer is None else str(entry.layer + 1)
        head = fit(number, 3, right=True) + " " + fit(words.age(entry.created, now), 8, right=True) + "  "
        text = words.masked_command(entry.created_by or entry.comment or "(no command recorded)")
        if entry.comment and entry.created_by:
            text += f"  # {entry.comment}"
        for part in fold(visible(text), width - len(head)):
            yield Line((Span(head, Role.LABEL), *spans(part)), copy=text)
            head = " " * len(head)


def _files(detail: Detail, width: int) -> Iterator[Line]:
    yield BLANK
    yield from labelled("Config", detail.config_path, width, role=Role.FAINT)
    for record in detail.metadata:
        yield from labelled("Key", f"{record.name}: {record.text}", width)
        yield from labelled("", record.path, width, role=Role.FAINT)


# --- 2 digests --------------------------------------------------------------------


def digests(shown: Shown, width: int) -> Iterator[Line]:
    """The V2 digest mappings of the image's layers, both ways."""
    records = shown.mappings
    if shown.row is None:
        yield _no_row()
        return
    if records is None or isinstance(records, Absent):
        yield from _absent(records, shown, width)
        return
    mappings = [record for record in records if isinstance(record, MappingRecord)]
    whole = width >= _WIDE_MAPPINGS
    number = {layer.diff_id: str(i) for i, layer in enumerate(shown.detail.layers, 1)} if shown.detail else {}
    title = fit("REGISTRY DIGEST", _digest_cells(whole))
    yield line(span(f"  #  DIFF ID       {title}  SOURCE REPOSITORY", Role.LABEL))
    mapped = {mapping.diff_id for mapping in mappings}
    for (diff_id, digest), group in groupby(mappings, lambda mapping: (mapping.diff_id, mapping.digest)):
        for mapping in group:
            yield from _mapping(mapping, number.get(diff_id, "-"), width, whole)
        if 80 <= width < _WIDE_MAPPINGS:
            yield from _beside("blob", digest, width, 1, Role.FAINT)
    for layer in shown.detail.layers if shown.detail else ():
        if layer.diff_id not in mapped:
            head = fit(number[layer.diff_id], 3, right=True) + f"  {words.short(layer.diff_id)}  none"
            yield line(span(head, Role.FAINT), span("             no V2 record", Role.FAINT), copy=layer.diff_id)


_WIDE_MAPPINGS = 116
"""Columns from which a whole digest has room beside the diff id and the source."""


def _digest_cells(whole: bool) -> int:
    return 71 if whole else 15


def _mapping(mapping: MappingRecord, number: str, width: int, whole: bool) -> Iterator[Line]:
    digest = fit(visible(mapping.digest) if whole else words.short(mapping.digest), _digest_cells(whole))
    head = f"{fit(number, 3, right=True)}  {words.short(mapping.diff_id)}  {digest}  "
    source = visible(mapping.source) or "(reverse record only)"
    stale = "STALE " if mapping.stale else ""
    room = max(8, width - len(head) - len(stale))
    last = span(fit(source, room, middle=True))
    yield line(span(head), span(stale, Role.WARN), last, target=ToMapping(mapping), copy=mapping.digest)
    if mapping.reverse is not None and mapping.reverse != mapping.diff_id:
        yield from _beside("back to", mapping.reverse, width, 1, Role.WARN)
    elif mapping.reverse is None:
        yield from _beside("back to", "no reverse record", width, 1, Role.FAINT)
    if mapping.stale:
        yield from _beside("stale", mapping.reason, width, 1, Role.WARN)


def _absent(records: Absent | None, shown: Shown, width: int) -> Iterator[Line]:
    text = records.because if records is not None else "not read" if shown.problem else "reading …"
    for part in fold(visible(text), width):
        yield Line((Span(part, Role.FAINT),))


# --- 3 remote records --------------------------------------------------------------


def remotes(shown: Shown, width: int) -> Iterator[Line]:
    """Where the image is known outside this store."""
    records = shown.remotes
    if shown.row is None:
        yield _no_row()
        return
    if records is None or isinstance(records, Absent):
        yield from _absent(records, shown, width)
        return
    found = [record for record in records if isinstance(record, Remote)]
    if not found:
        yield line(span("no remote record leads to this image", Role.FAINT))
    for remote in found:
        yield from labelled("Remote", remote.reference, width)
        for label, text in (("URL", remote.url), ("Signed", remote.signature_url), ("ETag", remote.etag)):
            if text:
                yield from labelled(label, text, width)
        if remote.downloaded is not None:
            yield from labelled("Fetched", words.moment(remote.downloaded), width)
        if remote.expires is not None:
            yield from labelled("Expires", words.moment(remote.expires), width)
        if remote.image is not None and not remote.image_known:
            yield from labelled("", "the image that it leads to is not in this store", width, role=Role.WARN)
        yield from labelled("", f"{remote.kind}  {remote.path}".strip(), width, role=Role.FAINT)


# --- 4 problems -------------------------------------------------------------------

_SEVERITY_ROLES = {
    Severity.BLOCKS: Role.BAD,
    Severity.UNUSABLE: Role.BAD,
    Severity.LATENT: Role.WARN,
    Severity.SPACE: Role.PLAIN,
    Severity.INFORMATION: Role.FAINT,
}


def problems(shown: Shown, width: int) -> Iterator[Line]:
    """Findings of the row, or of the whole store; each leads to the image that it affects."""
    if shown.findings is None:
        yield line(span(shown.unchecked, Role.FAINT))
        return
    own = shown.own
    chosen = shown.findings if shown.whole_store else own
    other = len(shown.findings) - len(chosen)
    about = "the whole store" if shown.whole_store else "this row"
    if shown.whole_store:
        hint = f"a: only this row's {len(own)}"
    else:
        hint = f"a: {other} more in the whole store" if other else "nothing else in the store"
    yield line(span(f"{words.count(len(chosen), 'finding')} in {about}  ", Role.LABEL), span(hint, Role.FAINT))
    for finding in chosen:
        yield from _finding(finding, width)


def _finding(finding: Finding, width: int) -> Iterator[Line]:
    role = _SEVERITY_ROLES[finding.severity]
    head = f"{finding.severity} {finding.rule} {visible(finding.title)}"
    yield line(span(fit(head, min(width, len(head))), role), target=ToFinding(finding), copy=finding.path)
    yield from _beside("where", finding.path, width, 3, Role.PLAIN)
    yield from _beside("found", finding.detail, width, 3, Role.PLAIN)
    if finding.engine_says:
        yield from _beside("engine", finding.engine_says, width, 3, Role.FAINT)
    if finding.names:
        yield from _beside("names", ", ".join(finding.names[:8]), width, 3, Role.FAINT)
    if finding.repair is not None:
        yield from _beside("repair", words.REPAIR_WORDS[finding.repair], width, 3, Role.FAINT)


def affected(finding: Finding, rows: Sequence[Row]) -> Key | None:
    """The first row that a finding is about; None where it is about none."""
    names, images = set(finding.names), set(finding.images)
    by_name = next((row.key for row in rows if row.key.name in names), None) if names else None
    return by_name or (next((row.key for row in rows if row.key.id in images), None) if images else None)


_PANES = {Pane.META: metadata, Pane.DIGESTS: digests, Pane.REMOTE: remotes, Pane.PROBLEMS: problems}
