"""The command that makes the same change as a screen: every intent in the words of a shell."""

from orlop import times
from orlop.intent import (
    Clean,
    DropRemotes,
    DropUploads,
    Import,
    Intent,
    PutRemote,
    Remove,
    RemoveRepository,
    Repair,
    SetLatest,
    Tag,
    Unmap,
    Untag,
)
from orlop.records import Key
from orlop_tui.format import shell


def command(path: str, intent: Intent, *, driver: str = "", offline: bool = False) -> str:
    """The command that makes the same change, ready for a shell; one line a command.

    Args:
        path: the store, as a person would name it.
        intent: what is to be done.
        driver: given where the root holds several stores.
        offline: whether a person must state that no engine works on the store.
    """
    option = [*(["--driver", driver] if driver else []), *(["--offline"] if offline else [])]
    return "\n".join(shell(["orlop", verb, path, *terms, *option]) for verb, terms in _calls(intent))


def image_term(key: Key) -> str:
    """An IMAGE as a person would give it: its name, else its id, with its repository where it has one."""
    if key.name is not None:
        return key.name
    return f"{key.scope}@{key.id}" if key.scope else key.id


_OF_CONTENT = frozenset({"DK08", "RG01", "RG02", "RK02", "RK08"})
"""Rules whose findings a check of structure may not make."""


def _calls(intent: Intent) -> list[tuple[str, list[str]]]:
    match intent:
        case Tag():
            return [("tag", [image_term(Key(intent.scope, intent.image, None)), intent.name])]
        case Untag():
            return [("untag", list(intent.names))]
        case Remove():
            return [("rm", [image_term(key) for key in intent.keys])]
        case RemoveRepository():
            return [("rm", ["--repository", *intent.names])]
        case Unmap():
            return [("unmap", terms) for terms in _unmap_calls(intent)]
        case DropUploads():
            return [("clean", ["--uploads", *(intent.uploads or ()), *_before(intent.before)])]
        case Clean():
            only = [] if intent.only is None else ["--only", *intent.only]
            return [("clean", [*(["--untagged"] if intent.untagged else []), *_before(intent.before), *only])]
        case Repair():
            terms = [f"{rule}:{subject or place}" for rule, place, subject in intent.findings]
            options = ["--content"] if any(rule in _OF_CONTENT for rule, _, _ in intent.findings) else []
            return [("repair", [*dict.fromkeys(terms), *options, *(["--guess"] if intent.guess else [])])]
        case Import():
            name = [intent.name] if intent.name else []
            latest = ["--latest"] if intent.latest else []
            url = intent.remote.url if intent.remote is not None else ""
            return [("fetch", [url])] if url else [("import", [*name, "ARCHIVE", *latest])]
        case SetLatest():
            return [("latest", [intent.image, *([] if intent.latest else ["--clear"])])]
        case PutRemote():
            return [("fetch", [intent.url])]
        case DropRemotes():
            return [("forget", list(intent.urls))]


def _before(at: int) -> list[str]:
    return ["--before", times.rfc3339(at)]


def _unmap_calls(intent: Unmap) -> list[list[str]]:
    """The terms of one command a source repository: its digests, each once, then the option."""
    by_source: dict[str, dict[str, None]] = {}
    for diff_id, digest, source in intent.mappings:
        by_source.setdefault(source, {})[digest or diff_id] = None
    return [[*digests, "--source", source] for source, digests in by_source.items()]
