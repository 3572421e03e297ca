"""Every rule by which an answer may differ from the recorded one; there are no lists of cases.

Each is a sentence of the design: where the original is unsafe, Orlop is stricter, and
writes in the one form that is safe. A rule sees both answers and both folders
(`adapter.Step`) and says whether it covers what differs.
"""

import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from orlop.errors import Malformed, OrlopError, WrongKind
from tests.vectors.adapter import NOT_OUR_WORDS, OWN_KINDS, Step, differences

OLD_WRITERS = frozenset({"moby-1.11.2-rc1", "moby-01ba0a935b"})
"""Releases that write ``<target>.tmp`` and rename it, with whatever mode that file has."""

_NAME_BYTES = 255
_ROOM = 20  # bytes that temporary names need at most beside the target's own name


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of deviation."""

    name: str
    sentence: str
    covers: Callable[[Step], bool]


def refused_untouched(step: Step) -> bool:
    """The library raised one of its own errors, and changed nothing."""
    return isinstance(step.answer.error, OrlopError) and step.before == step.after


def _hostile(step: Step) -> bool:
    return bool(step.record.get("hostile")) and refused_untouched(step)


def _only_modes(step: Step) -> bool:
    """Files differ in their modes only, and ours are those of the later release."""
    exact = "0644" if step.record["component"].startswith(("meta", "registry")) else "0600"

    def alike(path: str) -> bool:
        ours, theirs = step.after.get(path), step.expected.get(path)
        if not ours or not theirs or ours["type"] != "file" or ours["mode"] != exact:
            return False
        return not differences({path: {**theirs, "mode": ours["mode"]}}, {path: ours})

    return step.same and all(alike(path) for path in step.differing - step.tainted)


def _exact_modes(step: Step) -> bool:
    """A registry under another umask."""
    return step.record["component"] == "registry" and bool(step.differing) and _only_modes(step)


def _temporary(path: str) -> bool:
    name = posixpath.basename(path)
    return name.endswith(".tmp") or name.startswith(".tmp-") or path == "tmp/*"


def _fixed_names(step: Step) -> bool:
    """A release with fixed temporary names, in a case in which something has such a name."""
    if step.variant not in OLD_WRITERS:
        return False
    if _only_modes(step):
        return True
    entries = {**step.expected, **step.before}
    names = {path for path in entries if path.endswith(".tmp")}
    reached = names | {path.removesuffix(".tmp") for path in names}
    for path in names:
        if entries[path]["type"] == "symlink":  # the original wrote through it
            reached.add(posixpath.normpath(posixpath.join(posixpath.dirname(path), entries[path]["target"])))
    return bool(names) and step.differing - step.tainted <= reached


def _name_lengths(step: Step) -> bool:
    """The names are as long as the file system lets them be: the temporary name is cut to fit."""
    texts = [text for text in step.record["args"].values() if isinstance(text, str)]
    parts = [part for text in texts for part in text.split("/")]
    if not any(_NAME_BYTES - _ROOM < len(part.encode()) <= _NAME_BYTES for part in parts):
        return False
    return step.answer.error is None and (step.record["result"].get("errno") == "ENAMETOOLONG" or step.deviated)


def _no_leftover(step: Step) -> bool:
    return (
        step.same
        and bool(step.differing)
        and all(_temporary(path) and path not in step.after for path in step.differing - step.tainted)
    )


def _links(step: Step) -> bool:
    error = step.answer.error
    return isinstance(error, WrongKind) and "link" in (error.found, error.wanted) and step.before == step.after


def _hmac(step: Step) -> bool:
    """Only lists that hold the member differ."""

    def has_hmac(path: str) -> bool:
        file = step.sandbox / "root" / path
        return "v2metadata-by-diffid" in path and file.is_file() and b'"HMAC"' in file.read_bytes()

    if isinstance(step.answer.value, bytes) and not step.same:
        return b'"HMAC"' in step.answer.value
    return step.same and bool(step.differing) and all(has_hmac(path) for path in step.differing)


LOG = "db/.34a8b4c1ad933745146fdbfef3073706ee571625"
"""The write-ahead log of rkt's database."""


def _log_kept(step: Step) -> bool:
    """rkt's database does not open over a log that holds something, and deletes it."""
    if step.record["component"] != "rkt" or step.differing - step.tainted - {LOG}:
        return False
    if step.same:
        return step.differing == {LOG} and LOG not in step.expected
    return step.before.get(LOG, {"size": 0})["size"] != 0 and step.answer.error is None


def _other_database(step: Step) -> bool:
    """What a case does to rkt's database does not reach the one that is there."""
    reached = (record["args"].get("path", "").startswith(step.masked) for record in step.earlier)
    return bool(step.masked) and any(reached) and step.answer.error is None and not step.differing - step.tainted


_REFERENCES = frozenset({"refstore", "tagstore"})


def _exclusive(step: Step) -> bool:
    """A reference store whose file somebody else changed after it was opened."""
    if step.record["component"].partition("-")[0] not in _REFERENCES:
        return False
    if step.same and all(_temporary(path) for path in step.differing):
        return False
    for record in reversed(step.earlier):
        if record["op"] == "reopen":
            return False
        if record["op"].startswith("fs_") and record["op"] != "fs_read":
            return True
    return False


