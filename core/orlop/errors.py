"""Every error of the core: what happened, where on disk, why, and what a person can do.

::

    OrlopError
    ├── NotFound            nothing is there                        (LookupError)
    ├── Ambiguous           more than one thing answers             (LookupError)
    ├── AlreadyExists       something is in the way
    ├── Malformed           bytes do not parse as what they must be (ValueError)
    ├── DigestMismatch      bytes hash to something else            (ValueError)
    ├── TooLarge            more bytes than may be read             (ValueError)
    ├── WrongKind           not a regular file, or not a folder
    ├── Escapes             a path would leave the store            (ValueError)
    ├── NoPermission        the system says no
    ├── ReadOnly            the store cannot be written
    ├── NoSpace             the disk or the quota is full
    ├── StorageFailure      any other answer of the file system
    ├── NotAStore           no store of a known kind is there
    ├── Unsupported         this kind of store cannot do that
    ├── Locked              the engine, or another Orlop, holds the store
    ├── NeedsStatement      nothing can prove that the engine is stopped
    ├── Refused             the store refuses the change, with its reasons
    ├── Changed             the store is no longer what was seen
    ├── Unfinished          an earlier change was cut off
    ├── WouldHarm           re-checking found damage; the change was rolled back
    ├── FetchFailed         a server did not give what was asked for
    └── Cancelled           the person stopped the work

The texts may hold hostile bytes of the store: whoever shows them passes them
through `orlop.text.visible`.
"""

from collections.abc import Sequence


class OrlopError(Exception):
    """The base: four answers that every message of Orlop gives.

    Attributes:
        what: what happened, a clause without a full stop.
        path: where on disk, relative to the store or absolute; None where there is no place.
        why: the reason, a clause; empty where `what` says it.
        do: what a person can do about it; empty where nothing can be done.
        engine: the words that the engine has for this, where they are known.
    """

    def __init__(self, what: str, *, path: str | None = None, why: str = "", do: str = "", engine: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.path = path
        self.why = why
        self.do = do
        self.engine = engine

    def __str__(self) -> str:
        parts = [self.what]
        if self.path is not None:
            parts.append(f"at {self.path}")
        if self.why:
            parts.append(self.why)
        return ": ".join(parts)


class NotFound(OrlopError, LookupError):
    """Nothing is there under this name, id or path."""


class Ambiguous(OrlopError, LookupError):
    """More than one thing answers; `candidates` lists them, sorted."""

    def __init__(self, term: str, candidates: Sequence[str], *, do: str = "", engine: str = "") -> None:
        super().__init__(
            f"{term!r} matches {len(candidates)} images",
            why="candidates: " + ", ".join(candidates[:8]) + (", …" if len(candidates) > 8 else ""),
            do=do or "give more digits of the id, or a full name",
            engine=engine,
        )
        self.term = term
        self.candidates = tuple(candidates)


class AlreadyExists(OrlopError):
    """Something is in the way, and nothing was overwritten."""


class Malformed(OrlopError, ValueError):
    """Bytes do not parse as what they must be.

    Attributes:
        field: path to the offending member, such as ``rootfs.diff_ids[2]``; empty for the whole.
    """

    def __init__(self, why: str, *, path: str | None = None, field: str = "", engine: str = "", do: str = "") -> None:
        why = f"{field}: {why}" if field else why
        super().__init__("cannot be read as it must be", path=path, why=why, do=do, engine=engine)
        self.field = field


class DigestMismatch(OrlopError, ValueError):
    """The bytes hash to something else than their name says."""

    def __init__(self, expected: str, actual: str, *, path: str | None = None, engine: str = "") -> None:
        super().__init__(
            "the content does not have the digest that its name says",
            path=path,
            why=f"expected {expected}, found {actual}",
            engine=engine,
        )
        self.expected = expected
        self.actual = actual


class TooLarge(OrlopError, ValueError):
    """The file holds more bytes than may be read into memory; sizes in bytes."""

    def __init__(self, size: int, limit: int, *, path: str | None = None) -> None:
        super().__init__("too large to be read", path=path, why=f"{size} bytes, where at most {limit} are parsed")
        self.size = size
        self.limit = limit


class WrongKind(OrlopError):
    """A symbolic link, pipe, device, socket or folder where a file must be, or the reverse.

    Attributes:
        found: what is there: ``link``, ``folder``, ``file``, ``fifo``, ``device``, ``socket``.
    """

    def __init__(self, found: str, wanted: str, *, path: str | None = None) -> None:
        super().__init__(f"a {found} is in the place of a {wanted}", path=path, why="it was not opened or followed")
        self.found = found
        self.wanted = wanted


class Escapes(OrlopError, ValueError):
    """A name, key or id would lead out of the store; nothing was opened."""

    def __init__(self, path: str, why: str = "the path would leave the store") -> None:
        super().__init__("refused to go there", path=path, why=why)


class NoPermission(OrlopError):
    """The system does not let this user read or write there."""

    def __init__(self, what: str, *, path: str | None = None) -> None:
        super().__init__(what, path=path, why="permission denied", do="run as root, or work on a readable copy")


class ReadOnly(OrlopError):
    """The file system or folder cannot be written."""


class NoSpace(OrlopError):
    """The disk or the quota is full; nothing was left half-written."""


class StorageFailure(OrlopError):
    """Any other answer of the file system; `errno` is its number."""

    def __init__(
        self,
        what: str,
        *,
        path: str | None = None,
        why: str = "",
        errno: int = 0,
        do: str = "look at the kernel's log: the disk may be failing",
    ) -> None:
        super().__init__(what, path=path, why=why, do=do)
        self.errno = errno


class NotAStore(OrlopError):
    """No store of a known kind is at this path."""


class Unsupported(OrlopError):
    """This kind or version of store cannot do what was asked."""


class Locked(OrlopError):
    """Another program holds the store.

    Attributes:
        holder: the program and its process id, where they can be known; else empty.
    """

    def __init__(self, what: str, *, path: str | None = None, holder: str = "", do: str = "") -> None:
        super().__init__(what, path=path, why=f"held by {holder}" if holder else "its lock is held", do=do)
        self.holder = holder


class NeedsStatement(OrlopError):
    """Nothing on disk can prove that the engine is stopped: a person must state it."""


class Refused(OrlopError):
    """The store refuses the change; each reason names what stands in the way."""

    def __init__(
        self, what: str, reasons: Sequence[str], *, path: str | None = None, do: str = "", engine: str = ""
    ) -> None:
        super().__init__(what, path=path, why="; ".join(reasons), do=do, engine=engine)
        self.reasons = tuple(reasons)


class Changed(OrlopError):
    """The store is no longer what the plan saw; nothing was done."""


class Unfinished(OrlopError):
    """An earlier change was cut off and must be finished or undone first.

    Attributes:
        change: the id of that change.
    """

    def __init__(self, change: str, *, path: str | None = None) -> None:
        super().__init__(
            f"the change {change} was cut off before its end",
            path=path,
            why="a program was killed, or the machine went down",
            do="`orlop undo PATH` takes it back, `orlop apply PATH --finish` completes it",
        )
        self.change = change


class WouldHarm(OrlopError):
    """Re-checking after the change found new damage, and the change was rolled back."""


class FetchFailed(OrlopError):
    """A server cannot be reached, refuses, redirects without end, or breaks off; nothing of it was kept."""


class Cancelled(OrlopError):
    """The person stopped the work; what was finished is kept."""

    def __init__(self, what: str = "stopped on request") -> None:
        super().__init__(what)
