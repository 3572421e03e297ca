"""Plans applied to ACI stores and taken back, the rows compared by two readers that share no code."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from orlop.apply import Receipt, apply, undo
from orlop.finding import Finding
from orlop.intent import Intent
from orlop.journal import Journal
from orlop.plan import Plan, Quarantine, Refusal
from orlop.progress import Silent
from orlop.records import Key
from orlop.rkt import layout
from orlop.rkt.catalogue import Contents
from orlop.rkt.door import RktStore
from orlop.samples.rkt import NOW, Aci, AciRoot
from tests.rkt.ql_verifier import verify
from tests.rkt.rkt_stores import opened, settled

LATER = NOW + 10**15
"""After everything that a sample has."""

Files: TypeAlias = dict[str, tuple[int, bytes | None]]
Tables: TypeAlias = dict[str, list[list[Any]]]


def files(path: str | Path) -> Files:
    """Every name of a store with mode and content's hash, Orlop's own folder left aside."""
    top = Path(path)
    return {
        str(found.relative_to(top)): (
            found.lstat().st_mode,
            hashlib.sha256(found.read_bytes()).digest() if found.is_file() and not found.is_symlink() else None,
        )
        for found in top.rglob("*")
        if not str(found.relative_to(top)).startswith(".orlop")
    }


def tables(path: str | Path) -> Tables:
    """The rows of ``ql.db`` as the verifier reads them, which walks the whole file; none for another catalogue."""
    database = Path(path) / layout.QL
    return verify(database.read_bytes()).tables if database.exists() else {}


class Changing:
    """A store that is open, to be changed."""

    def __init__(self, store: RktStore) -> None:
        self.store = store
        self.path = store.root.path

    @property
    def rows(self) -> Contents:
        """The rows as a reader finds them that was opened just now."""
        with opened(self.path) as again:
            return again.model.catalogue.contents

    def planned(self, intent: Intent) -> Plan:
        plan = self.store.plan(intent)
        assert isinstance(plan, Plan), plan
        assert self.store.plan(intent) == plan
        return plan

    def refused(self, intent: Intent) -> Refusal:
        refusal = self.store.plan(intent)
        assert isinstance(refusal, Refusal), refusal
        return refusal

    def apply(self, intent: Intent) -> Receipt:
        plan = self.planned(intent)
        return apply(self.store, plan, Journal.of(self.store.root))

    def undo(self) -> Receipt:
        receipt = undo(self.store, Journal.of(self.store.root))
        assert receipt.remarks == ()
        return receipt

    @contextmanager
    def there_and_back(self, intent: Intent) -> Iterator[Plan]:
        """Apply a plan, look at what came of it, and take it back: files and rows are then what they were."""
        before, rows, raw = files(self.path), self.rows, tables(self.path)
        plan = self.planned(intent)
        self.apply(intent)
        tables(self.path)  # whole, whatever was changed
        yield plan
        self.undo()
        assert files(self.path) == before
        assert (self.rows, tables(self.path)) == (rows, raw)
        assert self.planned(intent).steps == plan.steps

    def check(self, *, content: bool = False) -> list[Finding]:
        return list(self.store.check(None, content=content, progress=Silent()))

    def key(self, image: Aci) -> Key:
        return Key("", image.key, None)


@contextmanager
def changing(root: AciRoot | str | Path) -> Iterator[Changing]:
    """Finish a store that is being made, or take one that is there, and open it."""
    with opened(settled(root) if isinstance(root, AciRoot) else root) as store:
        yield Changing(store)


def moved(plan: Plan) -> list[str]:
    """Paths that a plan moves to the quarantine, in order."""
    return [step.path for step in plan.steps if isinstance(step, Quarantine)]


def said(plan: Plan, verb: str) -> list[str]:
    """Subjects of the reasons with a verb."""
    return [reason.subject for reason in plan.reasons if reason.verb == verb]


def unlike(before: Iterable[Any], after: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """What only the first has, and only the second, both in order."""
    one, two = list(before), list(after)
    return [row for row in one if row not in two], [row for row in two if row not in one]
