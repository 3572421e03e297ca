"""Database files that the original programs wrote, and what they must be found to contain.

``rkt-store*`` and ``sample`` are rkt 1.30.0's and its older schemas. The others were
written by ql 1.0.6, whose format is the same: ``pages`` has indexes of several pages;
``cut.wal`` is the log of one commit on ``sample``, which was killed with half of it
written (``cut-half``), and came to its end another time (``cut-whole``).
"""

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
OLD = ("rkt-store-dbv2", "rkt-store-dbv4", "rkt-store-dbv6")
NEW = "rkt-store-dbv8"
CURRENT = ("rkt-store", "rkt-store-large", "sample", "pages")
EVERY = (*CURRENT, *OLD, NEW)


@cache
def database(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.ql.db.xz").read_bytes())


@cache
def cut_log() -> bytes:
    return lzma.decompress((DATA / "cut.wal.xz").read_bytes())


@cache
def told() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(lzma.decompress((DATA / "told.json.xz").read_bytes()))
    return value
