"""Keys typed before an answer came: no plan but the one that is asked for is done, and in no other store."""

from dataclasses import replace
from typing import Any

import pytest

from orlop.errors import StorageFailure
from orlop.intent import Clean, Intent, Repair
from orlop.plan import Plan, Refusal
from orlop.records import Holding
from orlop_tui import messages
from orlop_tui.screens.changing import PlanDialog, UndoDialog, UnfinishedDialog
from tests.tui.test_screens import (
    FINDINGS,
    PAST,
    ROWS,
    STORE,
    Seat,
    StandIn,
    changed,
    nothing_was_changed,
    plan_for,
    seated,
    snapshot,
)
from tests.tui.test_screens_plans import in_parts


def two_stores() -> StandIn:
    other = snapshot(ROWS[4:6], identity=STORE.__class__(kind="docker", scope="vfs", path="/srv/docker", token="r"))
    return StandIn(snapshot(), other)


async def answered(seat: Seat, message: Any) -> None:
    seat.app.post_message(message)
    await seat.settle()


def weighty(intent: Intent) -> Plan:
    return replace(in_parts(intent), weighty=True)


async def test_a_plan_that_is_being_made_anew_is_not_done_as_it_was() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = in_parts
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("c", "enter")
        gateway.mute = {"plan"}
        await seat.press("1", "D")
        assert nothing_was_changed(gateway)
        assert isinstance(seat.top, PlanDialog)
        assert "still being planned" in seat.screen
        (wanted,) = gateway.calls("plan")[-1]
        await answered(seat, messages.PlanReady(0, in_parts(wanted)))
        await seat.press("D")
        assert [call[0].intent.only for call in gateway.calls("apply")] == [("mappings",)]


async def test_parts_that_are_ticked_fast_all_count() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = in_parts
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("c", "enter")
        gateway.mute = {"plan"}
        await seat.press("1", "2")
        assert [call[0].only for call in gateway.calls("plan")] == [None, ("mappings",), ()]


async def test_a_plan_that_could_not_be_made_anew_is_still_the_old_one() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = in_parts
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("c", "enter")
        gateway.failures = {"plan": StorageFailure("it cannot be read")}
        await seat.press("1")
        assert "it cannot be read" in seat.screen
        await seat.press("escape")
        assert "1 [x]" in seat.screen
        assert "still being planned" not in seat.screen
        assert "this is the plan of before" in seat.screen
        gateway.failures = {}
        await seat.press("1", "D")
        assert [call[0].intent.only for call in gateway.calls("apply")] == [("mappings",)]


async def test_a_newer_plan_takes_what_was_typed_for_the_old_one_away() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = weighty
    async with seated(gateway, (120, 40), unlocked=True) as seat:
        await seat.press("c", "enter", "D", *"12")
        dialog = seat.top
        assert isinstance(dialog, PlanDialog)
        dialog.planned_again(in_parts(dialog.plan.intent))
        await seat.settle()
        assert not dialog.is_asking
        await seat.press("enter")
        assert nothing_was_changed(gateway)


async def test_a_plan_that_nobody_asked_of_a_dialog_does_not_take_its_place() -> None:
    async with seated(unlocked=True) as seat:
        await seat.press("d")
        dialog = seat.top
        assert isinstance(dialog, PlanDialog)
        before = dialog.plan
        await answered(seat, messages.PlanReady(0, plan_for(Clean(before=1))))
        assert dialog.plan is before


async def test_consent_to_a_refused_plan_reaches_the_dialog_that_asked_for_it() -> None:
    gateway = StandIn(snapshot())
    repair = Repair(findings=(FINDINGS[0].identity,))

    def plans(intent: Intent) -> Plan | Refusal:
        refused = len(gateway.calls("plan")) > 0 and isinstance(intent, Repair) and not intent.guess
        return Refusal(action="repair", reasons=("a guess is needed",)) if refused else plan_for(intent)

    async with seated(gateway, (120, 40), unlocked=True) as seat:
        seat.app.browse.changes.plan(repair)
        await seat.settle()
        dialog = seat.top
        assert isinstance(dialog, PlanDialog)
        gateway.plans = plans
        await answered(seat, changed(snapshot(ROWS[1:]), removed=[ROWS[0].key]))
        await seat.press("p")
        await seat.press("x")
        assert seat.top is dialog
        assert dialog.plan.intent == replace(repair, guess=True)


