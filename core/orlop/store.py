"""The store door: what screens and commands see of a store of any kind.

A `Store` never writes, creates nothing and keeps no lock. It is changed only by
`orlop.apply.apply`, with a `Plan` that the store made.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

from orlop.finding import Finding, Rule
from orlop.fs import Root
from orlop.intent import Import, Intent, PutRemote
from orlop.plan import Plan, Refusal
from orlop.progress import Progress
from orlop.records import Absent, Delta, Detail, EngineState, Facet, Holding, Key, Records, Snapshot, StoreId, Why

if TYPE_CHECKING:  # a listing starts without them
    from orlop.space import Space
    from orlop.spread import Budget
    from orlop.verified import VerifiedCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a person states where nothing on disk can prove it."""

    offline: bool = False
    """No engine works on this store now, and none will until the change is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusive:
    """Proof that the store is held for writing, and by which means."""

    by: str
    """One clause: ``exclusive lock on volumes/metadata.db``, ``stated by --offline``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """How the bytes of a store are hashed, where a check of contents is asked for."""

    verified: "VerifiedCache | None" = None
    """What was hashed before: it is not hashed again while its version is the same, and what is found good or
    wrong now is noted in it. The caller saves it. None: nothing is known, nothing is noted."""
    again: bool = False
    """Hash everything, whatever was hashed before: rot keeps the time of a file."""
    budget: "Budget | None" = None
    """When to begin no more; `Budget.reached` then says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was learned from a URL, and what is to be done with it."""

    intent: Import | PutRemote
    """Take in what was fetched; or, where it has not changed, renew the record."""
    remarks: tuple[str, ...] = ()
    """Clauses for people: whether the signature was checked, where it led."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was written of an image."""

    form: str
    """``docker-archive``, ``oci-archive``, ``aci``"""
    id: str
    """What the image is called by an engine that takes it in: its image id, manifest digest or ACI key."""
    names: tuple[str, ...]
    """The names that the archive gives it."""
    bytes: int
    """Written."""
    remarks: tuple[str, ...] = ()
    """Clauses for people: what the archive has not, though the store has."""


@runtime_checkable
class ChecksNear(Protocol):
    """A store that can look at less than all of itself around a change."""

    def check_near(self, paths: Iterable[str], *, progress: Progress) -> Iterator[Finding]:
        """Findings as `Store.check` gives them without contents, those left out that no change of these paths can
        bring about or take away.

        Whoever holds the store's guard and changes nothing else loses nothing by asking so, before and after.

        Args:
            paths: all that a change writes, moves away or puts in, relative to the root.
            progress: told how far it is.

        Raises:
            Cancelled: `progress` stopped it.
        """
        ...


