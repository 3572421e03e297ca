"""What the lines around the list say: pure functions of what is known, for a width in cells."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from textual.binding import ActiveBinding

from orlop.errors import OrlopError
from orlop.plan import Refusal
from orlop.records import EngineState
from orlop_tui import format as words
from orlop_tui.screens.searching import Deed
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.kindwords import bytes_of, engine_words
from orlop_tui.widgets.lines import BLANK, Line, Role, Span, Spans, fit, fold, line, span

WIDE = 120
"""Columns from which lines are said at length, and panes stand below each other."""

_BAR = span(" | ", Role.FAINT)


# --- the lines of the frame


def header(store: OpenStore, *, title: str | None, of: int, width: int) -> tuple[list[Span], Spans]:
    """The store, how much is in it, what is wrong with it, and whether it can be written."""
    gap = span("   " if width >= WIDE else "  ")
    snapshot = store.snapshot
    pieces = bare_header(title, width)
    if of > 1:
        pieces += [gap, span(f"{store.index + 1}/{of}")]
    pieces += [gap, span(store.label, Role.STRONG)]
    if store.repositories and width >= 100:
        pieces += [gap, span(words.count(store.repositories, "repository", "repositories"))]
    if snapshot.partial:
        return [*pieces, gap, span(store.unread or "reading …", Role.STRONG)], (store.lock_word(),)
    pieces += [gap, span(words.count(snapshot.images, store.words.noun)), gap, span(words.size(snapshot.total_size))]
    for piece in store.counts.spans():
        pieces += [gap, piece]
    if store.quarantine and width >= 100:
        pieces += [gap, span(f"quarantine {words.size(store.quarantine)}")]
    if snapshot.engine is EngineState.UNKNOWN and width >= WIDE:
        pieces += [gap, span(engine_words(snapshot), Role.WARN)]
    if snapshot.notes:
        pieces += [gap, span(f"{words.count(len(snapshot.notes), 'note')}: i", Role.WARN)]
    return pieces, (store.lock_word(),)


def bare_header(title: str | None, width: int, *said: str) -> list[Span]:
    """The program's name and a title, for as long as there is no store."""
    gap = span("   " if width >= WIDE else "  ")
    pieces = [span("orlop", Role.HEADING)]
    if title:
        pieces += [gap, span(title, Role.STRONG)]
    for text in said:
        pieces += [gap, span(text)]
    return pieces


_NARROW = 80
"""Columns from which it is said beside marks when the store was seen."""


def live_word(store: OpenStore) -> str:
    """Whether what is shown follows the disk."""
    if store.frozen is None:
        return store.live or "not watched"
    return "FROZEN, changed since" if store.frozen.after is not None else "FROZEN"


def status(store: OpenStore, *, bad_filter: str, width: int = WIDE) -> list[Span]:
    """Whether the screen is fresh, the order, the filter, and the marks with what is hidden of them.

    Where there is no room, what is marked comes before when the store was seen, and how the list is sorted.
    """
    if bad_filter:
        return [span(f"filter: {bad_filter}", Role.BAD)]
    listing = store.listing
    seen = time.strftime("%H:%M:%S", time.localtime(store.looked_at / 1e9))
    pieces = [span(live_word(store)), span(f"  seen {seen}"), _BAR]
    pieces += [span(f"sort {listing.sort.column} {listing.sort.arrow}"), _BAR]
    if width < WIDE and listing.targets().marked:
        pieces = [] if listing.is_narrowed or width < _NARROW else pieces[:3]
    waits = store.wanted_filter != listing.filter.text
    pieces.append(span(f"filter {store.wanted_filter} …" if waits else f"filter {listing.filter.text or 'none'}"))
    for on, text in ((listing.only_marked, "marked only"), (listing.only_problems, "problems only")):
        if on:
            pieces += [_BAR, span(text, Role.WARN)]
    if listing.is_narrowed:
        pieces += [_BAR, span(f"{len(listing)} of {len(listing.rows)} rows")]
    return [*pieces, *_marks(store)]


