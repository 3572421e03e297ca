"""A snapshot of a store, as lines."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

from orlop import jsonrules
from orlop.errors import Malformed, OrlopError
from orlop.progress import Progress
from orlop.records import (
    Absent,
    Detail,
    Document,
    Facet,
    Fact,
    Key,
    LayerRecord,
    Records,
    Remote,
    Row,
    Section,
    Snapshot,
    Upload,
)
from orlop.records import Mapping as DigestMapping
from orlop.snapshots.lines import MAGIC, VERSION, Writer
from orlop.snapshots.rules import derived, name_of, others, typed
from orlop.snapshots.values import dumped
from orlop.store import Store
from orlop.text import masked, masked_line

HIDDEN = "snapshot"
"""Title of the section that says what of an image is not in the file."""
_EXACT = 2000
"""Images up to which each one's own mappings and remote records are written where they are no mere part of all."""
_BY_REPOSITORY = "registry"
"""The kind whose mappings are as many as layers times repositories, each with all its images."""
_TOO_MANY = f"of a registry with more than {_EXACT} images they are left out; each image's layers tell both digests"
_RAW_LIMIT = 2 << 20
"""Bytes of a config or manifest that is written as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written."""

    images: int
    findings: int
    bytes: int
    without: tuple[str, ...]
    """What could not be taken, one clause each."""


def write(
    store: Store,
    to: BinaryIO,
    *,
    masked_config: Callable[[object], object],
    program: str,
    packed: bool,
    space: bool,
    progress: Progress,
) -> Written:
    """Write everything that a store tells; the same analysis gives the same bytes.

    Values that look secret are masked, and of a config or manifest that holds one
    the exact bytes are left out.

    Args:
        store: what is written; it is only looked at.
        to: written once, from the start.
        masked_config: gives a parsed config with what looks secret masked.
        program: name and version of the program that writes.
        packed: whether as gzip.
        space: whether to look where the bytes are, too: at every file's size.
        progress: told of images.

    Raises:
        Cancelled: `progress` stopped it.
        OrlopError: the store cannot be checked.
    """
    return _Writing(store, Writer(to, packed=packed), masked_config, progress).whole(program, space=space)