class Store(Protocol):
    """A container image store, opened where it lies.

    Methods may be called from any thread; they answer from an immutable analysis
    that `refresh` replaces whole. Reading what a screen asks for (`detail`, `why`)
    may touch the disk.
    """

    @property
    def identity(self) -> StoreId: ...

    @property
    def root(self) -> Root:
        """The root that steps' paths are relative to, and that the journal lies in."""
        ...

    def rows(self) -> Snapshot:
        """The image list as of the last read."""
        ...

    def engine(self) -> tuple[EngineState, str]:
        """What the engine's lock tells now, as `Snapshot.engine` and `engine_text`: cheap, and raises nothing."""
        ...

    def detail(self, key: Key) -> Detail:
        """One image whole; a key that is gone gives what remains of it.

        Raises:
            NotFound: nothing in the store has this id or name.
        """
        ...

    def facet(self, facet: Facet, key: Key | None) -> Records | Absent:
        """Records of one pane: of one image, or of the whole store for None."""
        ...

    def find(self, image: str) -> tuple[Key, ...]:
        """The rows that a person means: a full id, an exact name, or a prefix of an id, tried in that order.

        An id gives one key without a name; a name gives its row.

        Raises:
            NotFound: nothing answers.
            Ambiguous: several ids start so.
        """
        ...

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        """Findings, worst first; of the whole store for None.

        With `content` every byte is hashed, as `hashing` says; what the hashing finds comes as it is found.

        Raises:
            Unsupported: `content` is asked of a kind that cannot do it.
            Cancelled: `progress` stopped it.
        """
        ...

    def rules(self) -> tuple[Rule, ...]:
        """Every rule that `check` knows."""
        ...

    def why(self, subject: str) -> Why:
        """What a digest, id, name or folder is, and the references that keep it.

        Raises:
            NotFound: the store knows nothing of it.
        """
        ...

    def holders(self, holding: Holding, text: str) -> frozenset[str]:
        """Ids of the images that hold what answers to a text, without regard to case; it reads nothing."""
        ...

    def freed(self, keys: Iterable[Key]) -> int:
        """Bytes that go when exactly these rows are deleted, and what nothing else needs with them; it reads nothing.

        Images that keep another name stay. What cannot be read counts nothing, and neither
        does a row that is gone.
        """
        ...

    def plan(self, intent: Intent) -> Plan | Refusal:
        """The steps of a change, from the state as last read; writes nothing.

        Raises:
            NotFound: a name or image of the intent is not in the store.
            Malformed: a name does not parse.
            Unsupported: this kind cannot do that.
        """
        ...

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        """Read an archive of an image into `orlop.incoming`, every byte verified; the store itself stays as it is.

        It can be cut off and gone on with. What the `Import` then plans is what was
        read here, not the archive.

        Args:
            archive: path of the file.
            name: the name that the image is to get; empty where the archive brings its own.
            latest: for a kind that knows it, that it is the newest of its name.
            at: the time of import, nanoseconds UTC.
            progress: told of the bytes.

        Raises:
            Unsupported: this kind takes no archives, or not this one.
            Malformed, TooLarge, DigestMismatch: the archive is not what it must be; nothing waits.
            Locked: another program is reading the same archive in.
            ReadOnly, NoSpace, Cancelled
        """
        ...

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        """Ask a URL for its image again, and stage it if it changed; the only method that uses the network.

        Args:
            url: of a remote record, or a new one.
            at: the time of the fetch, nanoseconds UTC.
            progress: told of the bytes.

        Raises:
            Unsupported: this kind keeps no remote records that could be asked.
            FetchFailed: the server cannot be reached, refuses, redirects without end or breaks off.
            As `stage`.
        """
        ...

    def space(self, progress: Progress) -> "Space":
        """Where the bytes of the store's root are; it looks at every file's size and reads none.

        Raises:
            Cancelled: `progress` stopped it.
        """
        ...

    def save(self, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress) -> tuple[Saved, ...]:
        """Write images as one archive that engines load; every byte is verified while it is written.

        What was written is worth nothing unless this returns. The archive is the same for
        the same images, whenever it is made.

        Args:
            keys: the images; a key with a name gives the archive that name, one without gives all names of the image.
            to: written once, from the start; it need not be able to seek.
            form: ``docker-archive``, ``oci-archive`` or ``aci``; None: what suits the kind.
            progress: told of the bytes.

        Raises:
            Unsupported: this kind cannot give that form.
            NotFound: no such image.
            DigestMismatch, Malformed, …: a part of an image is not what it should be; the file is named.
            Cancelled
        """
        ...

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        """Read again what the hints name (paths relative to the root), or everything for None."""
        ...

    def watched(self) -> tuple[str, ...]:
        """Folders to watch, not recursively; relative to the root, existing ones only."""
        ...

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        """Hold the store for writing, by the lock that its engine respects.

        Raises:
            Locked: the engine, or another Orlop, holds it.
            NeedsStatement: nothing can prove that the engine is stopped.
            ReadOnly: the store cannot be written.
        """
        ...

    def close(self) -> None: ...
