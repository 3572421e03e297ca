"""Stores that are sound, looked at in state after state: what a check of every byte finds, counted."""

from collections import Counter
from pathlib import Path

import orlop.kinds
from orlop.finding import Severity
from orlop.progress import Silent
from orlop.spread import Budget
from orlop.store import Hashing


class Corpus:
    """Checks the stores of one path, and counts.

    Args:
        path: of what is looked at where no other path is given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.states: list[str] = []
        self.images = self.bytes = 0
        self.found: Counter[Severity] = Counter()

    def sound(self, state: str, path: Path | None = None) -> None:
        """Make sure that the store, as it is now, has no damage: nothing of S1 to S3."""
        purse = Budget()
        store = orlop.kinds.open(str(path or self.path))
        try:
            found = list(store.check(None, content=True, progress=Silent(), hashing=Hashing(budget=purse)))
            self.images += store.rows().images
        finally:
            store.close()
        self.bytes += purse.done
        self.states.append(state)
        self.found.update(one.severity for one in found)
        damage = [one for one in found if one.severity.is_damage]
        assert not damage, (state, [(one.rule, one.path, one.detail) for one in damage])

    def __str__(self) -> str:
        found = ", ".join(f"{self.found[severity]} {severity}" for severity in Severity)
        counts = f"{len(self.states)} states, {self.images} images, {self.bytes} bytes"
        return f"{counts}: {found} ({'; '.join(self.states)})"