# --- the image components, whose behaviour is that of the later release ------

FIRST = "moby-01ba0a935b"
"""The commit that had the image store first."""


def _later_words(step: Step) -> bool:
    result = step.record["result"]
    if step.variant != FIRST or result["ok"] or step.differing - step.tainted:
        return False
    return result["kind"] not in NOT_OUR_WORDS and isinstance(step.answer.error, OWN_KINDS[result["kind"]])


_WHOLE_ID = re.compile(r"sha256:[0-9a-fA-F]{64}")


def _later_digests(step: Step) -> bool:
    result = step.record["result"]
    if step.variant != FIRST or not result["ok"] or step.differing - step.tainted:
        return False
    if step.record["op"] == "walk" and isinstance(step.answer.value, list):
        return [image for image in result["value"] if _WHOLE_ID.fullmatch(image)] == step.answer.value
    return step.record["op"] == "parse_digest" and isinstance(step.answer.error, Malformed)


def _later_members(step: Step) -> bool:
    result, ours = step.record["result"], step.answer.value
    if step.variant != FIRST or step.record["op"] not in ("image_marshal", "v1_make_v1_config"):
        return False
    if not isinstance(ours, bytes) or "utf8" not in (result.get("value") or ()):
        return False
    both: list[dict[str, object]] = [json.loads(text) for text in (ours, result["value"]["utf8"])]
    for members in both:
        for name in ("os.version", "os.features"):
            members.pop(name, None)
    return both[0] == both[1]


def _forgotten(step: Step) -> bool:
    """An image was deleted or got another parent since the store was opened, and only its traces differ."""
    result, ours, op = step.record["result"], step.answer, step.record["op"]
    if step.variant != FIRST or step.differing - step.tainted:
        return False
    since: set[str] = set()
    for record in step.earlier:
        since = set() if record["op"] == "reopen" else since | {record["op"]}
    if op == "search":
        return "delete" in since and (result["ok"] or result["kind"] == "ambiguous")
    if not since & {"delete", "set_parent"} or not result["ok"] or ours.error is not None:
        return False
    if op == "children" and isinstance(ours.value, list):
        return set(ours.value) < set(result["value"])
    return op == "heads" and isinstance(ours.value, dict) and result["value"].items() < ours.value.items()


def _follows(step: Step) -> bool:
    """Nothing new: what differs in the folder differed before, or an answer tells of it."""
    return step.deviated and step.differing <= step.tainted and (step.same or bool(step.differing))


RULES = (
    Rule(
        name="hostile input refused",
        sentence="a key, id or name that leaves its place is refused, and the disk is not touched",
        covers=_hostile,
    ),
    Rule(
        name="exclusive updates",
        sentence="an update starts from what the file holds, under a lock, and has not happened where it is not saved",
        covers=_exclusive,
    ),
    Rule(
        name="words of the later release",
        sentence="an error of the image components has the words of the later release",
        covers=_later_words,
    ),
    Rule(
        name="digests of the later release",
        sentence="an id is 64 hex digits, and the algorithms are those of the later release",
        covers=_later_digests,
    ),
    Rule(
        name="members of the later release",
        sentence="os.version and os.features are members of an image, as in the later release",
        covers=_later_members,
    ),
    Rule(
        name="what is gone is forgotten",
        sentence="a deleted image is found no more, and a child is that of its present parent only",
        covers=_forgotten,
    ),
    Rule(
        name="fixed temporary names",
        sentence="temporary names are random and modes exact, so names ending in .tmp are keys like all others",
        covers=_fixed_names,
    ),
    Rule(
        name="exact modes",
        sentence="a file has the mode of its kind whatever the umask, as the last writers have it; folders obey it",
        covers=_exact_modes,
    ),
    Rule(
        name="lengths of names",
        sentence="the temporary name is cut to fit, so every name that the file system takes can be written",
        covers=_name_lengths,
    ),
    Rule(
        name="no file left after a refusal",
        sentence="a refused input leaves no temporary file",
        covers=_no_leftover,
    ),
    Rule(
        name="logs are kept",
        sentence="a write-ahead log that holds something is never deleted: rows are read as they were before it",
        covers=_log_kept,
    ),
    Rule(
        name="another database",
        sentence="what happens to rkt's database does not reach the rows of a store that has its own",
        covers=_other_database,
    ),
    Rule(
        name="links are not followed",
        sentence="a store is reached by no-follow opens, so nothing leaves it",
        covers=_links,
    ),
    Rule(
        name="HMAC kept",
        sentence="the later releases' member HMAC is kept and written where it was",
        covers=_hmac,
    ),
    Rule(
        name="follows from an earlier deviation",
        sentence="the folder differs from the recorded one in nothing but what an earlier step explains",
        covers=_follows,
    ),
)


def rule_for(step: Step) -> Rule | None:
    """The first rule that covers a step which differs; the last one first, where the answer is the recorded one."""
    if step.same and _follows(step):
        return RULES[-1]
    return next((rule for rule in RULES if rule.covers(step)), None)
