"""The screen of bytes: what they are there for, down to single layers, and what each image has to itself."""

import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import Binding, BindingType

from orlop.records import Condition, Flag, Key
from orlop.space import ImageSpace, Part, Space, Use
from orlop_tui import format as words
from orlop_tui.messages import JobState
from orlop_tui.screens import jobwords, wording
from orlop_tui.screens.dialog import Choice, Menu
from orlop_tui.screens.page import Page
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.bars import Share, bar, boxes, own_and_shared, progress
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, LinesView, Role, Span, Spans, fit, fold, labelled, line, span

if TYPE_CHECKING:
    from orlop_tui.screens.jobkeys import JobKeys

WIDE = 120
_TALL = 24
"""Lines from which the picture of the whole has room."""
_CLEANED = (Use.UNREFERENCED, Use.UNRECORDED, Use.DEBRIS)
_KEPT = {Flag.IN_USE, Flag.PARENT, Flag.CHILD, Flag.REFERRER, Flag.BUSY}
_ROLES = {Use.UNKNOWN: Role.BAD, Use.OTHER: Role.FAINT, Use.HIDDEN: Role.FAINT}


class Wish(NamedTuple):
    """What a person wants done about bytes."""

    what: str
    """``go``, ``clean``, ``uploads``, ``journal``, ``delete``"""
    keys: tuple[Key, ...] = ()


