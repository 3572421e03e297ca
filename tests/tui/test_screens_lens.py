"""Following references over a stand-in for the gateway: the lens, who uses a thing, and the way back."""

from textual import events

from orlop.records import Holding, Key, Link, Why
from orlop_tui.screens.lens import LensDialog
from orlop_tui.widgets.shown import Pane
from tests.tui.test_screens import BIDI, BLOB, DIFF, MARKUP, OSC, ROWS, STORE, Seat, StandIn, identity, seated, snapshot

LAYER = Why(
    subject=DIFF,
    is_a=("diff id of a layer",),
    kept_by=(
        (
            Link(what="name nginx:latest", path="repositories.json", key=Key("", ROWS[3].key.id, "nginx:latest")),
            Link(what=f"image {ROWS[3].key.id}", path=None, key=Key("", ROWS[3].key.id, None)),
            Link(what=f"layer {DIFF}", path=None),
        ),
    ),
    related={"blob digest": BLOB, "size": "120 bytes"},
    remark="and 12 more references",
)
UNUSED = Why(subject=identity(0xAA), is_a=("blob that no manifest names",), kept_by=(), remark="it takes space only")


def two_stores() -> StandIn:
    other = snapshot(ROWS[4:6], identity=STORE.__class__(kind="registry", scope="", path="/srv/registry", token="r"))
    return StandIn(snapshot(), other)


async def paste(seat: Seat, text: str) -> None:
    seat.app.post_message(events.Paste(text))
    await seat.settle()


async def test_a_pasted_digest_says_what_it_is_everywhere_and_leads_to_its_line() -> None:
    gateway = two_stores()
    gateway.whys = {(0, DIFF): LAYER}
    async with seated(gateway) as seat:
        await paste(seat, f"  example.com/app@{DIFF}\n")
        assert gateway.calls("why") == [(DIFF,)]
        said = ("It is", "diff id of a layer", "Blob digest", "nginx:latest > image", "12 more", "knows nothing")
        for text in said:
            assert text in seat.screen, text
        await seat.press("enter")
        assert gateway.calls("why") == [(DIFF,), (BLOB,)]
        assert f"no open store knows anything of {BLOB[:12]}" in seat.screen
        await paste(seat, DIFF)
        await seat.press("G", "enter")
        assert seat.cursor == ROWS[3].key
        browse = seat.app.browse
        assert browse.pane is Pane.DIGESTS
        assert browse.panes.has_focus
        assert browse.panes.current is not None
        assert browse.panes.current.copy == BLOB


async def test_a_name_of_another_store_is_gone_to_there_and_back() -> None:
    gateway = two_stores()
    key = ROWS[5].key
    gateway.whys = {(1, key.id): Why(subject=key.id, is_a=("manifest: image",), kept_by=())}
    async with seated(gateway) as seat:
        await seat.press("j", "j", "slash", *"acme", "enter")
        before = seat.cursor
        await paste(seat, key.id)
        await seat.press("enter")
        assert (seat.app.browse.current, seat.cursor) == (1, key)
        await seat.press("minus")
        assert (seat.app.browse.current, seat.cursor) == (0, before)
        assert "filter acme" in seat.screen
        await seat.press("minus")
        assert "nowhere to go back to" in seat.screen


async def test_who_uses_a_row_or_a_line_is_asked_and_copied() -> None:
    gateway = StandIn(snapshot())
    gateway.whys = {(0, BLOB): LAYER}
    async with seated(gateway) as seat:
        await seat.press("u")
        assert gateway.calls("why") == [(ROWS[0].key.id,)]
        await seat.press("2", "tab", "u")
        assert gateway.calls("why")[1:] == [(BLOB,)]
        assert isinstance(seat.top, LensDialog)
        assert "Who uses" in seat.screen
        await seat.press("y")
        assert gateway.calls("copy") == [("line", "nginx:latest")]
        await seat.press("enter")
        assert seat.cursor == ROWS[3].key
        await seat.press("minus")
        assert seat.cursor == ROWS[0].key
        assert seat.app.browse.panes.has_focus


async def test_all_that_need_a_thing_are_shown_by_a_filter() -> None:
    gateway = StandIn(snapshot())
    gateway.whys = {(0, DIFF): LAYER}
    gateway.held = {(Holding.DIGEST, DIFF): frozenset({ROWS[3].key.id, ROWS[5].key.id})}
    async with seated(gateway) as seat:
        await paste(seat, DIFF)
        await seat.press("slash")
        store = seat.app.browse.store
        assert store is not None
        assert [row.key for row in store.listing.shown] == [ROWS[3].key, ROWS[5].key]


async def test_what_nothing_needs_says_so_and_leads_nowhere() -> None:
    gateway = StandIn(snapshot())
    gateway.whys = {(0, UNUSED.subject): UNUSED}
    async with seated(gateway) as seat:
        await paste(seat, UNUSED.subject)
        assert "it takes space only" in seat.screen
        await seat.press("enter")
        assert "this line leads to no row" in seat.screen
        await paste(seat, "\n")
        assert len(gateway.calls("why")) == 1


async def test_hostile_texts_of_a_store_are_spelled_out() -> None:
    gateway = StandIn(snapshot())
    link = Link(what=f"name {OSC}:7{MARKUP}", path=BIDI, key=ROWS[5].key)
    hostile = Why(subject=OSC, is_a=(MARKUP, BIDI), kept_by=((link,),), related={MARKUP: OSC, BIDI: BIDI}, remark=OSC)
    gateway.whys = {(0, DIFF): hostile}
    async with seated(gateway, (120, 40)) as seat:
        await paste(seat, DIFF)
        assert isinstance(seat.top, LensDialog)
        assert MARKUP in seat.screen
        assert not {"\x1b", "\x07", "\u202e"} & set(seat.screen)
        await seat.press("G", "enter")
        assert seat.cursor == ROWS[5].key


async def test_a_filter_that_the_store_must_answer_waits_for_it_and_follows_the_store() -> None:
    gateway = StandIn(snapshot())
    gateway.mute = {"holders"}
    async with seated(gateway, size=(120, 40)) as seat:
        await seat.press("slash")
        await seat.type("layer:ab")
        store = seat.app.browse.store
        assert store is not None
        assert "filter layer:ab …" in seat.screen
        assert len(store.listing) == len(ROWS)
        gateway.mute = set()
        gateway.held = {(Holding.LAYER, "ab"): frozenset({ROWS[1].key.id})}
        gateway.holders(0, ((Holding.LAYER, "ab"),))
        await seat.settle()
        assert [row.key for row in store.listing.shown] == [ROWS[1].key]
        assert "1 of 9 rows" in seat.screen


async def test_tab_completes_a_filter_and_leaves_it_where_nothing_follows() -> None:
    async with seated(size=(120, 40)) as seat:
        await seat.press("slash", *"stat", "tab", *"b", "tab")
        assert seat.app.browse.entry.value == "state:bad"
        assert seat.app.browse.entry.has_focus
        await seat.press("tab")
        assert not seat.app.browse.entry.has_focus


async def test_a_misspelled_field_is_named_with_the_nearest() -> None:
    async with seated(size=(120, 40)) as seat:
        await seat.press("slash", *"stat:bad", "enter")
        assert "filter: stat:bad is in no name, and no field; nearest: state:" in seat.screen
