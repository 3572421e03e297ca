"""rkt's rows in a database: which column means what in which version, and edits of them.

Columns are taken by their place, as rkt takes them: a migrated database has other names.

Facts: rkt v1.30.0, store/imagestore/{schema,aciinfo,remote,migrate}.go and the schema.go
of its releases since 0.7.0; databases of versions 2, 4, 6, 7 and 8.
"""

import dataclasses
from collections.abc import Sequence

from orlop.errors import Malformed, Unsupported
from orlop.rkt.catalogue import (
    VERSION,
    ZERO_TIME,
    Contents,
    DropImage,
    DropRemote,
    Edit,
    ImageRow,
    PutImage,
    PutRemote,
    RemoteRow,
    SetLatest,
    SetTreeSize,
    UseImage,
)
from orlop.rkt.ql import times
from orlop.rkt.ql.faults import row_faults
from orlop.rkt.ql.model import TIME, Blob, Database, Row, Table, Value
from orlop.rkt.ql.reading import Reader, read
from orlop.rkt.ql.writing import write

IMAGES, REMOTES, VERSIONS = "aciinfo", "remote", "version"

_WITHOUT_LAST_USE = ("key", "name", "imported", "latest")
_WITHOUT_SIZES = ("key", "name", "imported", "last_used", "latest")
_IMAGE = (*_WITHOUT_SIZES, "size", "tree_size")
_IMAGE_WITH_OPTIONS = (*_IMAGE, "")  # version 6 had a number that nothing uses
_REMOTE_WITHOUT_AGE = ("url", "signature_url", "etag", "key")
_REMOTE = (*_REMOTE_WITHOUT_AGE, "max_age", "downloaded")

_IMAGE_FIELDS = {
    0: _WITHOUT_LAST_USE,
    1: _WITHOUT_LAST_USE,
    2: _WITHOUT_LAST_USE,
    3: _WITHOUT_LAST_USE,
    4: _WITHOUT_SIZES,
    5: _IMAGE,
    6: _IMAGE_WITH_OPTIONS,
    7: _IMAGE,
}
_REMOTE_FIELDS = {version: _REMOTE_WITHOUT_AGE if version < 2 else _REMOTE for version in _IMAGE_FIELDS}

_KEY, _URL, _REMOTE_KEY = 0, 0, 3


# --- reading -----------------------------------------------------------------


def contents(data: bytes) -> Contents:
    """Every row of a file, newest written first; what an older version does not have is 0 or `ZERO_TIME`.

    Args:
        data: the whole file.

    Raises:
        Malformed: it does not parse, or is not rkt's.
        Unsupported: it has a later version.
    """
    return contents_of(read(data))


def contents_of(database: Database) -> Contents:
    """As `contents`, of a file that was read."""
    version = version_of(database)
    images = _fields(database, IMAGES, _IMAGE_FIELDS[version])
    remotes = _fields(database, REMOTES, _REMOTE_FIELDS[version])
    return Contents(
        version=version,
        images=tuple(
            ImageRow(
                key=_text(row, images, "key"),
                name=_text(row, images, "name"),
                imported=_time(row, images, "imported"),
                last_used=_time(row, images, "last_used"),
                latest=_flag(row, images, "latest"),
                size=_number(row, images, "size"),
                tree_size=_number(row, images, "tree_size"),
            )
            for row in _table(database, IMAGES).rows
        ),
        remotes=tuple(
            RemoteRow(
                url=_text(row, remotes, "url"),
                signature_url=_text(row, remotes, "signature_url"),
                etag=_text(row, remotes, "etag"),
                key=_text(row, remotes, "key"),
                max_age=_number(row, remotes, "max_age"),
                downloaded=_time(row, remotes, "downloaded"),
            )
            for row in _table(database, REMOTES).rows
        ),
    )


