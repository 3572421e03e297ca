"""Whether a ql database file is whole, told without a line of the code under test.

Facts are checked that a reader of the rows never needs: every atom belongs to exactly
one block, every block is used by exactly one thing, padding is zero, the free lists
hold the free blocks and no free block ends the file; index pages are linked, ordered
and complete against the rows; unique indexes are unique; the tables in which ql keeps
its indexes agree with the tables' records.
"""

from dataclasses import dataclass
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

SIZES = [1 << n for n in range(13)] + [4112]


class Broken(AssertionError):
    """The file contradicts itself."""


def ensure(fact: bool, what: str) -> None:
    if not fact:
        raise Broken(what)


@dataclass
class Block:
    kind: str  # used, moved, free
    atoms: int
    raw: bytes  # content as stored, of used ones
    packed: bool
    links: tuple[int, ...]  # moved: target; free: before, after
    uses: int = 0


@dataclass
class Report:
    """What was found in a whole file."""

    blocks: int
    free: int
    packed: int
    moved: int
    tables: dict[str, list[list[Any]]]
    """Rows as decoded values without the link, newest first."""
    pages: dict[str, tuple[int, int]]
    """Data pages and inner pages of each index."""


def verify(data: bytes) -> Report:
    """Walk a whole file.

    Raises:
        Broken: it contradicts itself.
    """
    return _Verifier(data).report()


def scalars(data: bytes) -> list[Any]:
    """Decode values, and ensure that they are in their only form."""
    out: list[Any] = []
    rest = data
    while rest:
        tag, rest = rest[0], rest[1:]
        size = 0
        if tag in (0, 1, 2):
            out.append((None, False, True)[tag])
        elif 0x15 <= tag < 0x27:
            size = tag - 0x15
            out.append(bytearray(rest[:size]))
        elif tag in (0x27, 0x28):
            head = tag - 0x26
            size = int.from_bytes(rest[:head], "big") + (tag == 0x28)
            rest = rest[head:]
            ensure(size > (17 if tag == 0x27 else 255), "bytes in a longer form than needed")
            out.append(bytearray(rest[:size]))
        elif 0x29 <= tag < 0x3B:
            size = tag - 0x29
            out.append(bytes(rest[:size]))
        elif tag in (0x3B, 0x3C):
            head = tag - 0x3A
            size = int.from_bytes(rest[:head], "big")
            rest = rest[head:]
            ensure(size > (17 if tag == 0x3B else 255), "a text in a longer form than needed")
            out.append(bytes(rest[:size]))
        elif 0x45 <= tag < 0x4D:
            size = 0x4D - tag
            value = -(1 << 8 * size) + int.from_bytes(rest[:size], "big")
            ensure(size == 1 or value < -(1 << 8 * (size - 1)), "a negative integer in a longer form than needed")
            out.append(value)
        elif 0x4D <= tag < 0x55:
            size = tag - 0x4C
            value = int.from_bytes(rest[:size], "big")
            ensure(value > (170 if size == 1 else (1 << 8 * (size - 1)) - 1), "an integer in a longer form than needed")
            out.append(value)
        elif tag >= 0x55:
            out.append(tag - 0x55)
        else:
            raise Broken(f"tag {tag:#x}")
        ensure(len(rest) >= size, "a value ends beyond its block")
        rest = rest[size:]
    return out


