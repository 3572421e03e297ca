"""Asking a URL for its image again: unchanged, its record is renewed; changed, the new image waits to be taken in.

As with rkt, a record whose max age is not over yet is taken at its word, and the server
is not asked: `orlop forget PATH URL` drops the record first where that is not wanted.
Otherwise the server is asked on condition of the ETag. rkt forgets to renew the times of
a record when the server says that nothing changed; here they are renewed.

What comes is looked at whole before anything waits, and its signature, which lies beside
it, is checked where rkt trusts keys for its name.

Facts: rkt v1.30.0, rkt/image/{httpfetcher,resumablesession,common}.go.
"""

import contextlib
import hashlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from orlop import incoming, times
from orlop.errors import FetchFailed
from orlop.fs import Root
from orlop.intent import Import, PutRemote
from orlop.progress import Progress
from orlop.rkt import signing
from orlop.rkt.cachecontrol import max_age
from orlop.rkt.catalogue import RemoteRow
from orlop.rkt.compression import CHUNK, LIMITS, Limits, decompressed
from orlop.rkt.errors import BadImage
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import Model, State
from orlop.rkt.remotes import expires, is_fresh
from orlop.rkt.signing import Check, Judgement, Keys, Signature
from orlop.rkt.staging import check_takes, discard, receive
from orlop.rkt.transfer import BOUNDS, Answer, Bounds, Session, Target
from orlop.store import Fetched

_OK, _NOT_MODIFIED = 200, 304
_NOT_THERE = frozenset({202, 204, 404, 410})
"""Answers that mean that there is no signature, or none yet."""

_ENCODED = frozenset({"gzip", "x-gzip"})
_LONGEST_ETAG = 1024
_SIGNATURE_LIMIT = 1 << 20


def fetch(
    root: Root,
    model: Model,
    url: str,
    *,
    at: int,
    progress: Progress,
    again: bool = False,
    limits: Limits = LIMITS,
    bounds: Bounds = BOUNDS,
    trusted_keys: Sequence[str] = signing.TRUSTED_KEYS,
    context: ssl.SSLContext | None = None,
) -> Fetched:
    """Ask a URL, and stage what it gives if that is new.

    Args:
        root: the store's folder; only `orlop.incoming` in it is written to.
        model: what the last read found.
        url: of a remote record, or a new one; a user and a password in it are sent to
            that server and, where no record has this very URL, not kept.
        at: the time of the fetch, nanoseconds UTC.
        progress: told of the bytes that came, as ``download``.
        again: ask although the record is still fresh.
        limits: beyond which an image is refused.
        bounds: beyond which a server is given up.
        trusted_keys: folders of keys, as `orlop.rkt.signing` describes.
        context: what certificates are checked with; None: the system's.

    Raises:
        FetchFailed: the server cannot be reached, refuses, is too slow, breaks off, sends
            no image or one with a wrong signature; nothing of it waits.
        Unsupported, Refused: the store's database is of another version, or cannot be read.
        Locked: another program is fetching the same URL.
        ReadOnly, NoSpace, Cancelled
    """
    check_takes(root, model)
    target = Target.of(url)
    kept = url if url in model.remotes else target.url
    record = model.remotes.get(kept)
    if record is not None and not _usable(model, record):
        record = replace(record, etag="", max_age=0)  # what it led to must be sent whole
    if record is not None and is_fresh(record, at) and not again:
        until = times.rfc3339(expires(record) or at)
        remark = f"the record is fresh until {until}: the server was not asked; `orlop forget` drops the record"
        return Fetched(intent=_put(record), remarks=(remark,))
    asking = _Asking(root, target, kept, record, at, progress, limits, trusted_keys)
    with Session(bounds, context) as session, session.get(target, asking.headers()) as answer:
        if answer.status == _NOT_MODIFIED and asking.asked_for_changes:
            return asking.renewed(answer)
        if answer.status != _OK:
            raise answer.unexpected()
        return asking.taken(session, answer)


def _usable(model: Model, record: RemoteRow) -> bool:
    """Whether the image that a record leads to is there, as far as looking tells."""
    image = model.images.get(record.key)
    if image is None or image.row is None or image.manifest.state is not State.GOOD:
        return False
    return image.blob.state is State.GOOD and image.blob.size == image.row.size


