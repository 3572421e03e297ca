"""The pane of metadata: an image whole, with what only its kind of store has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orlop.jsonrules import member
from orlop.records import Detail, Fact, HistoryEntry, Key, LayerRecord, Row, Section
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.widgets.kindwords import state_sentence
from orlop_tui.widgets.lines import (
    BLANK,
    Line,
    Role,
    Span,
    beside,
    fit,
    fold,
    labelled,
    line,
    span,
    spans,
    width_of,
)
from orlop_tui.widgets.shown import Shown, ToDigest, ToRow, no_row
from orlop_tui.widgets.store_table import state_role

_FACT_NAME = 24
"""Cells that the name of a fact takes at most beside its value."""


def metadata(shown: Shown, width: int) -> Iterator[Line]:
    """An image whole: names, state, what its kind has, config, layers, history, the files behind it."""
    yield from brief(shown, width)
    if shown.detail is not None:
        yield from at_length(shown, width)


def brief(shown: Shown, width: int) -> Iterator[Line]:
    """What one wants to know of an image first."""
    row, detail = shown.row, shown.detail
    if row is None:
        yield no_row()
        return
    yield from labelled(shown.words.image, row.key.id or "unknown: nothing says what the name means", width)
    names = detail.names if detail is not None else ((row.key.name,) if row.key.name else ())
    yield from _names(names, row, shown.kind, width)
    yield from labelled("State", state_sentence(row, shown.now, shown.kind), width, role=state_role(row))
    for problem in detail.problems if detail is not None else ():
        yield from labelled("Problem", problem, width, role=Role.BAD)
    if shown.problem:
        yield from labelled("Problem", shown.problem, width, role=Role.BAD)
    if row.under is not None:
        yield from led("Under", row.under.name or row.under.id, width, ToRow(row.under))
    notes = ([row.what] if row.what != "image" else []) + sorted(row.flags)
    if notes:
        yield from labelled("Notes", ", ".join(notes), width)
    if row.created is not None or row.what == "image":
        yield from labelled(shown.words.created, _moment(row.created, shown.now), width)
    if row.last_used is not None:
        yield from labelled("Used", _moment(row.last_used, shown.now), width)
    if row.platform or row.what == "image":
        yield from labelled("Platform", row.platform or words.UNKNOWN, width)
    yield from labelled("Size", words.both_sizes(row.size), width)
    yield from labelled("Own", f"{words.both_sizes(row.own_size)}: {shown.words.own}", width)
    if detail is None:
        if not shown.problem:
            yield line(span("reading …", Role.FAINT))
        return
    if shown.words.has_layers and (detail.layers or row.what == "image"):
        yield from labelled("Layers", _layers_line(row, detail), width)
    yield from _family(detail, row.key.scope, shown.words.user, width)


def _moment(at: int | None, now: int) -> str:
    return f"{words.moment(at)}  {words.age(at, now)} ago" if at else words.UNKNOWN


def _layers_line(row: Row, detail: Detail) -> str:
    if not detail.layers and row.size is None:
        return f"{words.UNKNOWN}  its config cannot be read, and nothing else names them"
    shared = sum(bool(layer.shared_with) for layer in detail.layers)
    return f"{len(detail.layers)}, of which other images use {shared} too"


def at_length(shown: Shown, width: int) -> Iterator[Line]:
    """What is long: sections of the kind, config, layers, history, files."""
    detail = shown.detail
    if detail is None:
        return
    for section in detail.sections:
        yield from _section(section, width)
    yield from _config(detail, width)
    yield from _layers(detail.layers, shown.now, width)
    yield from _history(detail.history, detail.layers, shown.now, width)
    yield from _files(detail, width)


def _names(names: Sequence[str], row: Row, kind: str, width: int) -> Iterator[Line]:
    if not names:
        yield from labelled("Names", _NAMELESS.get(kind, _NAMELESS["docker"]), width)
    if row.key.scope and not names:
        yield from labelled("In", row.key.scope, width)
    label = "Names"
    for name in names:
        yield from labelled(label, name, width)
        label = ""


_NAMELESS: Mapping[str, str] = {
    "docker": "none: no tag and no digest reference leads here",
    "registry": "none: no tag of its repository leads here",
    "rkt": "unknown: neither its row nor its manifest tells",
}


def _family(detail: Detail, scope: str, user: str, width: int) -> Iterator[Line]:
    if detail.parent is not None:
        known = "" if detail.parent_known else "  not in this store"
        parent = ToRow(Key(scope, detail.parent, None)) if detail.parent_known else None
        yield from led("Parent", detail.parent, width, parent)
        if known:
            yield from labelled("", known.strip(), width, role=Role.WARN)
    if not detail.sections:  # which name the children with what is known of each
        label = "Children"
        for child in detail.children:
            yield from led(label, child, width, ToRow(Key(scope, child, None)))
            label = ""
    label = "Used by"
    for container in detail.containers:
        running = {True: "its record says running", False: "stopped", None: "state unknown"}[container.running]
        name = f" {container.name or '(no name)'}" if user == "container" else ""  # a pod has none
        text = f"{user}{name}  {words.short(container.id)}  {running}"
        yield from labelled(label, text, width)
        label = ""


def led(label: str, identity: str, width: int, target: object | None) -> Iterator[Line]:
    """A label and an id or name, the first line of which leads to a target."""
    head = fit(label, 9)
    for part in fold(visible(identity), width - 9):
        yield Line((Span(head, Role.LABEL), *spans(part)), target, identity)
        head, target = " " * 9, None


# --- sections of a kind -------------------------------------------------------


def _section(section: Section, width: int) -> Iterator[Line]:
    yield BLANK
    yield line(span(section.title[:1].upper() + section.title[1:], Role.LABEL))
    longest = max((_cells(visible(fact.name)) for fact in section.facts), default=0)
    for fact in section.facts:
        yield from _fact(fact, min(longest, _FACT_NAME), width)


def _fact(fact: Fact, room: int, width: int) -> Iterator[Line]:
    """A fact: its value beside its name, or below it where that keeps either from being broken; so its remark."""
    name, value = words.fact_line(replace(fact, remark=""))
    _, whole = words.fact_line(fact)
    target: object | None = ToRow(fact.leads_to) if fact.leads_to is not None else None
    left = width - room - 4
    if not value or _cells(name) > room or (_cells(value) > left and _longest_word(value) > left):
        for part in fold(name, width - 2):
            yield Line((Span("  "), *spans(part, Role.LABEL if whole else Role.PLAIN)), target, fact.value or fact.name)
            target = None
        head = " " * 4
    else:
        head = "  " + fit(name, room) + "  "
    role = Role.BAD if fact.problem else Role.PLAIN
    texts = [whole] if _cells(whole) <= width - len(head) else [value, whole[len(value) :].strip()]
    for text in filter(None, texts):
        for part in fold(text, width - len(head)):
            yield Line((Span(head, Role.LABEL), *spans(part, role)), target, fact.value)
            head, target = " " * len(head), None


def _cells(text: str) -> int:
    return width_of((Span(text),))


def _longest_word(text: str) -> int:
    return max(map(_cells, text.split(" ")), default=0)


# --- config, layers, history, files -----------------------------------------------


def _config(detail: Detail, width: int) -> Iterator[Line]:
    config = words.masked_config(detail.config)
    run = member(config, "config")
    if run is None:
        return
    if detail.sections:
        yield BLANK
        yield line(span("Config", Role.LABEL))
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


def _layers(layers: Sequence[LayerRecord], now: int, width: int) -> Iterator[Line]:
    if not layers:
        return
    yield BLANK
    yield line(span("Layers   bottom first", Role.LABEL))
    for number, layer in enumerate(layers, 1):
        head = fit(f"{number}", 3, right=True) + " " + fit(words.size(layer.size), 8, right=True) + "  "
        first = layer.digest or layer.diff_id
        if width >= len(head) + 71:
            yield line(span(head), span(first), target=ToDigest(first), copy=first)
        else:
            parts = fold(visible(first), width - len(head))
            yield line(span(head), span(parts[0]), target=ToDigest(first), copy=first)
            for part in parts[1:]:
                yield line(span(" " * len(head)), span(part), copy=first)
        for label, text in (("chain", layer.chain_id), ("type", layer.media_type)):
            if text:
                yield from beside(label, text, width, len(head), Role.FAINT)
        if layer.digest:
            yield from beside("diff id", layer.diff_id or "unknown", width, len(head), Role.FAINT)
        if layer.shared_with:
            users = ", ".join(words.short(image) for image in layer.shared_with[:6])
            more = f" and {len(layer.shared_with) - 6} more" if len(layer.shared_with) > 6 else ""
            yield from beside("also in", users + more, width, len(head), Role.FAINT)
        if layer.data_path:
            yield from beside("data", layer.data_path, width, len(head), Role.FAINT)
        if layer.verified_at is not None:
            yield from beside("verified", _moment(layer.verified_at, now), width, len(head), Role.FAINT)
        if layer.problem:
            yield from beside("problem", layer.problem, width, len(head), Role.BAD)


_BAR = 6
_WITH_AGE = 70
"""Cells from which a step's age is shown beside what it weighs."""


