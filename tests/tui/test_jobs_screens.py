"""Verifying, the jobs, the log, and where the bytes are, on the screen over a stand-in for the gateway."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from orlop.errors import StorageFailure
from orlop.finding import Finding, Severity
from orlop.intent import Remove
from orlop.records import Delta, Flag, Note, Trust
from orlop.space import ImageSpace, Part, Space, Use
from orlop_tui import messages
from orlop_tui.messages import Job, JobState
from orlop_tui.screens.asking import CleanDialog
from orlop_tui.screens.changing import PlanDialog
from orlop_tui.screens.dialog import Menu
from orlop_tui.screens.jobs import JobsPage, VerifyMenu
from orlop_tui.screens.journal import JournalDialog
from orlop_tui.screens.spaceview import SpacePage
from orlop_tui.widgets.shown import Pane
from tests.tui.test_screens import MARKUP, OSC, PAST, ROWS, SEEN, Seat, StandIn, row, seated, snapshot

GIGA = 1_000_000_000
NONE: frozenset[Any] = frozenset()


def job(state: JobState = JobState.RUNNING, **changes: Any) -> messages.JobChanged:
    made = Job(
        id=1,
        what="verify",
        index=0,
        state=state,
        phase="contents",
        done=12_100_000_000,
        total=29_400_000_000,
        in_bytes=True,
        rate=310_000_000.0,
        left=56.0,
    )
    return messages.JobChanged(replace(made, **changes))


LAYER = Part(
    title=f"layer {OSC}",
    use=Use.CONTENT,
    bytes=3 * GIGA,
    path="overlay2/abc",
    remark="needed by image nginx:latest",
    images=(ROWS[3].key,),
)
BASE = Part(
    title="layer sha256:b", use=Use.CONTENT, bytes=5 * GIGA, path="overlay2/b", images=(ROWS[1].key, ROWS[2].key)
)
SPACE = Space(
    disk=11 * GIGA,
    parts=(
        Part(title="layers of images", use=Use.CONTENT, bytes=8 * GIGA, parts=(LAYER, BASE)),
        Part(title="left by what was cut off", use=Use.DEBRIS, bytes=2 * GIGA, path="image/overlay2/tmp"),
        Part(title="quarantine", use=Use.QUARANTINE, bytes=1 * GIGA, path=".orlop"),
    ),
    images=(
        ImageSpace(key=ROWS[3].key, names=("nginx:latest",), bytes=8 * GIGA, own=3 * GIGA),
        ImageSpace(key=ROWS[1].key, names=(MARKUP, "b"), bytes=5 * GIGA, own=0),
    ),
    free=40 * GIGA,
    capacity=100 * GIGA,
    differences=(f"{OSC} cannot be read",),
)


@asynccontextmanager
async def measured(size: tuple[int, int] = (80, 24), **options: Any) -> AsyncIterator[Seat]:
    """A person before the screen of bytes."""
    async with seated(size=size, **options) as seat:
        await seat.press("i")
        await seat.tell(messages.SpaceReady(0, SPACE, SEEN))
        yield seat


# --- verifying


async def test_the_row_is_verified_unless_rows_are_marked() -> None:
    async with seated() as seat:
        await seat.press("V")
        assert isinstance(seat.top, VerifyMenu)
        for text in ("this row", "the whole store", "9 images, 38.2 GB", "orlop check", "--content"):
            assert text in seat.screen
        await seat.press("r")
        await seat.press("space", "V")
        assert "1 marked row " in seat.screen
        await seat.press("escape", "asterisk", "V")
        assert "9 marked rows" in seat.screen
        await seat.press("r")
        first, second = seat.gateway.calls("verify")
        assert first == (0, (ROWS[0].key,), False)
        assert (set(second[1]), second[2]) == ({row.key for row in ROWS}, False)


async def test_the_whole_store_is_verified_again_where_that_was_said() -> None:
    async with seated() as seat:
        await seat.press("V", "escape")
        assert not seat.gateway.calls("verify")
        await seat.press("V", "x")
        assert "[x] again" in seat.screen
        assert "--again" in seat.screen
        await seat.press("w")
        assert seat.gateway.calls("verify") == [(0, None, True)]


async def test_rows_shown_are_offered_where_a_filter_hides_others_and_marks_hidden_are_left_out() -> None:
    async with seated() as seat:
        await seat.press("space", "slash")
        await seat.type("nginx")
        await seat.press("enter", "space", "V")
        assert "all 1 rows shown" in seat.screen
        assert "1 marked row hidden by the filter" in seat.screen
        await seat.press("a")
        assert seat.gateway.calls("verify") == [(0, (ROWS[3].key,), False)]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((80, 24), "verify 41%"),
        ((120, 40), "verify 41%  12.1/29.4 GB  310.0 MB/s  56 s left"),
    ],
)
async def test_the_status_line_says_how_far_a_job_is(size: tuple[int, int], said: str) -> None:
    async with seated(size=size) as seat:
        await seat.tell(job())
        assert seat.screen.splitlines()[-2].rstrip().endswith(said)
        await seat.tell(job(JobState.DONE, worked=95.0, hashed=29_400_000_000))
        assert not seat.screen.splitlines()[-2].rstrip().endswith("left")
        assert "done: no fault in 29.4 GB, in 1 min 35 s, 309.5 MB/s" in seat.screen
        assert "P repairs" not in seat.screen


async def test_after_faults_were_found_the_next_keys_are_said() -> None:
    async with seated() as seat:
        await seat.tell(job())
        await seat.tell(job(JobState.DONE, worked=5.0, hashed=29_400_000_000, found=2))
        assert "verify the whole store found 2 faults: p shows where, P repairs" in seat.screen


async def test_rows_say_that_they_are_being_verified() -> None:
    async with seated(size=(120, 40)) as seat:
        await seat.tell(job(JobState.WAITING, keys=(ROWS[3].key,)))
        assert "waiting" in seat.screen
        await seat.tell(job(keys=(ROWS[3].key,)))
        assert "hash 41%" in seat.screen
        await seat.tell(job(JobState.DONE, keys=(ROWS[3].key,)))
        assert "hash" not in "\n".join(line for line in seat.screen.splitlines() if "nginx" in line)


async def test_what_was_verified_is_drawn_without_a_word_on_a_change() -> None:
    async with seated() as seat:
        seat.gateway.asked.clear()
        rows = tuple(replace(row, trust=Trust.VERIFIED, verified_at=SEEN) for row in ROWS)
        delta = Delta(snapshot=snapshot(rows), added=NONE, removed=NONE, changed=frozenset(row.key for row in rows))
        await seat.tell(messages.StoreChanged(0, delta, dated=True))
        assert "verified" in seat.screen
        assert "on disk" not in seat.screen
        assert not seat.gateway.calls("check")


async def test_the_rail_lists_the_jobs() -> None:
    async with seated(size=(200, 50)) as seat:
        assert "JOBS  L" in seat.screen
        await seat.tell(job())
        assert "JOBS  1 under way" in seat.screen
        assert any(line.split()[:3] == ["verify", "all", "41%"] for line in seat.screen.splitlines())


async def test_a_row_whose_bytes_were_found_wrong_is_bad_until_they_are_right_again() -> None:
    async with seated(size=(120, 40)) as seat:
        rotten = Finding(
            rule="DK08",
            title="layer-content-mismatch",
            severity=Severity.UNUSABLE,
            path="overlay2/a",
            detail="1 file is not what it was",
            engine_says="",
            repair=None,
            images=(ROWS[3].key.id,),
        )
        await seat.press("j", "j", "j")
        await seat.tell(messages.Findings(0, (rotten,), hashed=frozenset({rotten.identity})))
        assert "2 BAD" in seat.screen
        assert any("nginx" in line and "BAD" in line for line in seat.screen.splitlines())
        await seat.tell(messages.StoreChanged(0, Delta(snapshot=snapshot(), added=NONE, removed=NONE, changed=NONE)))
        assert "2 BAD" in seat.screen
        assert "damaged: 1 file is not what it was" in seat.screen
        await seat.tell(messages.Findings(0, ()))
        assert "1 BAD" in seat.screen
        assert seat.cursor == ROWS[3].key


# --- jobs and log


@pytest.mark.parametrize("size", [(60, 12), pytest.param((200, 50), marks=pytest.mark.long)])
async def test_jobs_are_paused_stopped_and_lead_to_their_findings(size: tuple[int, int]) -> None:
    async with seated(size=size) as seat:
        await seat.tell(job(found=2))
        await seat.press("L")
        assert isinstance(seat.top, JobsPage)
        for text in ("verify the whole store", "running", "41%", "12.1/29.4 GB", "2 faults"):
            assert text in seat.screen
        assert all(len(line) <= size[0] for line in seat.screen.splitlines())
        await seat.press("p")
        await seat.tell(job(JobState.PAUSED))
        await seat.press("p", "c")
        assert [call[0] for call in seat.gateway.asked if call[0] in ("pause", "resume", "cancel")] == [
            "pause",
            "resume",
            "cancel",
        ]
        await seat.tell(job(JobState.CANCELLED))
        assert "stopped at 41%" in seat.screen
        await seat.press("enter")
        assert not isinstance(seat.app.screen, JobsPage)
        assert seat.app.browse.pane is Pane.PROBLEMS


async def test_a_failed_job_stays_in_the_log_whole_and_can_be_copied() -> None:
    error = StorageFailure("a file cannot be read", path=f"image/{OSC}", why=MARKUP, do="look at the disk")
    async with seated() as seat:
        await seat.tell(job(JobState.FAILED, error=error))
        assert "failed: a file cannot be read" in seat.screen
        await seat.press("L")
        for text in ("what  a file cannot be read", "where image/redis␛", f"why   {MARKUP}", "do    look at the disk"):
            assert text in seat.screen
        await seat.press("j", "y")
        what, lines = seat.gateway.calls("copy")[-1]
        text = "\n".join(lines)
        assert what == "log entry"
        assert "look at the disk" in text
        assert "\x1b" not in text


async def test_the_log_is_narrowed_to_a_word_and_widened_again() -> None:
    async with seated() as seat:
        seat.app.browse.note("a tag was moved")
        seat.app.browse.note("an image was deleted")
        await seat.press("L", "slash")
        await seat.type("tag")
        assert "a tag was moved" in seat.screen
        assert "an image was deleted" not in seat.screen
        await seat.press("enter", "escape")
        assert "an image was deleted" in seat.screen
        assert isinstance(seat.top, JobsPage)


async def test_the_cursor_stays_on_its_job_when_another_comes_to_stand_above() -> None:
    async with seated() as seat:
        await seat.tell(job(JobState.DONE, id=1))
        await seat.press("L")
        await seat.tell(job(id=2))
        await seat.press("c")
        assert "nothing is under way on this line" in seat.screen
        assert not seat.gateway.calls("cancel")


async def test_quitting_says_that_what_was_verified_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    async with seated() as seat:
        with monkeypatch.context() as patch:
            patch.setattr(seat.app, "exit", lambda **more: said.append(more["message"]))
            await seat.press("q")
            await seat.tell(job())
            await seat.press("q")
    assert said == [None, "verify was stopped at 41%; what was verified is kept, and V goes on from there"]


# --- where the bytes are


async def test_bytes_are_measured_when_they_are_asked_for_first_and_the_store_is_shown_meanwhile() -> None:
    async with seated(StandIn(snapshot(notes=(Note(text="a hidden store", path="containerd"),)))) as seat:
        await seat.press("i")
        assert isinstance(seat.top, SpacePage)
        assert seat.gateway.calls("measure") == [(0,)]
        assert "a hidden store (containerd)" in seat.screen
        await seat.tell(job(what="measure", in_bytes=False, phase="folders", done=3, total=12, rate=0.0, left=None))
        assert "measuring" in seat.screen
        assert "folders 3/12" in seat.screen
        await seat.tell(messages.SpaceReady(0, SPACE, SEEN))
        assert "layers of images" in seat.screen
        await seat.press("escape", "i")
        assert seat.gateway.calls("measure") == [(0,)], "what is known is shown again"
        await seat.press("R")
        assert len(seat.gateway.calls("measure")) == 1, "it is still being measured"


@pytest.mark.parametrize("size", [(60, 12), pytest.param((120, 40), marks=pytest.mark.long), (200, 50)])
async def test_parts_are_listed_by_size_with_their_share_and_word(size: tuple[int, int]) -> None:
    async with measured(size) as seat:
        shown = seat.screen
        assert all(len(line) <= size[0] for line in shown.splitlines())
        assert all(line.isprintable() for line in shown.splitlines())
        lines = [line for line in shown.splitlines() if " GB " in line and "%" in line and "free" not in line]
        assert any("8.0 GB" in line and "73 %" in line for line in lines)
        for text in ("11.0 GB on disk", "40.0 GB of 100.0 GB free", "layers of images"):
            assert text in shown
        if size[0] >= 80:
            assert "left over" in shown
            assert "3.0 GB that nothing needs" in shown
            assert "redis␛" in shown
        assert ("┌" in shown.splitlines()[4]) is (size[0] >= 120)


async def test_a_part_opens_and_closes_and_the_cursor_comes_back_to_it() -> None:
    async with measured() as seat:
        await seat.press("j", "k", "enter")
        assert "layers of images  8.0 GB" in seat.screen
        lines = seat.screen.splitlines()
        first = next(number for number, line in enumerate(lines) if "5.0 GB" in line)
        assert "3.0 GB" in lines[first + 1], "the larger one first"
        await seat.press("enter")
        assert "needed by" in seat.screen
        assert "ghcr.io/acme/web:2026.07" in seat.screen
        await seat.press("escape", "escape", "j", "escape")
        assert seat.top is seat.app.browse


async def test_an_image_is_deleted_by_a_plan_of_all_its_rows() -> None:
    async with measured(unlocked=True) as seat:
        await seat.press("2")
        for text in ("OWN", "SHARED", "3.0 GB", "nginx:latest", "[@click"):
            assert text in seat.screen
        await seat.press("d")
        assert isinstance(seat.top, PlanDialog)
        assert seat.gateway.calls("plan")[-1] == (Remove(keys=(ROWS[3].key,)),)


async def test_a_part_of_several_images_is_not_deleted_with_one_key_and_leads_to_each() -> None:
    async with measured() as seat:
        await seat.press("enter", "d")
        assert "2 images need it" in seat.screen
        assert not seat.gateway.calls("plan")
        await seat.press("j", "enter", "enter")
        assert seat.cursor == ROWS[3].key


async def test_waste_leads_to_the_clean_up_and_quarantine_to_the_journal() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST,)
    async with measured(gateway=gateway) as seat:
        await seat.press("c")
        assert "something needs this" in seat.screen
        await seat.press("j", "c")
        assert isinstance(seat.top, CleanDialog)
        await seat.press("escape", "i", "j", "j", "c")
        assert isinstance(seat.top, JournalDialog)


async def test_images_without_a_name_are_counted_and_lead_to_the_clean_up() -> None:
    spare = row(None, 77)
    used = row(None, 78, flags=frozenset({Flag.UNTAGGED, Flag.IN_USE}))
    both = tuple(ImageSpace(key=each.key, names=(), bytes=2 * GIGA, own=GIGA) for each in (spare, used))
    gateway = StandIn(snapshot((*ROWS, spare, used)))
    async with seated(gateway=gateway, size=(80, 24)) as seat:
        await seat.press("i")
        await seat.tell(messages.SpaceReady(0, replace(SPACE, images=both), SEEN))
        assert "1.0 GB of 1 image without a name: c, then n" in seat.screen
        await seat.press("c")
        assert isinstance(seat.top, CleanDialog)


async def test_the_path_and_the_command_are_copied() -> None:
    async with measured() as seat:
        await seat.press("j", "y")
        assert isinstance(seat.top, Menu)
        await seat.press("p", "y", "c")
        assert seat.gateway.calls("copy") == [
            ("path", "/var/lib/docker/image/overlay2/tmp"),
            ("command", "orlop df /var/lib/docker"),
        ]


async def test_figures_of_a_store_that_changed_since_say_so() -> None:
    async with measured() as seat:
        assert "the store changed since" not in seat.screen
        await seat.press("escape")
        delta = Delta(snapshot=snapshot(ROWS[:3]), added=NONE, removed=frozenset(r.key for r in ROWS[3:]), changed=NONE)
        await seat.tell(messages.StoreChanged(0, delta))
        await seat.press("i")
        assert "the store changed since: R" in seat.screen


def figures(lines: Sequence[str]) -> Sequence[str]:
    return [line.strip("│ ") for line in lines if line.strip("│ ")]


async def test_the_screen_of_bytes_as_it_is_drawn() -> None:
    async with measured() as seat:
        lines = figures(seat.screen.splitlines())
        assert lines[4:8] == [
            "8.0 GB  73 %  ████████ > layers of images          needed by images",
            "2.0 GB  18 %  ██         left by what was cut off  left over",
            "1.0 GB   9 %  █          quarantine",
            "3.0 GB that nothing needs or only an undo would",
        ]