class SpacePage(Page[Wish]):
    """Parts as a list that opens and closes, images, and the store as a whole."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,l,right", "open", "open", show=False),
        Binding("h,left,backspace", "up", "back to the whole", show=False),
        Binding("tab", "next_view", "parts, images, store", show=False),
        Binding("1", "view(1)", "parts", show=False),
        Binding("2", "view(2)", "images", show=False),
        Binding("3", "view(3)", "the store", show=False),
        Binding("c", "clean", "plan to remove what nothing needs", show=False),
        Binding("d", "delete", "plan to delete the image", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("R", "again", "measure again", show=False),
    ]

    def __init__(self, desk: "JobKeys", store: OpenStore) -> None:
        super().__init__()
        self._desk = desk
        self.store = store
        self._view = 1
        self._path: list[Part] = []
        """The parts that were opened, from the outermost."""

    # --- what it shows

    def heading(self) -> Spans:
        pieces = [span(f"{self.store.label}  ", Role.STRONG)]
        for number, title in enumerate(("Bytes", "Images", "Store"), start=1):
            here = number == self._view
            pieces.append(span(f"[{number} {title}] " if here else f" {number} {title}  ", _heading_role(here)))
        return tuple(pieces)

    def hints(self) -> Iterable[KeyHint]:
        target = self.target
        if isinstance(target, Part):
            if target.parts or target.images:
                yield KeyHint("Enter", "open", "open")
            if target.use.is_waste or target.use is Use.UPLOADS:
                yield KeyHint("c", "clean up", "clean")
            if len(target.images) == 1:
                yield KeyHint("d", "delete", "delete")
        elif isinstance(target, ImageSpace):
            yield KeyHint("Enter", "its row", "open")
            yield KeyHint("d", "delete", "delete")
        yield KeyHint("y", "copy", "copy")
        yield KeyHint("R", "measure", "again")
        yield KeyHint("Tab", ("images", "store", "bytes")[self._view - 1], "next_view")

    def body(self, width: int) -> Sequence[Line]:
        if self._view == 3:
            return [*self._facts(width), BLANK, *self._state(width)]
        space = self.store.space
        if space is None:
            return [*self._state(width), BLANK, *self._facts(width)]
        if self._view == 2:
            return [*self._state(width), BLANK, *self._images(space, width)]
        return [*self._state(width), *self._picture(space, width), BLANK, *self._parts(space, width)]

    def _facts(self, width: int) -> Iterable[Line]:
        yield line(span("This store", Role.HEADING))
        for label, text in wording.facts(self.store):
            yield from labelled(label, text, width)

    def _state(self, width: int) -> Iterable[Line]:
        """When it was measured, and how far measuring it is now; how full the file system is."""
        job, space = self._desk.measuring(self.store), self.store.space
        if job is not None and job.error is not None:
            for label, text in words.words(job.error):
                yield from labelled(label, text, width, role=Role.BAD)
            yield line(span("R measures again", Role.FAINT))
        elif job is not None:
            drawn = progress(job.done, job.total, 20, plain=self.plain) + "  " if job.total else ""
            paused = " (paused: L)" if job.state is JobState.PAUSED else ""
            yield line(span("measuring …  "), span(drawn, Role.GOOD), span(jobwords.numbers(job, 40) + paused))
        if space is None:
            if job is None:
                yield line(span("not measured: R measures", Role.FAINT))
            return
        age = words.age(self.store.measured_at, time.time_ns())
        said = f"{words.size(space.disk)} on disk, measured {age} ago"
        pieces = [span(said)]
        if self.store.space_is_old:
            pieces.append(span("; the store changed since: R", Role.WARN))
        yield line(*pieces)
        yield line(*self._file_system(space, width))

    def _file_system(self, space: Space, width: int) -> Iterable[Span]:
        if not space.capacity:
            return
        used = space.capacity - space.free
        room = max(10, min(40, width - 50))
        mine = bar(min(space.disk, used), space.capacity, room, plain=True).count("#")
        others = max(round(used * room / space.capacity) - mine, 0)
        own, other, free = ("#", "=", ".") if self.plain else ("█", "▒", "░")
        yield span(own * mine, Role.STRONG)
        yield span(other * others + free * max(0, room - mine - others), Role.FAINT)
        share = words.percent(space.disk, space.capacity)
        yield span(f"  {share} this store, {words.size(space.free)} of {words.size(space.capacity)} free")

    def _picture(self, space: Space, width: int) -> Iterable[Line]:
        """A box for each part of the level, where there is room."""
        if width < WIDE - 6 or self.size.height < _TALL or self._view != 1:
            return
        shares = [Share(words.shortened(part.title), part.bytes) for part in self._level(space)]
        for text in boxes(shares, width, plain=self.plain):
            yield line(span(text))

    def _level(self, space: Space) -> Sequence[Part]:
        """The parts that are listed now, the largest first."""
        parts = self._path[-1].parts if self._path else space.parts
        return sorted(parts, key=lambda part: -part.bytes)

    def _parts(self, space: Space, width: int) -> Iterable[Line]:
        level = self._level(space)
        whole = self._path[-1].bytes if self._path else space.disk
        if self._path:
            trail = " > ".join(words.shortened(part.title) for part in self._path)
            for text in fold(f"{trail}  {words.size(whole)}", width):
                yield line(span(text, Role.HEADING))
            for text in fold(words.sized(words.shortened(self._path[-1].remark)), width):
                yield line(span(text, Role.FAINT))
        most = max((part.bytes for part in level), default=0)
        for part in level:
            yield self._part(part, whole, most, width)
        if not level and self._path:
            yield from self._users(self._path[-1])
        if not level and not self._path:
            yield line(span("nothing is here", Role.FAINT))
        if not self._path:
            yield from self._sum(space, width)
            yield from self._notes(width)

    def _part(self, part: Part, whole: int, most: int, width: int) -> Line:
        room = 8 if width < 90 else 16 if width < 160 else 32
        drawn = bar(part.bytes, most, room, plain=self.plain)
        sign = ">" if part.parts else " "
        head = f"{fit(words.size(part.bytes), 9, right=True)} {fit(words.percent(part.bytes, whole), 5, right=True)}  "
        rest = width - len(head) - room - 4
        title = part.title if width >= 160 else words.shortened(part.title)
        said = words.USE_WORDS.get(part.use, str(part.use)) if not self._path or part.use.is_waste else ""
        why = words.sized(words.shortened(part.remark))
        extra = said if said and said != title else why
        role = Role.WARN if part.use.is_waste else _ROLES.get(part.use, Role.PLAIN)
        reserved = len(extra) + 2 if extra == said and part.use.is_waste else 0
        first = min(max(len(title), 24), rest - reserved) if extra else rest
        return line(
            span(head),
            span(drawn + " ", role),
            span(f"{sign} ", Role.FAINT),
            span(fit(title, first, middle=True), role),
            span(
                f"  {fit(extra, rest - first - 2)}" if rest - first > 8 else "",
                Role.WARN if part.use.is_waste else Role.FAINT,
            ),
            target=part,
            copy=part.path,
        )

    def _users(self, part: Part) -> Iterable[Line]:
        """The images that need a part that has no parts of its own."""
        yield line(span("needed by", Role.LABEL))
        for key in part.images:
            yield line(span(f"  {key.name or words.NO_NAME}  "), span(words.short(key.id), Role.FAINT), target=key)

    def _sum(self, space: Space, width: int) -> Iterable[Line]:
        """That the parts are all there is, or what is missing."""
        yield BLANK
        if space.waste:
            yield line(span(f"{words.size(space.waste)} that nothing needs or only an undo would", Role.WARN))
        if spare := self._spare(space):
            own = words.size(sum(image.own or 0 for image in spare))
            yield line(span(f"{own} of {words.count(len(spare), 'image')} without a name: c, then n", Role.WARN))
        total = sum(part.bytes for part in space.parts)
        if total == space.disk and not space.differences:
            yield line(span(f"the parts are all that du -x counts: {words.exact_size(space.disk)}", Role.FAINT))
            return
        counted = f"counted {words.exact_size(total)}; du -x counts {words.exact_size(space.disk)}"
        for text in (counted, *(words.sized(words.shortened(one)) for one in space.differences)):
            for part in fold(text, width):
                yield line(span(part, Role.WARN))

    def _spare(self, space: Space) -> Sequence[ImageSpace]:
        """Images that a clean-up would take if it were told to take what has no name."""
        rows = {(row.key.scope, row.key.id): row for row in self.store.snapshot.rows}
        found = []
        for image in space.images:
            row = rows.get((image.key.scope, image.key.id))
            if row and Flag.UNTAGGED in row.flags and not _KEPT & row.flags and row.condition is Condition.SOUND:
                found.append(image)
        return found

    def _notes(self, width: int) -> Iterable[Line]:
        """What the store was said of when it was read."""
        for note in self.store.snapshot.notes:
            yield from labelled("Note", f"{note.text} ({note.path})" if note.path else note.text, width, role=Role.WARN)

    def _images(self, space: Space, width: int) -> Iterable[Line]:
        images = sorted(space.images, key=lambda image: -(image.own or 0))
        most = max((image.bytes or 0 for image in images), default=0)
        room = 8 if width < 90 else 20 if width < 160 else 40
        full, light = ("#", ".") if self.plain else ("█", "░")
        heads = (fit("OWN", 9, right=True), fit("SHARED", 9, right=True), fit(f"{full} own {light} sh.", room))
        yield line(span("  ".join(heads) + "  IMAGE", Role.LABEL))
        for image in images:
            own, total = image.own, image.bytes
            shared = total - own if own is not None and total is not None else None
            drawn = own_and_shared(own or 0, total or 0, most, room, plain=self.plain)
            text = (image.names[0] if image.names else f"{image.key.scope} {words.NO_NAME}".strip()) or words.NO_NAME
            more = f" +{len(image.names) - 1}" if len(image.names) > 1 else ""
            name = max(12, width - 9 - 9 - room - 6 - 14)
            yield line(
                span(f"{fit(words.size(own), 9, right=True)}  {fit(words.size(shared), 9, right=True)}  "),
                span(drawn + "  "),
                span(fit(words.shortened(text), name - len(more), middle=True) + more),
                span(f"  {words.short(image.key.id)}", Role.FAINT),
                target=image,
                copy=text,
            )
        if not images:
            yield line(span(f"no {self.store.words.noun} is here", Role.FAINT))

    # --- keeping up

    def measured(self) -> None:
        """New figures: the same place in them, as far as it still exists."""
        titles = [part.title for part in self._path]
        self._path = []
        space = self.store.space
        for title in titles:
            level = self._level(space) if space is not None else ()
            found = next((part for part in level if part.title == title), None)
            if found is None:
                break
            self._path.append(found)
        self.draw()
        self.moved()

    def moved(self) -> None:
        """Where the part under the cursor lies, whole, and why it is there."""
        target = self.target
        if isinstance(target, Part):
            why = words.sized(words.shortened(target.remark))
            self.remark("  ".join(text for text in (target.path, why) if text), Role.FAINT)
        elif isinstance(target, ImageSpace):
            self.remark("  ".join(target.names[:4]) or target.key.id, Role.FAINT)
        else:
            self.remark("")
        self._show_keys()

    # --- keys

    def action_view(self, number: int) -> None:
        self._view = number
        self.draw()
        self.moved()

    def action_next_view(self) -> None:
        self.action_view(self._view % 3 + 1)

    def action_open(self) -> None:
        match self.target:
            case Part() as part if part.parts or part.images:
                self._path.append(part)
                self.draw()
                self.moved()
            case Part():
                self.remark("it has no parts that could be told apart")
            case ImageSpace(key=key) | (Key() as key):
                self.dismiss(Wish("go", (key,)))

    def action_up(self) -> None:
        if self._view == 1 and self._path:
            closed = self._path.pop()
            self.draw()
            self.put_on(closed)
            self.moved()

    def action_leave(self) -> None:
        if self._view == 1 and self._path:
            self.action_up()
        else:
            self.dismiss(None)

    def action_clean(self) -> None:
        target = self.target
        use = target.use if isinstance(target, Part) else None
        if use is Use.QUARANTINE:
            self.dismiss(Wish("journal"))
        elif use is Use.UPLOADS and self.store.words.has_uploads:
            self.dismiss(Wish("uploads"))
        elif use in _CLEANED or use is None or (self.store.space and self._spare(self.store.space)):
            self.dismiss(Wish("clean"))
        else:
            self.remark("something needs this; c cleans up what nothing needs")

    def action_delete(self) -> None:
        target = self.target
        keys = target.images if isinstance(target, Part) else (target.key,) if isinstance(target, ImageSpace) else ()
        if isinstance(target, Key):
            keys = (target,)
        if len(keys) == 1:
            self.dismiss(Wish("delete", self._rows_of(keys[0])))
        elif keys:
            self.remark(f"{len(keys)} images need it: Enter lists them")
        else:
            self.remark("this is no image's; c cleans up what nothing needs")

    def _rows_of(self, key: Key) -> tuple[Key, ...]:
        """All rows of an image: it goes with the last of them."""
        rows = self.store.snapshot.rows
        same = tuple(row.key for row in rows if (row.key.scope, row.key.id) == (key.scope, key.id))
        return same or (key,)

    def action_copy(self) -> None:
        target = self.target
        driver = ["--driver", self.store.snapshot.identity.scope] if self.store.has_siblings else []
        choices = [Choice("c", "command", words.shell(["orlop", "df", self.store.path, *driver]))]
        root = self.store.snapshot.identity.path
        if isinstance(target, Part) and target.path:
            choices.insert(0, Choice("p", "path", os.path.join(root, target.path)))
        if isinstance(target, ImageSpace | Key):
            key = target if isinstance(target, Key) else target.key
            choices.insert(0, Choice("i", "id", key.id))
            if key.name is not None:
                choices.insert(0, Choice("n", "name", key.name))
        for choice in choices:
            choice.note, choice.value = str(choice.value), (choice.label, str(choice.value))
        self.app.push_screen(Menu("Copy", choices), self._copied)

    def _copied(self, chosen: object) -> None:
        if isinstance(chosen, tuple):
            what, text = chosen
            self._desk.changes.offer_copy(str(what), str(text))
            self.remark(f"{what} was sent to the clipboard", Role.GOOD)

    def action_again(self) -> None:
        self._desk.measure(self.store)
        self.draw_again()

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        self.action_open()


def _heading_role(here: bool) -> Role:
    return Role.HEADING if here else Role.FAINT
