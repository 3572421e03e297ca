"""What a person asks about: a path of a store in any spelling, and what the journal of changes knows of a thing."""

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

from orlop import times
from orlop.errors import OrlopError
from orlop.fs import Root, join
from orlop.incoming import FOLDER as INCOMING
from orlop.journal import FOLDER, Change, Journal, Recorded, State
from orlop.records import Link, Why

_SHORTEST = 12
"""Hex digits from which on a text is looked for in the journal."""
_SHOWN = 3
_HEX = re.compile(r"[0-9a-f]{12,128}", re.ASCII)

_STATES = {
    State.DONE: "it lies in quarantine, and `orlop undo PATH` brings it back",
    State.UNDONE: "that was taken back",
    State.ROLLED_BACK: "that failed and was taken back",
    State.UNFINISHED: "that was cut off: `orlop undo PATH` or `orlop apply PATH --finish`",
    State.PURGED: "the quarantine was emptied since: it is gone",
    State.DAMAGED: "the record of that change cannot be read",
}


def path_in(root: Root, subject: str) -> str | None:
    """The path below the root that a text means, absolute or relative to it; empty for the root itself.

    An absolute path may lead to the root through links; nothing below the root is looked at.
    None where it cannot be a path of this store.
    """
    if not subject or "\0" in subject or ".." in subject.split("/"):
        return None
    if not subject.startswith("/"):
        path = posixpath.normpath(subject)
        return "" if path == "." else path
    parts = [part for part in subject.split("/") if part not in ("", ".")]
    own = os.fstat(root.fd)
    for count in range(len(parts) + 1):
        above = "/" + "/".join(parts[:count])
        try:
            found = os.stat(above)
        except OSError:
            return None
        if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino):
            return "/".join(parts[count:])
    return None


def place(path: str, what: str, remark: str = "", related: Mapping[str, str] | None = None) -> Why:
    """An answer on what no reference keeps or could keep: a folder of the layout, something beside the store."""
    return Why(subject=path or ".", is_a=(what,), kept_by=(), related=related or {}, remark=remark, judged=False)


def in_own_folder(root: Root, path: str) -> Why | None:
    """What a path in Orlop's own folder of the store, or of a mount below it, is; None for any other path."""
    home, own, below = f"/{path}/".partition(f"/{FOLDER}/")
    below = below.strip("/")
    if not own:
        return None
    if below.startswith("changes/"):
        return _of_change(root, path, below.split("/")[1], home=bool(home))
    if home:
        return None
    incoming = f"{FOLDER}/{below}/".startswith(f"{INCOMING}/") and below != "incoming"
    what = "an import that waits to be taken in" if incoming else "Orlop's own folder"
    remark = "an engine ignores it; `orlop journal PATH` lists the changes whose journals and quarantine it holds"
    return place(path, what, "" if incoming else remark)


def _of_change(root: Root, path: str, name: str, *, home: bool) -> Why | None:
    found = next((change for change in Journal.of(root).changes() if change.id == name), None)
    if found is None and home:
        return None  # of a layer's content, maybe
    if found is None or found.state is State.DAMAGED:
        why = found.why if found is not None else "there is no such change"
        return place(path, "part of a change by Orlop", f"cannot tell what it was: {why}")
    step = next((one for one in found.steps if path == one.old or path.startswith(one.old + "/")), None)
    link = (Link(what=f"change {found.id}: {found.action}", path=join(found.path, "journal")),)
    related = {"change": found.id, "action": found.action, "made": times.rfc3339(found.at), "state": found.state.value}
    if step is None:
        is_a = "new content of a change" if path.endswith(".new") else "the record of a change"
        return Why(subject=path, is_a=(is_a,), kept_by=(link,), related=related)
    was = related["was"] = join(step.path, path[len(step.old) + 1 :])
    return Why(
        subject=path,
        is_a=(f"in quarantine: it was {was}",),
        kept_by=(link,),
        related=related,
        remark=_STATES[found.state],
    )


def once(root: Root, touches: Callable[[str], bool]) -> tuple[str, ...]:
    """What changes did to the paths that answer, the newest first, one clause each; nothing where none can be read."""
    try:
        changes = Journal.of(root).changes()
    except OrlopError:
        return ()
    return tuple(_said(change, step) for change in reversed(changes) if (step := _first(change, touches)) is not None)


def _first(change: Change, touches: Callable[[str], bool]) -> Recorded | None:
    return next((step for step in change.steps if touches(step.path)), None)


def _said(change: Change, step: Recorded) -> str:
    return f"{times.rfc3339(change.at)[:19]}Z {change.action}: moved {step.path}; {_STATES[change.state]}"


def gone(root: Root, subject: str) -> Why | None:
    """What was once at a path, or had a digest or id, and was moved away by a change; None where no change tells.

    Args:
        root: the store.
        subject: a path below the root, a digest, or twelve hex digits of one at least.
    """
    path = path_in(root, subject) if "/" in subject else None
    digits = _digits(subject)
    if path is None and not digits:
        return None

    def touches(moved: str) -> bool:
        if path is not None:
            return path == moved or path.startswith(moved + "/") or moved.startswith(path + "/")
        return any(part.startswith(digits) for part in _words(moved))

    found = once(root, touches)
    if not found:
        return None
    more = f" (and {len(found) - _SHOWN} changes before)" if len(found) > _SHOWN else ""
    return Why(
        subject=subject,
        is_a=("no longer in the store",),
        kept_by=(),
        related={"once" if index == 0 else f"before ({index})": text for index, text in enumerate(found[:_SHOWN])},
        remark=f"a change by Orlop moved it{more}",
        judged=False,
    )


def _digits(subject: str) -> str:
    text = re.sub(r"^sha(?:256|384|512)[:-]", "", subject)
    return text if _HEX.fullmatch(text) is not None and len(text) >= _SHORTEST else ""


def _words(path: str) -> Iterator[str]:
    for part in path.split("/"):
        yield part
        yield part.partition("-")[2]


def changed(root: Root, identity: str) -> str:
    """The last change that an image was part of, one clause; empty for none. `identity` is its full id."""
    try:
        changes = Journal.of(root).changes()
    except OrlopError:
        return ""
    for change in reversed(changes):
        if identity in change.images:
            return f"{times.rfc3339(change.at)[:19]}Z {change.action} ({change.state.value})"
    return ""