class _Writing:
    def __init__(
        self, store: Store, out: Writer, masked_config: Callable[[object], object], progress: Progress
    ) -> None:
        self._store = store
        self._out = out
        self._masked_config = masked_config
        self._progress = progress
        self._without: list[str] = []
        self._users: dict[str, tuple[str, ...]] = {}
        """Layer → ids of all images that have it: written once, and not with each of them."""

    def whole(self, program: str, *, space: bool) -> Written:
        snapshot = self._store.rows()
        self._head(snapshot, program)
        findings = self._findings()
        images = _grouped(snapshot.rows)
        whole = {facet: self._facet(facet, many=len(images) > _EXACT) for facet in Facet}
        for number, keys in enumerate(images):
            self._progress.step("images", number, len(images))
            self._image(keys, snapshot, whole, exact=len(images) <= _EXACT)
        if space:
            self._space()
        self._out.close()
        return Written(images=len(images), findings=findings, bytes=self._out.bytes, without=tuple(self._without))

    def _head(self, snapshot: Snapshot, program: str) -> None:
        head = {"type": MAGIC, "version": VERSION, "program": program}
        self._out.add({**head, "snapshot": dumped(replace(snapshot, rows=()))})
        for row in snapshot.rows:
            self._out.add({"type": "row", "row": dumped(row)})

    def _findings(self) -> int:
        count = 0
        for finding in self._store.check(None, content=False, progress=self._progress):
            safe = replace(finding, detail=masked_line(finding.detail), engine_says=masked_line(finding.engine_says))
            if not self._out.add({"type": "finding", "finding": dumped(safe)}):
                self._without.append(f"who is affected by {finding.rule} at {finding.path}, for they are too many")
                small = replace(safe, images=(), names=(), containers=())
                self._out.add({"type": "finding", "finding": dumped(small)})
            count += 1
        return count

    def _facet(self, facet: Facet, *, many: bool) -> "_Records":
        if many and facet is Facet.MAPPINGS and self._store.identity.kind == _BY_REPOSITORY:
            found: _Records = Absent(because=_TOO_MANY)
            self._without.append(f"mappings: {_TOO_MANY}")
        else:
            found = self._safe_records(facet, None)
        if isinstance(found, Absent):
            self._out.add({"type": "absent", "facet": facet.value, "because": found.because})
        else:
            for record in found:
                if not self._out.add({"type": "record", "facet": facet.value, "record": dumped(record)}):
                    self._without.append(f"one of the {facet.value}, for it is too long")
        return found

    def _safe_records(self, facet: Facet, key: Key | None) -> "_Records":
        found = self._store.facet(facet, key)
        return found if isinstance(found, Absent) else typed(facet, [_safe_record(record) for record in found])

    def _image(self, keys: list[Key], snapshot: Snapshot, whole: "Mapping[Facet, _Records]", *, exact: bool) -> None:
        """One image: by its first row, and by its others and by its id alone what differs from that."""
        first: Detail | None = None
        for key in keys if exact else keys[:1]:
            try:
                detail = self._safe(self._store.detail(key))
            except OrlopError as error:
                self._without.append(f"{key.name or key.id}: {error.what}")
                continue
            own = _row_of(snapshot, key) if first is not None else None
            if first is None or replace(first, key=key, row=own) != detail:
                self._detail(detail, key)
                first = first or detail
            for facet in Facet if exact else ():
                found = self._safe_records(facet, key)
                if found != derived(facet, whole[facet], key, detail):
                    records = None if isinstance(found, Absent) else [dumped(record) for record in found]
                    because = found.because if isinstance(found, Absent) else None
                    line = {"facet": facet.value, "key": dumped(key), "records": records, "because": because}
                    self._out.add({"type": "of", **line})

    def _detail(self, detail: Detail, key: Key) -> None:
        shared = [self._shared(layer, detail.key.id) for layer in detail.layers]
        layers = zip(detail.layers, shared, strict=True)
        detail = replace(
            detail,
            layers=tuple(layer if name is None else replace(layer, shared_with=()) for layer, name in layers),
        )
        named = {"type": "detail", "key": dumped(key), "shared": shared}
        if not self._out.add({**named, "detail": dumped(detail)}):
            small = replace(detail, config={}, config_raw=None, documents=(), sections=(_TOO_LONG,))
            self._without.append(f"{key.name or key.id}: its config, for it is too long")
            self._out.add({**named, "detail": dumped(small)})

    def _shared(self, layer: LayerRecord, image: str) -> str | None:
        """The name under which the users of a layer were written; None where they are to be written with it."""
        name = name_of(layer)
        users = self._users.get(name)
        if users is None:
            users = self._users[name] = tuple(sorted({*layer.shared_with, image}))
            if not self._out.add({"type": "users", "layer": name, "images": users}):
                self._users[name] = ()
        return name if others(users, image) == layer.shared_with else None

    def _space(self) -> None:
        try:
            found = self._store.space(self._progress)
        except OrlopError as error:
            self._without.append(f"where the bytes are: {error.what}")
            return
        if not self._out.add({"type": "space", "space": dumped(found)}):
            self._without.append("where the bytes are, for it is too long")

    # --- what looks secret -----------------------------------------------------

    def _safe(self, detail: Detail) -> Detail:
        config = self._masked_config(detail.config)
        raw, hidden = self._safe_raw(detail.config_raw)
        documents = [self._safe_document(document) for document in detail.documents]
        safe = replace(
            detail,
            config=config if isinstance(config, Mapping) else {},
            config_raw=raw,
            problems=tuple(masked_line(problem) for problem in detail.problems),
            history=tuple(
                replace(entry, created_by=masked_line(entry.created_by), comment=masked_line(entry.comment))
                for entry in detail.history
            ),
            metadata=tuple(
                record if masked(record.name, record.text) == record.text else replace(record, value=b"", text="")
                for record in detail.metadata
            ),
            documents=tuple(document for document, _ in documents),
            sections=tuple(_safe_section(section) for section in detail.sections),
        )
        left_out = [*(["config"] if hidden else []), *(one.title for one, gone in documents if gone)]
        if not left_out:
            return safe
        value = "what looks secret in it is masked, and its exact bytes are not in this file"
        facts = tuple(Fact(name=title, value=value) for title in left_out)
        return replace(safe, sections=(*safe.sections, Section(title=HIDDEN, facts=facts)))

    def _safe_raw(self, raw: bytes | None) -> tuple[bytes | None, bool]:
        """Exact bytes if nothing in them looks secret; and whether they were left out."""
        if raw is None:
            return None, False
        if len(raw) > _RAW_LIMIT:
            return None, True
        text = raw.decode("utf-8", "surrogateescape")
        try:
            value = jsonrules.loads(raw)
        except Malformed:
            value = None
        safe = masked_line(text) == text and self._masked_config(value) == value
        return (raw, False) if safe else (None, True)

    def _safe_document(self, document: Document) -> tuple[Document, bool]:
        raw, hidden = self._safe_raw(document.raw)
        return replace(document, raw=raw), hidden


_Records = Records | Absent
_TOO_LONG = Section(title=HIDDEN, facts=(Fact(name="config", value="it is too long for this file"),))


def _grouped(rows: tuple[Row, ...]) -> list[list[Key]]:
    """The keys of each image: of its rows, and the one without a name, in the order of the rows."""
    found: dict[tuple[str, str], dict[Key, None]] = {}
    for row in rows:
        found.setdefault(row.key[:2] if row.id else (row.key.scope, row.key.name or ""), {})[row.key] = None
    for keys in found.values():
        first = next(iter(keys))
        if first.id:
            keys[Key(first.scope, first.id, None)] = None
    return [list(keys) for keys in found.values()]


def _row_of(snapshot: Snapshot, key: Key) -> Row | None:
    return next((row for row in snapshot.rows if row.key == key), None)


def _safe_record(record: DigestMapping | Remote | Upload) -> DigestMapping | Remote | Upload:
    """A record with the passwords in its URLs masked."""
    changed = {
        field.name: safe
        for field in dataclasses.fields(record)
        if isinstance(text := getattr(record, field.name), str) and (safe := masked_line(text)) != text
    }
    return replace(record, **changed) if changed else record  # type: ignore[arg-type]  # all of them are texts


def _safe_section(section: Section) -> Section:
    return replace(
        section,
        facts=tuple(
            replace(
                fact,
                name=masked_line(fact.name),
                value=masked(fact.name, masked_line(fact.value)),
                remark=masked_line(fact.remark),
            )
            for fact in section.facts
        ),
    )
