"""What plan dialogs let a person choose, and what must be typed, over a stand-in for the gateway."""

from dataclasses import replace

from textual.widgets import Input

from orlop.errors import Changed
from orlop.finding import Repair as Cure
from orlop.finding import Severity
from orlop.intent import Clean, Intent, Remove, Repair, Untag
from orlop.plan import Part, Plan
from orlop_tui import messages
from orlop_tui.screens.asking import CleanDialog
from orlop_tui.screens.changing import PlanDialog, UndoDialog
from tests.tui.test_screens import FINDINGS, PAST, ROWS, StandIn, nothing_was_changed, plan_for, row, seated, snapshot

PARTS = (Part(name="layers", things=12, bytes=1_200_000_000), Part(name="mappings", things=3, bytes=0))


def in_parts(intent: Intent) -> Plan:
    wanted = PARTS if not isinstance(intent, Clean) else tuple(part for part in PARTS if intent.wants(part.name))
    return replace(plan_for(intent), parts=wanted, bytes_freed=sum(part.bytes for part in wanted))


async def test_the_parts_of_a_clean_up_are_ticked_and_summed() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = in_parts
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("c")
        assert isinstance(seat.top, CleanDialog)
        assert "stale mappings" in seat.screen
        assert "[ ] images without a name stay" in seat.screen
        await seat.press("enter")
        assert "1 [x]   1.2 GB  12 layers that no image needs" in seat.screen
        assert "2 [x]      0 B  3 stale digest mappings" in seat.screen
        await seat.press("1")
        assert "1 [ ]   1.2 GB  12 layers" in seat.screen
        assert "--only mappings" in seat.screen
        await seat.press("2")
        assert [call[0].only for call in gateway.calls("plan")] == [None, ("mappings",), ()]
        await seat.press("1", "2")
        assert "--only" not in seat.screen
        await seat.press("9")
        assert len(gateway.calls("plan")) == 5
        assert nothing_was_changed(gateway)


async def test_hidden_marked_rows_are_named_and_a_key_includes_them() -> None:
    async with seated(size=(120, 40), unlocked=True) as seat:
        gateway = seat.gateway
        await seat.press("space", "j", "space", "slash", *"batch", "enter", "d")
        assert gateway.calls("plan") == [(Remove(keys=(ROWS[0].key,)),)]
        assert "1 marked row hidden by the filter: ghcr.io/acme/web:2026.08; h includes" in seat.screen
        await seat.press("h")
        assert gateway.calls("plan")[1:] == [(Remove(keys=(ROWS[0].key, ROWS[2].key)),)]
        assert isinstance(seat.top, PlanDialog)
        assert "Left out" not in seat.screen
        await seat.press("h", "D")
        assert len(gateway.calls("plan")) == 2
        store = seat.app.browse.store
        assert store is not None
        assert not store.listing.marks


async def test_names_of_hidden_rows_are_taken_away_too_once_that_is_asked_for() -> None:
    async with seated() as seat:
        await seat.press("space", "space", "slash", *"batch", "enter", "T", "h")
        names = tuple(each.key.name or "" for each in ROWS[:2])
        assert [call[0] for call in seat.gateway.calls("plan")] == [Untag(names=names[:1]), Untag(names=names)]


async def test_beside_damage_what_is_no_fault_is_not_asked_to_be_put_right() -> None:
    bad = FINDINGS[0]
    twice = replace(bad, rule="DK20", severity=Severity.INFORMATION, repair=Cure.REMOVE)
    async with seated(unlocked=True) as seat:
        await seat.press(*"jjjj")
        await seat.tell(messages.Findings(0, (bad, twice)))
        await seat.press("P")
        assert [call[0] for call in seat.gateway.calls("plan")] == [Repair(findings=(bad.identity,))]
        await seat.press("escape")
        await seat.tell(messages.Findings(0, (twice,)))
        await seat.press("P")
        assert seat.gateway.calls("plan")[-1][0] == Repair(findings=(twice.identity,))


async def test_what_cannot_be_proved_wants_a_word() -> None:
    gateway = StandIn(snapshot())
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        seat.app.browse.changes.plan(Repair(findings=(FINDINGS[0].identity,), guess=True))
        await seat.settle()
        await seat.press("D")
        assert "some of this is likely, and cannot be proved: type guess and Enter" in seat.screen
        await seat.press(*"yes", "enter")
        assert nothing_was_changed(gateway)
        await seat.type("guess")
        await seat.press("enter")
        assert len(gateway.calls("apply")) == 1


async def test_a_new_name_is_completed_and_what_it_does_is_spelled_out() -> None:
    rows = (row("app:1", 1), row("base:1", 2), row("base:stable", 2))
    async with seated(StandIn(snapshot(rows)), (120, 40)) as seat:
        await seat.press("t", *"ba", "tab", *"s", "tab")
        assert seat.app.screen.query_one("#typed", Input).value == "base:stable"
        assert "moves base:stable from 02" in seat.screen
        assert "last name" not in seat.screen
        await seat.press("escape", "j", "t", *"ap", "tab", "tab")
        assert "moves app:1 from 01" in seat.screen
        assert "which loses its last name; z undoes" in seat.screen


# --- the journal


async def test_an_undo_says_what_comes_back_and_whether_it_can() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST,)
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("z")
        assert isinstance(seat.top, UndoDialog)
        assert "file image/x comes back" in seat.screen
        assert "all of it is still in the quarantine" in seat.screen
        await seat.press("c")
        assert gateway.calls("copy") == [("command", "orlop undo /var/lib/docker c1")]
        await seat.press("D")
        assert gateway.calls("undo") == [("c1",)]


async def test_an_undo_with_something_in_its_way_is_not_done_and_says_what() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST,)
    gateway.in_the_way = Changed("something else is in its place", path="image/x", do="move it aside")
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("z")
        for text in ("something else is in its place", "image/x", "move it aside"):
            assert text in seat.screen
        await seat.press("D")
        assert "it can not be taken back" in seat.screen
        assert nothing_was_changed(gateway)


async def test_the_journal_tells_of_each_change_whether_it_can_be_taken_back() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (replace(PAST, id="c0", state="undone"), PAST)
    gateway.in_the_way = Changed("something else is in its place", path="image/x")
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("J")
        assert "something else is in its place" in seat.screen
        await seat.press("c")
        (copied,) = gateway.calls("copy")
        assert copied[0] == "change"
        assert copied[1][0].startswith("c1  ")
        assert copied[1][-1].endswith("quarantine image/x")
        await seat.press("j")
        assert "it was taken back already" in seat.screen
        assert gateway.calls("preview") == [("c1",)]
