"""What is asked of stores and changes nothing."""

import json
import os
from collections.abc import Callable, Sequence

from orlop import __version__
from orlop.fs import translate
from orlop.intent import Intent
from orlop.plan import Plan
from orlop.records import Facet, Key
from orlop_tui import messages
from orlop_tui.format import masked_config
from orlop_tui.gateway.journals import journal_of, past
from orlop_tui.gateway.opening import Opening
from orlop_tui.gateway.slots import Slot
from orlop_tui.newfile import new_file


class Reading(Opening):
    """Answers what screens ask."""

    def detail(self, index: int, key: Key) -> None:
        """`DetailReady` for the key that was asked for last."""

        def work(current: Callable[[], bool]) -> None:
            if not current():
                return
            store = self._slots[index].store
            detail = store.detail(key)
            mappings = store.facet(Facet.MAPPINGS, key)
            remotes = store.facet(Facet.REMOTES, key)
            if current():
                self._post(messages.DetailReady(index, key, detail, mappings, remotes))

        self._submit(self._readers, "detail", index, work)

    def details(self, wanted: Sequence[tuple[int, Key]]) -> None:
        """`DetailsReady` for the rows that were asked for last."""

        def work(current: Callable[[], bool]) -> None:
            found = tuple((index, key, self._slots[index].store.detail(key)) for index, key in wanted if current())
            if current():
                self._post(messages.DetailsReady(found))

        self._submit(self._readers, "details", None, work)

    def records(self, index: int, facet: Facet) -> None:
        """`RecordsReady` of the whole store."""

        def work(current: Callable[[], bool]) -> None:
            found = self._slots[index].store.facet(facet, None)
            if current():
                self._post(messages.RecordsReady(index, facet, found))

        self._submit(self._readers, f"records {facet}", index, work)

    def check(self, index: int) -> None:
        """`Findings` of the whole store; a check that still runs is stopped."""

        def work(current: Callable[[], bool]) -> None:
            slot = self._slots[index]
            with self._job(index, current) as progress:
                findings = tuple(slot.store.check(None, content=False, progress=progress))
            if current():
                slot.structure = findings
                self._tell_findings(slot)

        self._submit(self._readers, "check", index, work)

    def _tell_findings(self, slot: Slot) -> None:
        """`Findings`: of the last check, and of what was hashed."""
        findings = slot.findings()
        self._post(messages.Findings(slot.index, findings, hashed=frozenset(slot.wrong)))

    def plan(self, index: int, intent: Intent) -> None:
        """`PlanReady` for the intent that was asked for last."""

        def work(current: Callable[[], bool]) -> None:
            plan = self._slots[index].store.plan(intent)
            if current():
                self._post(messages.PlanReady(index, plan))

        self._submit(self._readers, "plan", index, work)

    def journal(self, index: int) -> None:
        """`JournalReady`."""

        def work(current: Callable[[], bool]) -> None:
            changes = tuple(past(change) for change in journal_of(self._slots[index].store).changes())
            if current():
                self._post(messages.JournalReady(index, changes))

        self._submit(self._readers, "journal", index, work)

    def save_plan(self, plan: Plan, path: str) -> None:
        """Write a plan as JSON to a new file, mode 0600; a file that is there is left alone."""

        def work(_: Callable[[], bool]) -> None:
            _write_new(path, json.dumps(plan.to_json(), indent=2).encode() + b"\n")
            self._post(messages.PlanSaved(path))

        self._submit(self._readers, "save plan", None, work)

    def snapshot(self, index: int, path: str) -> None:
        """Write all that is known of a store to a file that is not there yet; as gzip where its name ends so."""

        def work(_: Callable[[], bool]) -> None:
            from orlop.snapshots.writing import write

            store = self._slots[index].store
            whole = os.path.expanduser(path)
            file = new_file(whole, what="the snapshot", stores=[store.root.path])
            with self._job(index) as progress, file as to:
                written = write(
                    store,
                    to,
                    masked_config=masked_config,
                    program=f"orlop {__version__}",
                    packed=whole.endswith(".gz"),
                    space=False,
                    progress=progress,
                )
            self._post(messages.SnapshotWritten(index, whole, written.images))

        self._submit(self._readers, "snapshot", index, work)


def _write_new(path: str, data: bytes) -> None:
    """Write a file that must not exist yet, durably; outside any store."""
    try:
        fd = os.open(os.path.expanduser(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise translate(error, "the plan cannot be saved", path) from error