async def test_a_plan_comes_too_late_for_a_store_that_is_no_longer_shown() -> None:
    gateway = two_stores()
    async with seated(gateway) as seat:
        gateway.mute = {"plan"}
        await seat.press("d", "o", "2")
        (wanted,) = gateway.calls("plan")[-1]
        await answered(seat, messages.PlanReady(0, plan_for(wanted)))
        assert not isinstance(seat.top, PlanDialog)
        assert "another store is shown by now" in seat.screen


async def test_a_change_that_was_cut_off_in_another_store_is_unlocked_there() -> None:
    gateway = two_stores()
    async with seated(gateway) as seat:
        browse = seat.app.browse
        browse.changes.offer_finish(browse.stores[1], PAST)
        await seat.settle()
        assert isinstance(seat.top, UnfinishedDialog)
        await seat.press("exclamation_mark")
        assert [store.unlocked for store in browse.stores] == [False, True]


async def test_the_journal_of_a_store_that_was_left_is_not_offered_for_undoing() -> None:
    gateway = two_stores()
    gateway.past = (PAST,)
    async with seated(gateway, unlocked=True) as seat:
        gateway.mute = {"journal"}
        await seat.press("o", "2", "z")
        await answered(seat, messages.JournalReady(0, (PAST,)))
        assert not isinstance(seat.top, UndoDialog)
        await answered(seat, messages.JournalReady(1, (PAST,)))
        dialog = seat.top
        assert isinstance(dialog, UndoDialog)
        assert dialog.store is seat.app.browse.stores[1]


async def test_nothing_is_marked_or_planned_while_a_filter_waits_for_its_answer() -> None:
    gateway = StandIn(snapshot())
    gateway.mute = {"holders"}
    async with seated(gateway) as seat:
        await seat.press("slash", *"layer:abc", "enter", "asterisk")
        assert "the filter still waits for the store" in seat.screen
        await seat.press("d")
        store = seat.app.browse.store
        assert store is not None
        assert not store.listing.marks
        assert gateway.calls("plan") == []
        await answered(seat, messages.HoldersReady(0, ((Holding.LAYER, "abc", frozenset({ROWS[0].key.id})),)))
        await seat.press("asterisk")
        assert {key.id for key in store.listing.marks} == {ROWS[0].key.id}


async def test_a_filter_that_cannot_be_answered_holds_nothing_up() -> None:
    gateway = StandIn(snapshot())
    gateway.failures = {"holders": StorageFailure("the disk is gone")}
    async with seated(gateway) as seat:
        await seat.press("slash", *"layer:a", "enter", "escape")
        gateway.failures = {}
        await seat.press("d")
        assert len(gateway.calls("plan")) == 1


async def test_a_plan_is_disarmed_by_a_change_that_a_frozen_screen_does_not_show() -> None:
    async with seated(unlocked=True) as seat:
        await seat.press("d")
        dialog = seat.top
        assert isinstance(dialog, PlanDialog)
        browse = seat.app.browse
        browse.action_freeze()  # asked for before the plan came
        assert browse.stores[0].frozen is not None
        await answered(seat, changed(snapshot(ROWS[1:]), removed=[ROWS[0].key]))
        await seat.press("D")
        assert nothing_was_changed(seat.gateway)


# --- what hides marks


@pytest.mark.parametrize("size", [(60, 12), (80, 24), (120, 40)])
async def test_how_many_marks_are_hidden_is_said_at_every_size(size: tuple[int, int]) -> None:
    async with seated(size=size) as seat:
        await seat.press("space", "space", "space")
        assert "3 marked, frees 3.0 MB, 0 hidden" in seat.screen


async def test_marks_that_a_filter_hides_come_back_with_the_key_that_is_named() -> None:
    async with seated() as seat:
        await seat.press("space", "slash", *"nothing-is-called-so", "enter", "d")
        assert "all 1 marked rows are hidden: Esc shows" in seat.screen
        await seat.press("escape")
        assert "1 marked" in seat.screen
        await seat.press("d")
        assert len(seat.gateway.calls("plan")) == 1