def _marks(store: OpenStore) -> list[Span]:
    targets = store.listing.targets()
    if not targets.marked:
        return []
    freed = "…" if store.freed is None else words.size(store.freed[1])
    text = f"{len(targets.keys) + targets.left_out} marked, frees {freed}, {targets.left_out} hidden"
    pieces = [_BAR, span(text, Role.STRONG)]
    if store.listing.anchor is not None:
        pieces.append(span(" (range: v ends it)", Role.FAINT))
    return pieces


def rail(stores: Sequence[OpenStore], current: int, width: int) -> list[Line]:
    """The stores, and the health and quarantine of the one on the screen."""
    lines = [line(span("STORES", Role.LABEL))]
    for store in stores:
        sign = ">" if store.index == current else " "
        count = f"{store.repositories} repo" if store.repositories else f"{store.snapshot.images} img"
        text = fit(f"{sign} {store.label}", max(8, width - 9)) + fit(count, 9, right=True)
        lines.append(line(span(text, Role.STRONG if sign == ">" else Role.PLAIN), target=store))
    if current < len(stores):
        lines += [BLANK, line(span("HEALTH", Role.LABEL)), *stores[current].health()]
        lines += [BLANK, line(span("QUARANTINE  J", Role.LABEL)), *stores[current].held()]
    return lines


# --- where there is no row


def empty_store(store: OpenStore) -> list[Spans]:
    """Why no row is shown, and which key helps."""
    if store.listing.rows:
        hidden = words.count(len(store.listing.rows), "row")
        return [(span(f"no row is shown: {hidden} hidden.  Esc takes the filter away."),)]
    said = f"this store holds no {store.words.noun}s.  R reads it again, i says more."
    lines: list[Spans] = [(span(said),), (span(store.snapshot.identity.path, Role.FAINT),)]
    if store.words.has_uploads:
        lines.append((span("5 shows what clients began to send, a in 4 what a check found", Role.FAINT),))
    return lines


def no_store(failures: Iterable[OrlopError], width: int) -> list[Spans]:
    """What was tried, what came of it, and what a person can do."""
    said: list[Spans] = [(span("no store could be opened:", Role.STRONG),), ()]
    for error in failures:
        for label, text in words.words(error):
            head = label
            for part in fold(text, max(20, width - 12)):
                said.append((span(fit(head, 7), Role.LABEL), span(part, Role.BAD if label == "what" else Role.PLAIN)))
                head = ""
        said.append(())
    return [*said, (span("q quits; `orlop demo` opens a sample store", Role.FAINT),)]


# --- what dialogs say


def error_lines(error: OrlopError) -> list[tuple[str, str]]:
    """An error as label and text."""
    return words.words(error)


def refusal_lines(refusal: Refusal) -> list[tuple[str, str]]:
    """A refusal as label and text."""
    lines = [("what", refusal.action), *(("why", reason) for reason in refusal.reasons)]
    return [*lines, ("do", refusal.do)] if refusal.do else lines


def facts(store: OpenStore) -> list[tuple[str, str]]:
    """A store as a whole, as label and text."""
    snapshot = store.snapshot
    said = [
        ("Store", store.label),
        ("Path", snapshot.identity.path),
        ("Holds", f"{words.count(snapshot.images, store.words.noun)} in {words.count(len(snapshot.rows), 'row')}"),
        ("Bytes", f"{words.both_sizes(snapshot.total_size)} {bytes_of(store.kind)}, each once"),
        ("Engine", f"{engine_words(snapshot)}: {snapshot.engine_text}"),
        ("Writing", "unlocked" if store.unlocked else "locked"),
        ("Live", f"{store.live or 'not watched'}{_SWEPT if store.words.has_uploads and store.live else ''}"),
        ("Seen", words.moment(store.looked_at)),
    ]
    if store.repositories:
        said.insert(2, ("In", words.count(store.repositories, "repository", "repositories")))
    return said + [("Note", f"{n.text} ({n.path})" if n.path else n.text) for n in snapshot.notes]