def _history(history: Sequence[HistoryEntry], layers: Sequence[LayerRecord], now: int, width: int) -> Iterator[Line]:
    """Each step with the layer that it made: its number, a bar for its share of the largest, its size."""
    if not history:
        return
    yield BLANK
    yield line(span("History  oldest first, with the number and size of the layer that a step made", Role.LABEL))
    largest = max((layer.size or 0 for layer in layers), default=0)
    for entry in history:
        made = layers[entry.layer] if entry.layer is not None and entry.layer < len(layers) else None
        head = "  -" + " " * (_BAR + 11)
        if made is not None and entry.layer is not None:
            bar = fit(words.bar(made.size or 0, largest, _BAR), _BAR)
            head = f"{entry.layer + 1:>3} {bar} {words.size(made.size):>8}  "
        if width >= _WITH_AGE:
            head += fit(words.age(entry.created, now), 6, right=True) + "  "
        text = words.masked_command(entry.created_by or entry.comment or "(no command recorded)")
        if entry.comment and entry.created_by:
            text += f"  # {entry.comment}"
        for part in fold(visible(text), width - len(head)):
            yield Line((Span(head, Role.LABEL), *spans(part)), copy=text)
            head = " " * len(head)


def _files(detail: Detail, width: int) -> Iterator[Line]:
    yield BLANK
    for document in detail.documents:
        yield from labelled(document.title.capitalize(), document.path, width, role=Role.FAINT)
        if document.raw is None:
            said = "it cannot be read, or is too large to be"
        else:
            said = ", ".join(part for part in (document.media_type, words.size(len(document.raw))) if part)
        yield from labelled("", said, width, role=Role.FAINT)
    paths = {document.path for document in detail.documents}
    if detail.config_path and detail.config_path not in paths:
        yield from labelled("Config", detail.config_path, width, role=Role.FAINT)
    for record in detail.metadata:
        yield from labelled("Key", f"{record.name}: {record.text}", width)
        yield from labelled("", record.path, width, role=Role.FAINT)
