"""Recorded calls of the original programs, performed with Orlop's library and compared.

A component is a row of `table.TABLE`: how it is opened and what its operations are.
An operation gets the opened object and the record's arguments (byte strings as bytes)
and returns what the record's value says: bytes for byte strings, else JSON values. It
raises as the library does; `Answered` carries what was returned next to an error.
"""

import base64
import dataclasses
import errno
import gzip
import hashlib
import json
import lzma
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orlop import times
from orlop.errors import (
    AlreadyExists,
    Ambiguous,
    DigestMismatch,
    Escapes,
    Malformed,
    NotFound,
    OrlopError,
    Refused,
    Unsupported,
    WrongKind,
)
from orlop.rkt.errors import (
    AciNotFound,
    BadIdentifier,
    BadImage,
    BadKey,
    BadQuery,
    ImportFailed,
    KeyNotFound,
    LockFailed,
    ManifestDamaged,
    ManifestUnreadable,
    RemoteNotFound,
    RowNotFound,
    StoreRemoval,
)

Record = dict[str, Any]
Tree = dict[str, dict[str, Any]]
Operation = Callable[[Any, dict[str, Any]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """How the calls of one recorded component are performed."""

    open: Callable[[str, str], object]
    """From the root's path and the variant to the object under test; opening may create."""
    operations: Mapping[str, Operation]
    root_mode: int | None = None
    """Permission bits of the root where the harness made it before opening; None: it did not."""
    close: Callable[[Any], None] = lambda _: None
    spelled: Callable[[Any], Mapping[str, str]] = lambda _: {}
    """Random names with their spelling in the records, such as ``<uuid:u>``; one once told stays for the case."""
    masked: str = ""
    """Paths that begin so are not compared: the component keeps something else there."""


class Answered(Exception):
    """An error with the value that was returned next to it; `error` is the library's own."""

    def __init__(self, error: BaseException, value: object) -> None:
        super().__init__(str(error))
        self.error = error
        self.value = value


class Time(int):
    """A time in a value, in nanoseconds; told as ``@n`` where it was taken during step n of the case."""


class CallbackStopped(Exception):
    """Raised by a visitor that was told to stop (kind ``callback``)."""


# --- records -----------------------------------------------------------------


def load(file: Path) -> list[Record]:
    """The records of a recorded (``.json``) or packed (``.jsonl.xz``) file."""
    if file.suffix == ".json":
        return list(json.loads(file.read_text("utf-8")))
    return [json.loads(line) for line in lzma.decompress(file.read_bytes()).splitlines()]


def cases(folder: Path) -> Iterator[tuple[str, str, list[Record]]]:
    """Component, case and its records, for every case of every file in a folder."""
    for file in sorted(folder.iterdir()):
        if not file.name.endswith((".json", ".jsonl.xz")):
            continue
        case: list[Record] = []
        for record in load(file):
            if record["step"] == 0 and case:
                yield case[0]["component"], case[0]["case"], case
                case = []
            case.append(record)
        if case:
            yield case[0]["component"], case[0]["case"], case


def needs_root(records: list[Record]) -> bool:
    """Whether a case takes permissions from the owner: recorded as root, who is not bound by them."""
    modes = [int(str(r["args"]["mode"]), 8) for r in records if "mode" in r["args"] and r["op"] != "umask"]
    return any(mode & 0o600 != 0o600 for mode in modes)


def as_bytes(value: Mapping[str, Any]) -> bytes:
    """A recorded byte string."""
    if "utf8" in value:
        return str(value["utf8"]).encode("utf-8", "surrogatepass")
    if "b64" in value:
        return base64.b64decode(value["b64"])
    if "gz" in value:
        return gzip.decompress(base64.b64decode(value["gz"]))
    text, times = value["rep"]
    return str(text).encode() * int(times)


_BYTES = ({"utf8"}, {"b64"}, {"gz"}, {"rep"})


def _arguments(args: Mapping[str, Any]) -> dict[str, Any]:
    return {k: as_bytes(v) if isinstance(v, dict) and set(v) in _BYTES else v for k, v in args.items()}


# --- the folder --------------------------------------------------------------


def snapshot(sandbox: Path, spelled: Mapping[str, str] | None = None) -> Tree:
    """Everything in the sandbox, by its path relative to the root in it, random names as the records spell them."""
    tree: Tree = {}
    pending = [sandbox]
    while pending:
        here = pending.pop()
        for entry in os.scandir(here):
            path = respelled(os.path.relpath(entry.path, sandbox / "root"), spelled or {})
            tree[path] = _entry(entry.path)
            if tree[path]["type"] == "dir":
                pending.append(Path(entry.path))
    return tree


def respelled(text: str, names: Mapping[str, str]) -> str:
    """A text with other spellings of some names in it."""
    for name, spelling in names.items():
        text = text.replace(name, spelling)
    return text


def _entry(path: str) -> dict[str, Any]:
    found = os.lstat(path)
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    if stat.S_ISLNK(found.st_mode):
        return {"type": "symlink", "target": os.readlink(path)}
    if stat.S_ISDIR(found.st_mode):
        return {"type": "dir", "mode": mode}
    data = Path(path).read_bytes()
    return {"type": "file", "mode": mode, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def differences(expected: Tree, found: Tree) -> frozenset[str]:
    """Paths that are not alike."""
    return frozenset(path for path in expected.keys() | found.keys() if not _alike(expected.get(path), found.get(path)))


def _alike(expected: dict[str, Any] | None, found: dict[str, Any] | None) -> bool:
    if expected is None or found is None:
        return expected is found
    return expected.keys() == found.keys() and all(value in ("*", found[name]) for name, value in expected.items())


# --- harness calls -----------------------------------------------------------


def _fs_write(root: Path, path: str, data: bytes, mode: str | None = None) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(int(mode or "0644", 8))


def _fs_mkdir(root: Path, path: str, mode: str | None = None) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    (root / path).chmod(int(mode or "0755", 8))


def _fs_symlink(root: Path, path: str, target: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def _fs_remove(root: Path, path: str) -> None:
    target = os.path.normpath(root / path)
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    elif os.path.lexists(target):
        os.unlink(target)


HARNESS: dict[str, Callable[..., object]] = {
    "fs_write": _fs_write,
    "fs_read": lambda root, path: (root / path).read_bytes(),
    "fs_mkdir": _fs_mkdir,
    "fs_symlink": _fs_symlink,
    "fs_chmod": lambda root, path, mode: (root / path).chmod(int(mode, 8)),
    "fs_remove": _fs_remove,
    "umask": lambda root, mode: os.umask(int(mode, 8)) and None,
}


# --- answers -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call gave."""

    value: object = None
    error: BaseException | None = None


OWN_KINDS: dict[str, type[BaseException] | tuple[type[BaseException], ...]] = {
    "bad_json": Malformed,
    "verify": DigestMismatch,
    "empty_data": OrlopError,
    "callback": CallbackStopped,
    "invalid_v1_id": Malformed,
    "bad_digest": Malformed,
    "bad_reference": Malformed,
    "no_rootfs": Malformed,
    "history_mismatch": Malformed,
    "layer_missing": NotFound,
    "no_such_image": NotFound,
    "unrecognized_id": NotFound,
    "unknown_parent": NotFound,
    "does_not_exist": NotFound,
    "ambiguous": Ambiguous,
    "ambiguous_name": OrlopError,
    "tag_exists": AlreadyExists,
    "digest_exists": AlreadyExists,
    "tag_with_digest": Refused,
    "not_canonical": Malformed,
    "unknown_layer": NotFound,
    "upload_unknown": NotFound,
    "path_not_found": NotFound,
    "dangling_link": Malformed,
    "invalid_path": Malformed,
    "invalid_digest": DigestMismatch,
    "digest_invalid_format": Malformed,
    "digest_unsupported": Malformed,
    "unsupported_content_digest": Unsupported,
    "not_tarsum": Malformed,
    "tarsum_version_unsupported": Unsupported,
    "bad_tar": Malformed,
    "bad_startedat": Malformed,
    "is_directory": WrongKind,
    "bad_seek": OrlopError,
    "writer_closed": OrlopError,
    "layer_closed": OrlopError,
    "aci_not_found": AciNotFound,
    "key_not_found": KeyNotFound,
    "wrong_prefix": BadKey,
    "too_short": BadKey,
    "image_not_found": RowNotFound,
    "aciinfo_not_found": RowNotFound,
    "remote_not_found": RemoteNotFound,
    "store_removal": StoreRemoval,
    "decompress": BadImage,
    "copy": BadImage,
    "bad_manifest": BadImage,
    "manifest_unreadable": ManifestUnreadable,
    "manifest_damaged": ManifestDamaged,
    "not_a_file": NotFound,
    "import": ImportFailed,
    "lock": LockFailed,
    "bad_identifier": BadIdentifier,
    "bad_query": BadQuery,
    "db_bad_magic": Malformed,
    "panic": OrlopError,
}
"""The error that stands for each recorded kind; ``os`` is told by its errno."""

NOT_OUR_WORDS = frozenset({"os", "bad_json", "bad_startedat", "panic", "callback", "not_canonical"})
"""Kinds whose texts are the system's, a parser's or the harness's; all others are compared with `OrlopError.engine`."""


def errno_of(error: BaseException) -> str:
    """The errno name of an answer: the innermost system error, else what the class stands for."""
    found = ""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            found = errno.errorcode[cause.errno]
        cause = cause.__cause__
    if found:
        return found
    match error:
        case WrongKind(wanted="folder"):
            return "ENOTDIR"
        case WrongKind(found="folder"):
            return "EISDIR"
        case WrongKind(found="link"):
            return "ELOOP"
        case Escapes():
            return "EINVAL"
        case NotFound():
            return "ENOENT"
        case AlreadyExists():
            return "EEXIST"
    return ""


_ONE = frozenset({"EEXIST", "EISDIR"})  # renaming a file onto a folder: tool chains differ


def same_answer(expected: Record, answer: Answer) -> bool:
    """Whether an answer is the recorded one, own words included."""
    if expected["ok"]:
        return answer.error is None and same_value(expected["value"], answer.value)
    error = answer.error
    if error is None or ("value" in expected and not same_value(expected["value"], answer.value)):
        return False
    kind = expected["kind"]
    if kind == "os":
        if not isinstance(error, (OrlopError, OSError)):
            return False
        wanted, found = expected.get("errno", ""), errno_of(error)
        return not wanted or wanted == found or {wanted, found} <= _ONE
    if not isinstance(error, OWN_KINDS[kind]):
        return False
    return kind in NOT_OUR_WORDS or getattr(error, "engine", "") == expected["error"]


def same_value(expected: object, found: object) -> bool:
    """Whether a value is the recorded one; byte strings by content or checksum."""
    if isinstance(found, bytes):
        if not isinstance(expected, dict):
            return False
        if "sha256" in expected:
            return (hashlib.sha256(found).hexdigest(), len(found)) == (expected["sha256"], expected["size"])
        return as_bytes(expected) == found
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and expected.keys() == found.keys()
            and all(same_value(value, found[name]) for name, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, (list, tuple))
            and len(expected) == len(found)
            and all(same_value(a, b) for a, b in zip(expected, found, strict=True))
        )
    return type(expected) is type(found) and expected == found if isinstance(expected, bool) else expected == found


# --- a case ------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Step:
    """One call with both answers, as the rules see it."""

    record: Record
    answer: Answer
    expected: Tree
    before: Tree
    """Ours before the call."""
    after: Tree
    sandbox: Path
    earlier: list[Record] = field(default_factory=list)
    """The records of the case before this one."""
    masked: str = ""
    """As of the component."""
    tainted: frozenset[str] = frozenset()
    """Paths that differ since an earlier deviation."""
    deviated: bool = False
    """Whether an earlier step of the case deviated."""

    @property
    def same(self) -> bool:
        """Whether the answer is the recorded one."""
        return same_answer(self.record["result"], self.answer)

    @property
    def differing(self) -> frozenset[str]:
        """Paths at which the folder is not the recorded one."""
        return differences(self.expected, self.after)

    @property
    def variant(self) -> str:
        return str(self.record["variant"])

    def told(self) -> str:
        """Both answers in words."""
        answer = self.answer
        ours = answer.value if answer.error is None else f"{type(answer.error).__name__}: {answer.error}"
        if isinstance(answer.error, OrlopError):
            ours = f"{ours} (engine: {getattr(answer.error, 'engine', '')!r}, errno: {errno_of(answer.error)!r})"
        paths = "".join(
            f"\n  {path}: recorded {self.expected.get(path)}, ours {self.after.get(path)}"
            for path in sorted(self.differing)
        )
        record = self.record
        return (
            f"step {record['step']}: {record['op']} {json.dumps(record['args'])[:500]}\n"
            f"  recorded {json.dumps(record['result'])[:800]}\n  ours     {str(ours)[:800]}{paths}"
        )


def play(component: Component, records: list[Record], sandbox: Path) -> Iterator[Step]:
    """Perform a case in an empty folder; the umask is 022, and restored at the end."""
    umask = os.umask(0o022)
    root = sandbox / "root"
    subject: list[Any] = []
    spelled: dict[str, str] = {}
    clock: list[tuple[int, int]] = []
    try:
        if component.root_mode is not None:
            root.mkdir()
            root.chmod(component.root_mode)
        subject.append(component.open(str(root), records[0]["variant"]))
        expected: Tree = {}
        before = _unmasked(snapshot(sandbox), component.masked)
        for index, record in enumerate(records):
            expected = expected if record["tree_after"] == "same" else record["tree_after"]
            begun = times.now()
            answer = _perform(component, subject, record, root, spelled)
            clock.append((begun, times.now()))
            answer = dataclasses.replace(answer, value=timed(answer.value, clock))
            spelled |= component.spelled(subject[0])
            _respell(answer, spelled)
            after = _unmasked(snapshot(sandbox, spelled), component.masked)
            yield Step(
                record=record,
                answer=answer,
                expected=_unmasked(expected, component.masked),
                before=before,
                after=after,
                masked=component.masked,
                sandbox=sandbox,
                earlier=records[:index],
            )
            before = after
    finally:
        os.umask(umask)
        for opened in subject:
            component.close(opened)


def timed(value: object, clock: list[tuple[int, int]]) -> object:
    """A value with its times as the records tell them."""
    if isinstance(value, Time):
        step = next((step for step, (begun, ended) in enumerate(clock) if begun <= value <= ended), None)
        return times.rfc3339(value) if step is None else f"@{step}"
    if isinstance(value, dict):
        return {name: timed(item, clock) for name, item in value.items()}
    return [timed(item, clock) for item in value] if isinstance(value, list) else value


def _unmasked(tree: Tree, masked: str) -> Tree:
    return {path: entry for path, entry in tree.items() if not masked or not path.startswith(masked)}


def _respell(answer: Answer, spelled: Mapping[str, str]) -> None:
    """Spell random names in the library's own words as the records do."""
    if isinstance(answer.error, OrlopError):
        answer.error.engine = respelled(answer.error.engine, spelled)


def _perform(
    component: Component, subject: list[Any], record: Record, root: Path, spelled: Mapping[str, str]
) -> Answer:
    names = {spelling: name for name, spelling in spelled.items()}
    name, args = record["op"], _arguments(record["args"])
    args = {key: respelled(value, names) if isinstance(value, str) else value for key, value in args.items()}
    try:
        if name in HARNESS:
            return Answer(value=HARNESS[name](root, **args))
        if name == "reopen":
            opened = component.open(str(root), record["variant"])
            component.close(subject.pop())
            subject.append(opened)
            return Answer()
        return Answer(value=component.operations[name](subject[0], args))
    except Answered as error:
        return Answer(error=error.error, value=error.value)
    except (OrlopError, OSError, CallbackStopped) as error:
        return Answer(error=error)
