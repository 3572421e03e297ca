"""The keys of looking closely: raw records, layers and who shares them, two images side by side, what changed since."""

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType

from orlop.records import Delta, Key, Snapshot
from orlop_tui import format as words
from orlop_tui import messages
from orlop_tui.screens.comparing import Comparison, Side
from orlop_tui.screens.dialog import Ask, Choice, Menu
from orlop_tui.screens.frozen import FACETS, Frozen
from orlop_tui.screens.lenskeys import LensKeys
from orlop_tui.screens.raw import RawView, Record, records_of
from orlop_tui.screens.sharing import Sharing
from orlop_tui.screens.since import Since
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.lines import Role

FLASH = 2.0
"""Seconds for which a row says that it is new or changed."""
_MOST_FLASHED = 1000
_LETTERS = "123456789abcdefghijklmnopqrstuvwxyz"


class LookKeys(LensKeys):
    """What a person looks into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "raw", "the records of this image byte for byte", id="raw"),
        Binding("M", "sharing", "this image's layers, and which images share them", id="sharing"),
        Binding("C", "compare", "two marked images side by side, or this one in another store", id="compare"),
        Binding("E", "snapshot", "write a snapshot file: all that is known of this store", id="snapshot"),
        Binding("f", "freeze", "freeze what is shown; then say what changed since", id="freeze"),
    ]

    _compared: tuple[tuple[int, Key], ...] = ()
    """The two images whose details are being read."""

    # --- raw records

    def action_raw(self) -> None:
        detail = self._shown.detail
        if self._stopped_by("raw"):
            return
        if detail is None:
            self.say(self._shown.problem or "its records are still being read")
            return
        records = records_of(detail)
        if not records:
            self.say("none of its records can be read")
        elif len(records) == 1:
            self._show_raw(records[0])
        else:
            choices = [
                Choice(letter, record.title, record, note=f"{record.path}  {words.size(len(record.data))}")
                for letter, record in zip(_LETTERS, records, strict=False)
            ]
            self.app.push_screen(Menu("Raw", choices), self._show_raw)

    def _show_raw(self, chosen: object) -> None:
        if isinstance(chosen, Record):
            self.app.push_screen(RawView(chosen, self.changes))

    # --- layers

    def action_sharing(self) -> None:
        store, detail = self.store, self._shown.detail
        if self._stopped_by("sharing") or store is None:
            return
        if detail is None:
            self.say(self._shown.problem or "its layers are still being read")
            return
        wanted = {image for layer in detail.layers for image in layer.shared_with}
        names: dict[str, Key] = {}
        for row in store.snapshot.rows:
            if row.key.id in wanted:
                names.setdefault(row.key.id, row.key)
        self.app.push_screen(Sharing(detail, names), lambda key: self._follow(key) if key is not None else None)

    # --- side by side

    def action_compare(self) -> None:
        if self._stopped_by("compare"):
            return
        pair = self._pair()
        if pair is None:
            self.say("mark two images, or open a second store that has this one")
            return
        self._compared = pair
        self.gateway.details(pair)

    def _pair(self) -> tuple[tuple[int, Key], tuple[int, Key]] | None:
        """Two marked rows; else the row under the cursor, and the same image in another store."""
        store, row = self.store, self.row
        if store is None or row is None:
            return None
        targets = store.listing.targets()
        if targets.marked and len(targets.keys) == 2:
            first, second = targets.keys
            return (store.index, first), (store.index, second)
        other = None if targets.marked else _same(row.key, (each for each in self.stores if each is not store))
        return None if other is None else ((store.index, row.key), other)

    def details_ready(self, message: messages.DetailsReady) -> None:
        """Show the two, where nobody asked for others meanwhile."""
        if tuple((index, key) for index, key, _ in message.details) != self._compared:
            return
        self._compared = ()
        left, right = (Side(store=self.stores[index].label, detail=detail) for index, _, detail in message.details)
        now = self.store.snapshot.seen_at if self.store is not None else 0
        self.app.push_screen(Comparison(left, right, now))

    # --- a file of all that is known

    def action_snapshot(self) -> None:
        store = self.store
        if self._stopped_by("snapshot") or store is None:
            return
        ask = Ask("Write a snapshot", f"{store.kind}.orlop.gz: a new file, opened elsewhere by `orlop FILE`")
        self.app.push_screen(ask, lambda path: self.gateway.snapshot(store.index, path) if path else None)

    def snapshot_written(self, message: messages.SnapshotWritten) -> None:
        said = f"a snapshot of {words.count(message.images, 'image')} is in {message.path}"
        self.toast(said)
        self.note(f"{said}; open it: {words.shell(['orlop', message.path])}")

    # --- what changed since

    def action_freeze(self) -> None:
        store = self.store
        if self._stopped_by("freeze") or store is None:
            return
        if store.frozen is None:
            store.frozen = Frozen(before=store.snapshot)
            self.say("frozen: f says what changed since, and goes on", Role.PLAIN)
        elif store.frozen.then is None:
            store.frozen.then = {}
            self.say("reading what is recorded now …", Role.PLAIN)
        else:
            return
        store.awaited.update(FACETS)
        for facet in FACETS:
            self.gateway.records(store.index, facet)
        self.draw()

    def held_back(self, message: messages.StoreChanged) -> bool:
        """Whether a store is frozen, so that its change is kept for later."""
        frozen = self.stores[message.index].frozen
        if frozen is None:
            return False
        frozen.after = message.delta.snapshot
        if message.delta and not message.dated:
            self.changes.store_changed(self.stores[message.index])
        self.draw_lines()
        return True

    def take_frozen(self, message: messages.RecordsReady) -> None:
        """Keep what was recorded at the beginning; at the end say what changed, once everything was read."""
        store = self.stores[message.index]
        frozen = store.frozen
        if frozen is None:
            return
        if frozen.then is None:
            frozen.records.setdefault(message.facet, message.records)
            return
        frozen.then[message.facet] = message.records
        if frozen.is_whole:
            store.frozen = None
            if frozen.after is not None:
                self.app.post_message(messages.StoreChanged(store.index, _since(frozen.before, frozen.after)))
            self.say("")
            self.draw()
            self.app.push_screen(Since(frozen, self.changes))

    # --- what changes live

    def flash(self, store: OpenStore, delta: Delta) -> None:
        """Let rows say for a moment that they are new or changed."""
        if delta.snapshot.partial or len(delta.added) + len(delta.changed) > _MOST_FLASHED:
            return
        said = dict.fromkeys(delta.changed, "changed") | dict.fromkeys(delta.added, "new")
        if not said:
            return
        store.listing.said.update(said)
        self.set_timer(FLASH, lambda: self._end_flash(store, said))

    def _end_flash(self, store: OpenStore, said: dict[Key, str]) -> None:
        for key, word in said.items():
            if store.listing.said.get(key) == word:
                del store.listing.said[key]
        self.table.refresh()


def _same(key: Key, stores: Iterable[OpenStore]) -> tuple[int, Key] | None:
    """The row of the same image in the first other store that has it; else of the same name."""
    named: tuple[int, Key] | None = None
    for store in stores:
        for row in store.snapshot.rows:
            if row.key.id == key.id:
                return store.index, row.key
            if named is None and key.name is not None and row.key.name is not None and _alike(row.key.name, key.name):
                named = store.index, row.key
    return named


def _alike(one: str, other: str) -> bool:
    """Whether two names mean the same in a registry and in an engine that pulled from it."""
    return one == other or one.endswith("/" + other) or other.endswith("/" + one)


def _since(before: Snapshot, after: Snapshot) -> Delta:
    old, new = {row.key: row for row in before.rows}, {row.key: row for row in after.rows}
    return Delta(
        snapshot=after,
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(key for key in new.keys() & old.keys() if new[key] != old[key]),
    )
