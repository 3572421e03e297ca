"""The keys that ask for a change: each leads to a plan, and none changes anything."""

import time
from collections.abc import Sequence

from orlop.finding import Finding
from orlop.finding import Repair as Cure
from orlop.intent import (
    DropRemotes,
    DropUploads,
    Intent,
    Remove,
    RemoveRepository,
    Repair,
    SetLatest,
    Tag,
    Unmap,
    Untag,
)
from orlop.records import Flag, Key, Remote
from orlop.text import masked
from orlop_tui import format as words
from orlop_tui.screens.asking import CleanDialog
from orlop_tui.screens.changing import TagDialog
from orlop_tui.screens.dialog import Ask, Choice, Menu
from orlop_tui.screens.panekeys import PaneKeys
from orlop_tui.screens.reasons import names_of
from orlop_tui.widgets.shown import Pane, ToFinding, ToMapping, ToRemote, ToUpload


class ChangeKeys(PaneKeys):
    """What a person wants changed."""

    # --- rows

    def action_delete(self) -> None:
        """Of the record under the cursor of a pane, else of the marked rows, else of the row."""
        if self._stopped_by("delete") or self.store is None or self._drops_record():
            return
        targets = self.store.listing.targets()
        self.changes.plan(Remove(keys=targets.keys), targets.keys, targets.left_out)

    def action_remove_repository(self) -> None:
        if self._stopped_by("remove_repository") or self.store is None:
            return
        targets = self.store.listing.targets()
        names = tuple(dict.fromkeys(key.scope for key in targets.keys))
        self.changes.plan(RemoveRepository(names=names), targets.keys, targets.left_out)

    def action_untag(self) -> None:
        if self._stopped_by("untag") or self.store is None:
            return
        targets = self.store.listing.targets()
        self.changes.plan(Untag(names=names_of(self.store)), targets.keys, targets.left_out)

    def action_tag(self) -> None:
        row, store = self.row, self.store
        if self._stopped_by("tag") or row is None or store is None:
            return
        self.app.push_screen(TagDialog(store, row), lambda name: self._tag(row.key, name))

    def _tag(self, key: Key, name: str | None) -> None:
        if name:
            self.changes.plan(Tag(image=key.id, name=name, scope=key.scope))

    def action_latest(self) -> None:
        row = self.row
        if not self._stopped_by("latest") and row is not None:
            self.changes.plan(SetLatest(image=row.key.id, latest=Flag.LATEST not in row.flags))

    # --- lines of the panes

    def _drops_record(self) -> bool:
        """Ask for the plan to drop what the line under the cursor of a pane stands for; False where it is no record."""
        match self._target():
            case ToMapping(mapping=mapping):
                self.changes.plan(Unmap(mappings=((mapping.diff_id, mapping.digest, mapping.source),)))
            case ToRemote(remote=remote) if remote.url is not None:
                self.changes.plan(DropRemotes(urls=(remote.url,)))
            case ToUpload(upload=upload):
                chosen = (f"{upload.repository}/{upload.id}",)
                self.changes.plan(DropUploads(before=time.time_ns(), uploads=chosen))
            case _:
                return False
        return True

    # --- the store

    def action_clean(self) -> None:
        if self._stopped_by("clean") or self.store is None:
            return
        dialog = CleanDialog(self.store, uploads=self.pane is Pane.UPLOADS)
        self.app.push_screen(dialog, lambda intent: self._plan(intent))

    def _plan(self, intent: Intent | None) -> None:
        if intent is not None:
            self.changes.plan(intent)

    def action_repair(self) -> None:
        store = self.store
        if self._stopped_by("repair") or store is None:
            return
        choices = list(self._repairs())
        if len(choices) == 1:
            self._repair(choices[0].value)
        else:
            self.app.push_screen(Menu("Put right", choices), self._repair)

    def _repairs(self) -> Sequence[Choice]:
        """What can be put right: the finding under the cursor, those of the row, all that can be proved."""
        store, row = self.store, self.row
        if store is None:
            return ()
        target = self._target()
        mine = store.findings_of(row) or () if row is not None else ()
        groups: list[tuple[str, str, Sequence[Finding]]] = []
        if isinstance(target, ToFinding):
            groups.append(("t", f"this finding: {target.finding.rule}", (target.finding,)))
        groups.append(("r", "of this row, what can be put right", _worth_repairing(mine)))
        proved = [one for one in store.findings or () if one.repair is Cure.REBUILD]
        groups.append(("a", "of the whole store, what can be proved", proved))
        return [
            Choice(letter, label, tuple(dict.fromkeys(one.identity for one in found)), note=_counted(found))
            for letter, label, found in groups
            if found
        ]

    def _repair(self, chosen: object) -> None:
        if isinstance(chosen, tuple):
            self.changes.plan(Repair(findings=chosen))

    # --- over the network

    def action_fetch(self) -> None:
        if self._stopped_by("fetch"):
            return
        if self.row is not None and self._shown.remotes is None and not self._shown.problem:
            self.say("its remote records are still being read")
            return
        records = self._fetchable()
        if len(records) == 1:
            self.changes.offer_fetch(records[0].url or "", records[0])
        elif records:
            letters = "123456789abcdefghijklmnopqrstuvwxyz"
            choices = [
                Choice(letter, masked("", one.reference), one) for letter, one in zip(letters, records, strict=False)
            ]
            self.app.push_screen(Menu("Fetch again", choices), self._fetch)
        else:
            lines = Ask("Fetch an image", "https://…/name.aci")
            self.app.push_screen(lines, lambda url: self.changes.offer_fetch(url, None) if url else None)

    def _fetch(self, chosen: object) -> None:
        if isinstance(chosen, Remote):
            self.changes.offer_fetch(chosen.url or "", chosen)

    def _fetchable(self) -> list[Remote]:
        """The record under the cursor, else those of the row."""
        target = self._target()
        if isinstance(target, ToRemote):
            return [target.remote] if target.remote.url else []
        records = self._shown.remotes if isinstance(self._shown.remotes, tuple) else ()
        return [one for one in records if isinstance(one, Remote) and one.url]


def _worth_repairing(findings: Sequence[Finding]) -> Sequence[Finding]:
    """What a repair can act on; beside damage, what is no fault would only be refused."""
    able = [one for one in findings if one.repair is not None]
    return [one for one in able if one.severity.is_damage] or able


def _counted(found: Sequence[Finding]) -> str:
    return words.count(len(found), "finding")