_SWEPT = "; beyond the folders that changed last, a sweep compares times: Seen says when"


def stores_note(store: OpenStore) -> str:
    """A store in a list of stores: how much it holds, and where."""
    snapshot = store.snapshot
    held = words.count(snapshot.images, store.words.noun)
    return f"{held}, {words.size(snapshot.total_size)} {bytes_of(store.kind)}  {snapshot.identity.path}"


def deeds(
    bindings: Mapping[str, ActiveBinding], why_not: Callable[[str], str], shown: Callable[[ActiveBinding], str]
) -> Iterable[tuple[str, Sequence[Line]]]:
    """Every key that does something here, from the live bindings, in groups.

    Args:
        bindings: the screen's active bindings, by key.
        why_not: the reason why an action can not be done now; empty where it can.
        shown: a key as it is printed.
    """
    groups: dict[str, dict[str, tuple[str, list[str]]]] = {}
    for active in bindings.values():
        if active.binding.action not in _own_actions(type(active.node)):
            continue
        group = groups.setdefault(_GROUPS.get(type(active.node).__name__, "Everywhere"), {})
        _, keys = group.setdefault(active.binding.action, (active.binding.description, []))
        keys.append(shown(active))
    for title, actions in groups.items():
        yield (
            title,
            [
                Deed(action, " ".join(dict.fromkeys(keys)), description, why_not(action.removeprefix("app."))).drawn()
                for action, (description, keys) in actions.items()
            ],
        )


def glossary() -> Iterable[tuple[str, Sequence[Line]]]:
    """What the filter understands, and what the words of the list mean."""
    for title, entries in (("Filter: every word must hold", _FILTER_HELP), ("Words of the list", _STATE_HELP)):
        yield title, [line(span(fit(text, 20), Role.KEY), span(about)) for text, about in entries]


def _own_actions(node: type) -> set[str]:
    """Actions of the bindings that Orlop's own classes declare; the framework has further ones."""
    package = __name__.partition(".")[0]
    own = (each for each in node.__mro__ if each.__module__.partition(".")[0] == package)
    return {binding.action for each in own for binding in vars(each).get("BINDINGS", ())}


_GROUPS = {"StoreTable": "In the list", "LinesView": "In the panes"}

_FILTER_HELP = (
    ("web", "in the name, or the start of an id"),
    ("!web", "not web"),
    ("repo:web tag:1 id:ab", "in one field"),
    ("state:bad", "state word, or: damaged, untagged, in-use, parent …"),
    ("size>1G own>100M", "sizes; K M G T are powers of 1000"),
    ("age>90d used>1y", "s, min, h, d, w, y; used: where the engine writes that down"),
    ("what:index", "image, index, artifact, schema-1; platform:arm64"),
    ("used:no", "containers or pods use it; latest:yes in an ACI store"),
    ("layer:8d3ac digest:5d2", "images that hold it: the start of a diff id, chain id, blob or cache id; any digest"),
    ("src:library/debian", "images with a layer from, or linked in, such a repository; from such a URL"),
    ("re:/v[0-9]+$/", "a regular expression for the name"),
    ("Tab", "completes fields, states, repositories and tags"),
)

_STATE_HELP = (
    ("linked", "config hashed, every record agrees; contents not hashed"),
    ("verified", "all bytes were hashed"),
    ("BAD", "bytes contradict their digest, or do not parse"),
    ("partial", "something that it needs is not there"),
    ("listed", "unverified: nothing behind the name was read"),
    ("untagged", "no name leads to it; nothing is wrong with it"),
    ("odd name", "the name does not parse, or holds characters that cannot be shown"),
    ("busy", "it changed while it was read"),
    ("└ linux/amd64", "an index names it: it needs no name of its own"),
    ("OWN", "bytes that no other image uses: what deleting it alone frees"),
    ("SIZE", "all its layers together, or all its blobs; an ACI with its rendered tree"),
    ("USED", "when an image was last run, as rkt writes down"),
)
