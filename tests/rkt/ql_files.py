"""Database files that rkt wrote, and what they must be found to contain."""

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
OLD = ("rkt-store-dbv2", "rkt-store-dbv4", "rkt-store-dbv6")
NEW = "rkt-store-dbv8"
CURRENT = ("rkt-store", "rkt-store-large", "sample")
EVERY = (*CURRENT, *OLD, NEW)


@cache
def database(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.ql.db.xz").read_bytes())


@cache
def told() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(lzma.decompress((DATA / "told.json.xz").read_bytes()))
    return value