def unzap(data: bytes) -> bytes:
    """Unpack, byte by byte."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at

    total, at = number(0)
    out = bytearray()
    while at < len(data):
        n, at = number(at)
        signed = n // 2 if n % 2 == 0 else -(n // 2) - 1
        if signed >= 0:
            out += data[at : at + signed + 1]
            at += signed + 1
        else:
            back, at = number(at)
            for _ in range(-signed):
                out.append(out[-back])
    ensure(len(out) == total, "unpacked length")
    return bytes(out)


def compare(a: list[Any], b: list[Any]) -> int:
    """The order of keys: null, bool, integer, time, text."""
    for x, y in zip(a, b, strict=True):
        ranks = [
            next(r for r, t in enumerate((type(None), bool, int, bytearray, bytes)) if type(v) is t) for v in (x, y)
        ]
        if ranks[0] != ranks[1]:
            return -1 if ranks[0] < ranks[1] else 1
        if isinstance(x, bytearray):
            x, y = bytes(scalars(bytes(x))[1])[-15:-2], bytes(scalars(bytes(y))[1])[-15:-2]
        if x is not None and x != y:
            return -1 if x < y else 1
    return 0


class _Verifier:
    def __init__(self, data: bytes) -> None:
        ensure(data[:16] == b"`\xdbql" + bytes(12), "header")
        self.body = data[16:]
        ensure(len(self.body) >= 112 and len(self.body) % 16 == 0, "length")
        self.blocks = self._cut()
        self.pages: dict[str, tuple[int, int]] = {}
        self._free_lists()

    def report(self) -> Report:
        tables = self._tables()
        left = [h for h, b in self.blocks.items() if b.uses != (0 if b.kind == "free" else 1)]
        ensure(not left, f"blocks used never or more than once: {left}")
        kinds = [block.kind for block in self.blocks.values()]
        return Report(
            blocks=len(kinds),
            free=kinds.count("free"),
            packed=sum(block.packed for block in self.blocks.values()),
            moved=kinds.count("moved"),
            tables=tables,
            pages=self.pages,
        )

    # --- space ---

    def _cut(self) -> dict[int, Block]:
        blocks: dict[int, Block] = {}
        at = 112
        while at < len(self.body):
            handle = at // 16 - 6
            blocks[handle] = block = self._block(at)
            at += 16 * block.atoms
        ensure(at == len(self.body), "the last block ends beyond the file")
        order = list(blocks.values())
        ensure(not order or order[-1].kind != "free", "a free block ends the file")
        for one, other in pairwise(order):
            ensure(not one.kind == other.kind == "free", "two free blocks side by side")
        return blocks

    def _block(self, at: int) -> Block:
        tag = self.body[at]
        if tag == 0xFF:
            atoms = int.from_bytes(self.body[at + 1 : at + 8], "big")
            ensure(atoms > 1, "a long free block of one atom")
            raw = self.body[at : at + 16 * atoms]
            ensure(len(raw) == 16 * atoms and raw[-1] == 0xFF and raw[-8:-1] == raw[1:8], "the end of a free block")
            return Block("free", atoms, b"", False, (self._h(raw, 8), self._h(raw, 15)))
        if tag == 0xFE:
            raw = self.body[at : at + 16]
            ensure(raw[-1] == 0xFE, "the end of a free atom")
            return Block("free", 1, b"", False, (self._h(raw, 1), self._h(raw, 8)))
        if tag == 0xFD:
            raw = self.body[at : at + 16]
            ensure(not any(raw[8:]), "the padding of a moved block")
            return Block("moved", 1, b"", False, (self._h(raw, 1),))
        if tag == 0xFC:
            size, head = int.from_bytes(self.body[at + 1 : at + 3], "big"), 3
            size += 65536 if size < 252 else 0
        else:
            size, head = tag, 1
        atoms = (size + head) // 16 + 1
        raw = self.body[at : at + 16 * atoms]
        ensure(len(raw) == 16 * atoms, "a block ends beyond the file")
        ensure(not any(raw[head + size : -1]) and raw[-1] in (0, 1), "the padding or the last byte of a block")
        return Block("used", atoms, raw[head : head + size], raw[-1] == 1, ())

    @staticmethod
    def _h(raw: bytes, at: int) -> int:
        return int.from_bytes(raw[at : at + 7], "big")

    def _free_lists(self) -> None:
        listed: set[int] = set()
        for number, least in enumerate(SIZES):
            entry = self.body[8 * number : 8 * number + 8]
            ensure(entry[0] == 0, "a free list's first byte")
            handle, before = self._h(entry, 1), 0
            while handle:
                ensure(handle not in listed, "a free list in a loop")
                listed.add(handle)
                block = self.blocks.get(handle)
                ensure(block is not None and block.kind == "free", "a free list leads to no free block")
                assert block is not None
                above = SIZES[number + 1] if number < 13 else 1 << 60
                ensure(least <= block.atoms < above and block.links[0] == before, "a free block in the wrong place")
                before, handle = handle, block.links[1]
        ensure(listed == {h for h, b in self.blocks.items() if b.kind == "free"}, "a free block in no list")

    def _use(self, handle: int) -> bytes:
        block = self.blocks.get(handle)
        ensure(block is not None and block.kind != "free", f"no used block {handle}")
        assert block is not None
        block.uses += 1
        if block.kind == "moved":
            block = self.blocks[block.links[0]]
            ensure(block.kind == "used", "moved twice")
            block.uses += 1
        return unzap(block.raw) if block.packed else block.raw

    # --- tables ---

    def _tables(self) -> dict[str, list[list[Any]]]:
        root = scalars(self._use(1))
        counter = self._use(2)
        ensure(len(counter) == 8, "the counter")
        tables: dict[str, list[list[Any]]] = {}
        roots: dict[tuple[str, str], int] = {}
        ids: list[int] = []
        handle = root[0] if root else 0
        while handle:
            record = scalars(self._use(handle))
            handle, columns, head, name = (
                record[0],
                record[1].decode("utf-8", "surrogateescape").split("|"),
                record[2],
                record[3].decode("utf-8", "surrogateescape"),
            )
            rows = self._rows(head)
            tables[name] = [row for _, row in rows]
            ids += [row[0] for _, row in rows]
            if len(record) == 6:
                names = record[4].decode("utf-8", "surrogateescape").split("|")
                handles = scalars(self._use(record[5]))
                ensure(len(names) == len(handles) == len(columns) + 1, "the list of indexes")
                for slot, (index, where) in enumerate(zip(names, handles, strict=True)):
                    ensure(bool(index) == (where is not None), "an index without a root, or the reverse")
                    if index:
                        roots[name, index[1:]] = where
                        self._index(f"{name}.{index[1:]}", where, index[0] == "u", slot, rows)
        ensure(len(ids) == len(set(ids)) and max(ids, default=0) <= int.from_bytes(counter, "big"), "row ids")
        meta = {
            (row[1].decode("utf-8", "surrogateescape"), row[2].decode("utf-8", "surrogateescape")): row
            for row in tables.get("__Index2", [])
        }
        ensure({key: row[5] for key, row in meta.items()} == roots, "__Index2 against the tables' records")
        expressions = {row[1] for row in tables.get("__Index2_Expr", [])}
        ensure(expressions == {row[0] for row in meta.values()}, "__Index2_Expr against __Index2")
        return tables

    def _rows(self, head: int) -> list[tuple[int, list[Any]]]:
        found: list[tuple[int, list[Any]]] = []
        handle = scalars(self._use(head))[0]
        while handle:
            link, *row = scalars(self._use(handle))
            for value in row[1:]:
                if isinstance(value, bytearray):
                    self._chunks(value)
            found.append((handle, row))
            handle = link
        return found

    def _chunks(self, value: bytearray) -> None:
        inside = scalars(bytes(value))
        follow = inside[1] if len(inside) == 3 else 0
        while follow:
            chunk = scalars(self._use(follow))
            follow = chunk[0] if len(chunk) == 2 else 0

    # --- indexes ---

    def _index(self, name: str, handle: int, unique: bool, slot: int, rows: list[tuple[int, list[Any]]]) -> None:
        root = self._use(handle)
        ensure(len(root) == 7, "the root of an index")
        self.linked: list[tuple[int, int, int]] = []
        self.inner = 0
        items = self._page(self._h(root, 0), True) if any(root) else []
        self.pages[name] = (len(self.linked), self.inner)
        handles = [0, *(page for page, _, _ in self.linked), 0]
        for position, (_, before, after) in enumerate(self.linked):
            ensure((before, after) == (handles[position], handles[position + 2]), f"{name}: links of pages")
        expected: list[tuple[list[Any], list[Any]]] = []
        for where, row in rows:
            value = row[slot] if slot < len(row) else None
            alone = unique and value is not None
            expected.append(([value, 0 if alone else where], [where if alone else 0]))
        in_order = cmp_to_key(compare)
        expected.sort(key=lambda item: in_order(item[0]))
        ensure(items == expected, f"{name}: the items are not the rows in order")
        for one, other in pairwise(items):
            ensure(compare(one[0], other[0]) < 0, f"{name}: two items are equal")

    def _page(self, handle: int, top: bool) -> list[tuple[list[Any], list[Any]]]:
        page = self._use(handle)
        if page[0] == 1:
            ensure((len(page) - 15) % 38 == 0, "the size of a data page")
            count = (len(page) - 15) // 38
            ensure(1 <= count <= 512, "the items of a data page")
            self.linked.append((handle, self._h(page, 1), self._h(page, 8)))
            fields = [page[at : at + 19] for at in range(15, len(page), 19)]
            values = [scalars(self._field(field)) for field in fields]
            return list(zip(values[::2], values[1::2], strict=True))
        ensure(page[0] == 0 and (len(page) - 8) % 14 == 0, "an inner page")
        self.inner += 1
        count = (len(page) - 8) // 14
        ensure((1 if top else 2) <= count <= 514, "the items of an inner page")
        items = self._page(self._h(page, 1), False)
        for at in range(8, len(page), 14):
            ahead = len(self.linked)
            below = self._page(self._h(page, at + 7), False)
            ensure(self.linked[ahead][0] == self._h(page, at), "the data page between two children")
            items += below
        return items

    def _field(self, field: bytes) -> bytes:
        if field[0] < 19:
            ensure(not any(field[1 + field[0] :]), "the padding of a field")
            return field[1 : 1 + field[0]]
        ensure(field[0] == 0xFF, "the mark of a long field")
        return field[1:12] + self._use(self._h(field, 12))
