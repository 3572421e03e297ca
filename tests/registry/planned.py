"""Plans made for a storage that a test made, and done on it."""

from pathlib import Path

from orlop import apply as executor
from orlop.apply import Receipt
from orlop.finding import Finding
from orlop.fs import Root
from orlop.intent import Intent, Remove
from orlop.journal import Journal
from orlop.plan import Plan, Quarantine, Refusal, Step
from orlop.progress import Silent
from orlop.records import Key
from orlop.registry.door import RegistryStore
from orlop.store import Statement
from tests.registry.making import V2, Storage

OFFLINE = Statement(offline=True)


class Planning:
    """A storage on disk, read anew for every question."""

    def __init__(self, path: Path) -> None:
        self.storage = Storage(path)
        self.path = path

    def store(self) -> RegistryStore:
        return RegistryStore(Root.open(str(self.path)), V2)

    def ask(self, intent: Intent) -> Plan | Refusal:
        store = self.store()
        try:
            return store.plan(intent)
        finally:
            store.close()

    def plan(self, intent: Intent) -> Plan:
        """The plan, which must come out the same when it is made again."""
        made, again = self.ask(intent), self.ask(intent)
        assert isinstance(made, Plan), made
        assert isinstance(again, Plan)
        assert again.fingerprint == made.fingerprint
        return made

    def refusal(self, intent: Intent) -> Refusal:
        made = self.ask(intent)
        assert isinstance(made, Refusal), made
        return made

    def do(self, intent: Intent) -> Receipt:
        """Apply the plan of an intent."""
        store = self.store()
        try:
            plan = store.plan(intent)
            assert isinstance(plan, Plan), plan
            return executor.apply(store, plan, Journal.of(store.root), statement=OFFLINE)
        finally:
            store.close()

    def undo(self) -> Receipt:
        store = self.store()
        try:
            return executor.undo(store, Journal.of(store.root), statement=OFFLINE)
        finally:
            store.close()

    def findings(self, *, content: bool = False) -> list[Finding]:
        store = self.store()
        try:
            return list(store.check(None, content=content, progress=Silent()))
        finally:
            store.close()

    def damage(self, *, content: bool = False) -> list[tuple[str, str]]:
        """Rule and path of what is damaged."""
        return [(f.rule, f.path) for f in self.findings(content=content) if f.severity.is_damage]

    def remove(self, *names: str) -> Remove:
        """The removal of named rows."""
        store = self.store()
        try:
            keys = {row.key.name: row.key for row in store.rows().rows}
            return Remove(keys=tuple(keys[name] for name in names))
        finally:
            store.close()

    def names(self) -> set[str]:
        """Every tag that is listed."""
        store = self.store()
        try:
            return {row.key.name for row in store.rows().rows if row.key.name is not None}
        finally:
            store.close()


def row(repository: str, digest: str) -> Remove:
    """The removal of a manifest with all its tags."""
    return Remove(keys=(Key(repository, digest, None),))


def said(plan: Plan) -> str:
    return "\n".join(f"{reason.verb} {reason.subject}: {reason.because}" for reason in plan.reasons)


def moved(plan: Plan) -> list[str]:
    """What goes to the quarantine, in order, without what all paths begin with."""
    return [short(step) for step in plan.steps if isinstance(step, Quarantine)]


def written(plan: Plan) -> list[str]:
    """What is written, in order, likewise."""
    return [short(step) for step in plan.steps if not isinstance(step, Quarantine)]


def short(step: Step) -> str:
    return step.path.removeprefix(V2 + "/")