def _put(record: RemoteRow) -> PutRemote:
    return PutRemote(
        url=record.url,
        image=record.key,
        signature_url=record.signature_url,
        etag=record.etag,
        max_age=record.max_age,
        downloaded=record.downloaded,
    )


@dataclass(slots=True)
class _Asking:
    """One fetch."""

    root: Root
    target: Target
    kept: str
    """The URL as the record has it."""
    record: RemoteRow | None
    at: int
    progress: Progress
    limits: Limits
    trusted_keys: Sequence[str]

    @property
    def asked_for_changes(self) -> bool:
        """Whether the server may answer that nothing changed."""
        return self.record is not None and _is_etag(self.record.etag)

    def headers(self) -> dict[str, str]:
        """What is sent besides the usual."""
        if self.record is None or not self.asked_for_changes:
            return {}
        return {"If-None-Match": self.record.etag}

    # --- unchanged ---------------------------------------------------------------

    def renewed(self, answer: Answer) -> Fetched:
        """The record with the times of an answer that nothing changed."""
        assert self.record is not None
        control = answer.header("Cache-Control")
        etag = answer.header("ETag")
        intent = replace(
            _put(self.record),
            etag=etag if _is_etag(etag) else self.record.etag,
            max_age=max_age(control) if control else self.record.max_age,
            downloaded=self.at,
        )
        return Fetched(intent=intent, remarks=("the server says that nothing changed", *self._led(answer)))

    # --- new ---------------------------------------------------------------------

    def taken(self, session: Session, answer: Answer) -> Fetched:
        """Take in what the server sends, with its signature."""
        encoding = answer.header("Content-Encoding").strip().lower()
        if encoding not in ("", "identity", *_ENCODED):
            raise answer.target.failed(
                "the server sends what nobody asked for", "its content is encoded in its own way"
            )
        name = hashlib.sha256(self.kept.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        with incoming.receiving(self.root, name) as into:
            try:
                signature_url, signature = self._signature(session)
                with _Checks(signature, self.trusted_keys, decoded=encoding in _ENCODED) as checks:
                    chunks = self._chunks(answer, checks, encoded=encoding in _ENCODED)
                    key, manifest = receive(self.root, into, chunks, self.limits)
                    remark = self._judged(checks, manifest)
            except BadImage as error:
                discard(self.root, name)
                raise answer.target.failed(
                    "what the server sent is no image that can be taken", error.why, "look at the URL"
                ) from error
            except BaseException:
                discard(self.root, name)
                raise
        etag = answer.header("ETag")
        remote = PutRemote(
            url=self.kept,
            image="",
            signature_url=signature_url,
            etag=etag if _is_etag(etag) else "",
            max_age=max_age(answer.header("Cache-Control")),
            downloaded=self.at,
        )
        same = self.record is not None and self.record.key == key
        remarks = (f"{answer.done} bytes came" + (", of the same image" if same else ""), remark, *self._led(answer))
        return Fetched(intent=Import(staged=name, at=self.at, remote=remote), remarks=(*remarks, *self._forgot()))

    def _chunks(self, answer: Answer, checks: "_Checks", *, encoded: bool) -> Iterator[bytes]:
        """The archive without the server's compression and without its own.

        Raises:
            BadImage, FetchFailed, Cancelled
        """
        sent = _Body(self._sent(answer, checks))
        if not encoded:
            yield from decompressed(cast("BinaryIO", sent), self.limits)
            return
        inner = _Body(checks.watch_decoded(decompressed(cast("BinaryIO", sent), self.limits)))
        yield from decompressed(cast("BinaryIO", inner), self.limits)

    def _sent(self, answer: Answer, checks: "_Checks") -> Iterator[bytes]:
        while data := answer.read(CHUNK):
            self.progress.step("download", answer.done, answer.length or 0)
            checks.feed(data)
            yield data

    # --- signature -----------------------------------------------------------------

    def _signature(self, session: Session) -> tuple[str, bytes | None]:
        """Where a signature lies and what it is; nothing and None where there is none."""
        for url in self._places():
            with contextlib.suppress(FetchFailed):  # it is not there, and whether it must be is judged later
                target = Target.of(url)
                with session.get(target, {}, login=self.target) as answer:
                    if answer.status != _OK:
                        continue
                    data = b""
                    while (more := answer.read(CHUNK)) and len(data) <= _SIGNATURE_LIMIT:
                        data += more
                    if data and len(data) <= _SIGNATURE_LIMIT:
                        return target.url, data
        return "", None

    def _places(self) -> list[str]:
        """URLs of the signature: the record's; where rkt looks; beside the image."""
        path, _, query = self.target.url.partition("?")
        tail = f"?{query}" if query else ""
        known = [self.record.signature_url] if self.record is not None and self.record.signature_url else []
        return list(dict.fromkeys([*known, f"{path.removesuffix('.aci')}.aci.asc{tail}", f"{path}.asc{tail}"]))

    def _judged(self, checks: "_Checks", manifest: ImageManifest) -> str:
        """A remark on the signature.

        Raises:
            FetchFailed: it is bad; or rkt would take the image only with a good one.
        """
        found = checks.result()
        if found.judgement is Judgement.BAD:
            raise self._refused(f"the signature is bad: {found.why}")
        trusted = checks.keys.trusted_for(manifest.name) if checks.keys is not None else frozenset()
        if found.judgement is Judgement.GOOD and trusted.intersection(found.signers):
            return f"the signature was checked: good, by {found.who} {found.signers[0]}"
        if trusted and checks.possible:
            why = found.why or f"it is by a key that is not trusted for {manifest.name}"
            raise self._refused(
                f"rkt trusts keys for {manifest.name}, and no good signature by one of them is there: {why}"
            )
        return f"the signature was not checked: {checks.why or found.why or 'no key is trusted for this name'}"

    def _refused(self, why: str) -> FetchFailed:
        return self.target.failed(
            "the image is not signed as it must be", why, "ask whoever publishes it; nothing of it was kept"
        )

    # --- words ---------------------------------------------------------------------

    def _led(self, answer: Answer) -> tuple[str, ...]:
        return () if answer.target.url == self.target.url else (f"the server led to {answer.target.shown}",)

    def _forgot(self) -> tuple[str, ...]:
        forgot = self.target.login and self.kept == self.target.url
        return ("the user and the password in the URL were used and not kept",) if forgot else ()


def _is_etag(text: str) -> bool:
    """Whether a text can be sent back as it is."""
    return 0 < len(text) <= _LONGEST_ETAG and text.isascii() and text.isprintable()


class _Body:
    """Pieces, to be read like a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none only at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Checks:
    """The signature, checked against what came, and against what that was before the server compressed it.

    Some servers compress what they send, others say so of files that lie there
    compressed: only one of the two was signed, and nothing tells which.
    """

    def __init__(self, signature: bytes | None, folders: Sequence[str], *, decoded: bool) -> None:
        self.keys: Keys | None
        self.keys, self.why = signing.read_keys(folders)
        gpgv = signing.program()
        ring = self.keys.ring if self.keys is not None else b""
        self.possible = gpgv is not None and bool(ring)
        """Whether this host can check signatures at all."""
        if not self.why and not ring:
            self.why = "rkt trusts no keys on this host"
        elif gpgv is None:
            self.why = "gpgv is not installed"
        self._missing = signature is None
        self._checks: list[Check] = []
        if gpgv is not None and ring and signature is not None:
            self._checks = [Check(gpgv, ring, signature) for _ in range(1 + decoded)]
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "_Checks":
        for check in self._checks:
            self._open.enter_context(check)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def feed(self, data: bytes) -> None:
        """Some more of what came."""
        for check in self._checks[:1]:
            check.feed(data)

    def watch_decoded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, which are what the server compressed."""
        for piece in pieces:
            for check in self._checks[1:]:
                check.feed(piece)
            yield piece

    def result(self) -> Signature:
        """The better of what both gave."""
        if self._missing:
            return Signature(judgement=Judgement.UNKNOWN, why="there is none")
        found = [check.result() for check in self._checks]
        order = (Judgement.GOOD, Judgement.BAD, Judgement.UNKNOWN)
        return min(found, key=lambda one: order.index(one.judgement), default=Signature(judgement=Judgement.UNKNOWN))
