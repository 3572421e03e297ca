"""Why an action of the browser can not be done now, in one line: a pure function of the situation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orlop.finding import Repair
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.shown import ToFinding, ToMapping, ToRemote, ToUpload


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the keys are about at a moment."""

    store: OpenStore | None
    busy: str
    """What is being changed; empty: nothing."""
    target: object | None
    """What the line under the cursor of the panes stands for, while they have the focus."""


def why_not(action: str, now: Situation) -> str:
    """The reason in one line; empty where it can be done.

    Args:
        action: as in a binding, with its argument where it has one.
        now: the situation.
    """
    name = action.partition("(")[0]
    store = now.store
    if store is not None and (cannot := store.words.cannot.get(action) or store.words.cannot.get(name)):
        return cannot
    if name in _ALWAYS:
        return ""
    if store is None:
        return "no store is open"
    if store.is_partial and name not in _OF_NAMES:
        return f"the store was {store.unread}" if store.unread else "the store is still being read"
    if name in _WRITES and now.busy:
        return f"wait: {now.busy}"
    if name in _WRITES and store.frozen is not None:
        return "what is shown is frozen: f goes on"
    if name in _OF_ROWS and store.awaits_filter:
        return "the filter still waits for the store's answer: Esc takes it away"
    reason = _REASONS.get(name)
    return "" if reason is None else reason(store, now.target)


def names_of(store: OpenStore) -> tuple[str, ...]:
    """The names of the rows that an action would be about."""
    return tuple(key.name for key in store.listing.targets().keys if key.name is not None)


# --- reasons


def _targets(store: OpenStore, target: object | None) -> str:
    targets = store.listing.targets()
    if targets.keys:
        return ""
    return f"all {targets.left_out} marked rows are hidden: Esc shows more rows" if targets.left_out else _NO_ROW


def _row(store: OpenStore, target: object | None) -> str:
    return _NO_ROW if store.listing.row is None else ""


def _tag(store: OpenStore, target: object | None) -> str:
    marked = "a name leads to one image only: \\ takes the marks away" if store.listing.targets().marked else ""
    return _row(store, target) or marked


def _untag(store: OpenStore, target: object | None) -> str:
    return _targets(store, target) or ("" if names_of(store) else "there is no name to take away")


def _latest(store: OpenStore, target: object | None) -> str:
    marked = "one image at a time: \\ takes the marks away" if store.listing.targets().marked else ""
    return _row(store, target) or marked


def _repository(store: OpenStore, target: object | None) -> str:
    scoped = all(key.scope for key in store.listing.targets().keys)
    return _targets(store, target) or ("" if scoped else "not every row is in a repository")


def _repair(store: OpenStore, target: object | None) -> str:
    if store.findings is None:
        return store.findings_problem or "not checked yet: 4 checks"
    row = store.listing.row
    mine = store.findings_of(row) or () if row is not None else ()
    if isinstance(target, ToFinding) or any(finding.repair is not None for finding in mine):
        return ""
    if any(finding.repair is Repair.REBUILD for finding in store.findings):
        return ""
    return "nothing can be put right with proof; a line of 4 Problems can be chosen: Tab"


def _delete(store: OpenStore, target: object | None) -> str:
    """Of the record under the cursor of a pane, else of the rows."""
    match target:
        case ToMapping():
            return store.words.cannot.get("unmap", "")
        case ToRemote(remote=remote):
            return store.words.cannot.get("drop_remote") or ("" if remote.url else "it has no URL")
        case ToUpload():
            return ""
    return _targets(store, target)


def _users(store: OpenStore, target: object | None) -> str:
    return _row(store, target) if target is None else ""


_NO_ROW = "no row is under the cursor"
_OF_ROWS = frozenset({"mark_all", "range", "delete", "untag", "tag", "remove_repository", "latest", "repair", "verify"})
"""What is about the rows that a person sees, or is about to see."""

_REASONS: Mapping[str, Callable[[OpenStore, object | None], str]] = {
    "delete": _delete,
    "untag": _untag,
    "tag": _tag,
    "copy": _row,
    "mark": _row,
    "range": _row,
    "latest": _latest,
    "remove_repository": _repository,
    "repair": _repair,
    "users": _users,
    "raw": _row,
    "sharing": _row,
    "compare": _row,
}
_ALWAYS = frozenset(
    {"help", "quit", "jobs", "stores", "back", "return", "pane", "next_pane", "zoom", "to_list", "follow"}
    | {"whole", "focus_next", "focus_previous", "command_palette", "leave_filter", "interrupt"}
    | {"move", "page", "end", "down", "up", "actions", "suspend_process"}
)
_OF_NAMES = frozenset(
    {"mark", "range", "mark_all", "clear_marks", "marked_only", "filter", "sort", "reverse", "log", "copy", "settings"}
)
"""What can be done with the names of a store alone."""
_WRITES = frozenset(
    {"delete", "tag", "untag", "undo", "lock"} | {"remove_repository", "clean", "repair", "latest", "fetch"}
)