def version_of(database: Database) -> int:
    """The version of the schema.

    Raises:
        Malformed: there is none.
        Unsupported: it is later than `VERSION`; names both.
    """
    rows = _table(database, VERSIONS).rows
    version = rows[0].value(0) if rows else None
    if type(version) is not int or version < 0:
        raise Malformed("the database does not tell the version of its tables", field=VERSIONS)
    if version > VERSION:
        raise Unsupported(
            f"the database has version {version} of its tables, where this program knows {VERSION}",
            why="a later rkt wrote it",
            do="use a later version of Orlop",
            engine=f"current store db version: {version} (greater than the current rkt expected version: {VERSION})",
        )
    return version


def _table(database: Database, name: str) -> Table:
    table = database.table(name)
    if table is None:
        raise Malformed(f"the database has no table {name}", engine=f"table {name} does not exist")
    return table


def _fields(database: Database, name: str, fields: tuple[str, ...]) -> dict[str, int]:
    """Where in `Row.values` each field of a table lies."""
    places = _table(database, name).places()
    if len(places) != len(fields):
        raise Malformed(f"the table {name} has {len(places)} columns, where {len(fields)} must be")
    return dict(zip(fields, places, strict=True))


def _wrong(row: Row, field: str, value: Value) -> Malformed:
    return Malformed(f"a value of the type {type(value).__name__}", field=f"the field {field} of the row {row.id}")


def _text(row: Row, fields: dict[str, int], field: str) -> str:
    value = row.value(fields[field])
    if type(value) is str:
        return value
    if value is None and field != "key":
        return ""
    raise _wrong(row, field, value)


def _time(row: Row, fields: dict[str, int], field: str) -> int:
    place = fields.get(field)
    value = None if place is None else row.value(place)
    if value is None:
        return ZERO_TIME
    if type(value) is not Blob or value.kind != TIME:
        raise _wrong(row, field, value)
    try:
        return times.parse(value.data)
    except Malformed as error:
        raise Malformed(error.why, field=f"the field {field} of the row {row.id}") from error


def _flag(row: Row, fields: dict[str, int], field: str) -> bool:
    value = row.value(fields[field])
    if value is None or type(value) is bool:
        return bool(value)
    raise _wrong(row, field, value)


def _number(row: Row, fields: dict[str, int], field: str) -> int:
    place = fields.get(field)
    value = None if place is None else row.value(place)
    if value is None:
        return 0
    if type(value) is not int:
        raise _wrong(row, field, value)
    return value


# --- editing -----------------------------------------------------------------


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    """A file after some edits, in order; the bytes that came where they change nothing.

    Args:
        data: the whole file.
        edits: what to do.

    Raises:
        Malformed: the file does not parse, or an index knows other rows than the table has,
            so that writing it anew would lose some; or a new value is too large for a row.
        Unsupported: it has another version than `VERSION`; names both.
    """
    reader = Reader(data)
    database = reader.database
    version = version_of(database)
    if version != VERSION:
        raise Unsupported(
            f"the database has version {version} of its tables, and only version {VERSION} can be changed",
            why="an older rkt wrote it, and migrating it is left to rkt",
            do="start rkt 1.12.0 or later on it as root, which migrates it, or work on it read-only",
        )
    contents_of(database)  # every value is what it must be
    found = row_faults(reader)
    if found:
        raise Malformed(found[0], do="do not change it: rebuild the rows from the blobs and manifests")
    after = _Editor(database).after(edits)
    return data if after == database else write(after)


class _Editor:
    """The rows of one database, being edited."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_id = database.last_id
        self._image_places = _table(database, IMAGES).places()
        self._remote_places = _table(database, REMOTES).places()
        # Oldest first: a row that is inserted comes last, one that is changed keeps its place.
        self._images = _by_text(_table(database, IMAGES), self._image_places[_KEY])
        self._remotes = _by_text(_table(database, REMOTES), self._remote_places[_URL])
        self._prefix = self._prefix_in_use()

    def after(self, edits: Sequence[Edit]) -> Database:
        for edit in edits:
            self._apply(edit)
        changed = {IMAGES: self._images, REMOTES: self._remotes}
        tables = tuple(
            dataclasses.replace(table, rows=tuple(changed[table.name].values())[::-1])
            if table.name in changed
            else table
            for table in self._database.tables
        )
        return Database(last_id=self._last_id, tables=tables)

    def _apply(self, edit: Edit) -> None:
        match edit:
            case PutImage(row=row):
                self._insert(self._images, row.key, self._image_values(row), self._image_places, IMAGES)
            case DropImage(key=key):
                self._images.pop(key, None)
                place = self._remote_places[_REMOTE_KEY]
                for url in [url for url, row in self._remotes.items() if row.value(place) == key]:
                    del self._remotes[url]
            case SetLatest(key=key, latest=latest):
                self._set(key, _IMAGE.index("latest"), latest)
            case SetTreeSize(key=key, size=size):
                self._set(key, _IMAGE.index("tree_size"), size)
            case UseImage(key=key, at=at):
                self._use(key, at)
            case PutRemote(row=row):
                self._insert(self._remotes, row.url, self._remote_values(row), self._remote_places, REMOTES)
            case DropRemote(url=url):
                self._remotes.pop(url, None)

    def _insert(
        self, rows: dict[str, Row], name: str, values: tuple[Value, ...], places: tuple[int, ...], table: str
    ) -> None:
        rows.pop(name, None)
        self._last_id += 1
        row: list[Value] = [None] * len(_table(self._database, table).columns)
        for place, value in zip(places, values, strict=True):
            row[place] = value
        rows[name] = Row(self._last_id, tuple(row))

    def _use(self, key: str, at: int) -> None:
        row = self._images.get(key)
        if row is None:
            return
        used = _IMAGE.index("last_used")
        values = [row.value(place) for place in self._image_places]
        values[used] = self._time(at, row, self._image_places[used])
        self._insert(self._images, key, tuple(values), self._image_places, IMAGES)

    def _set(self, key: str, field: int, value: Value) -> None:
        row = self._images.get(key)
        place = self._image_places[field]
        if row is None or (row.value(place) == value and type(row.value(place)) is type(value)):
            return
        values = [*row.values, *[None] * (place + 1 - len(row.values))]
        values[place] = value
        self._images[key] = Row(row.id, tuple(values))

    def _image_values(self, row: ImageRow) -> tuple[Value, ...]:
        old = self._images.get(row.key)
        imported, last_used = self._image_places[2], self._image_places[3]
        return (
            row.key,
            row.name,
            self._time(row.imported, old, imported),
            self._time(row.last_used, old, last_used),
            row.latest,
            row.size,
            row.tree_size,
        )

    def _remote_values(self, row: RemoteRow) -> tuple[Value, ...]:
        old = self._remotes.get(row.url)
        downloaded = self._time(row.downloaded, old, self._remote_places[5])
        return (row.url, row.signature_url, row.etag, row.key, row.max_age, downloaded)

    def _time(self, instant: int, old: Row | None, place: int) -> Blob:
        """A time: the old bytes where the row had the same instant, else led by what leads those in the file."""
        before = None if old is None else old.value(place)
        if isinstance(before, Blob) and times.parse(before.data) == instant:
            return before
        return Blob(TIME, times.form(instant, self._prefix))

    def _prefix_in_use(self) -> bytes:
        for table in (IMAGES, REMOTES):
            for row in _table(self._database, table).rows:
                for value in row.values:
                    if isinstance(value, Blob) and value.kind == TIME:
                        return times.prefix(value.data)
        return times.PREFIX


def _by_text(table: Table, place: int) -> dict[str, Row]:
    """Rows by what identifies them, oldest first.

    Raises:
        Malformed: two have the same.
    """
    rows = {str(row.value(place)): row for row in reversed(table.rows)}
    if len(rows) != len(table.rows):
        raise Malformed(f"two rows of the table {table.name} are of the same image or url")
    return rows
