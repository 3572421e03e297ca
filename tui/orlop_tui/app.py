"""The screens as one program: the frame is drawn first, the stores come when they are read."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.theme import BUILTIN_THEMES

from orlop_tui import messages, themes
from orlop_tui.remembered import Remembered
from orlop_tui.safe_app import SafeApp
from orlop_tui.screens.browse import Browse
from orlop_tui.screens.dialog import Dialog
from orlop_tui.screens.keymap import checked
from orlop_tui.settings import BadSettings, Settings, nearest
from orlop_tui.widgets.entry import Entry, Listening


class Commands(Provider):
    """What the palette offers: the browser's own actions, by their words, and nothing of a store."""

    def _actions(self) -> Iterable[tuple[str, str, str]]:
        own = {binding.action: binding for _, binding in Browse._merged_bindings or () if binding.id}
        for action, binding in own.items():
            if not action.startswith("app.") and "(" not in action:
                yield binding.description, action, binding.key
        yield "theme", "theme", ""

    async def discover(self) -> Hits:
        """Every command."""
        for text, action, _ in self._actions():
            yield DiscoveryHit(Content(text), self._runner(action), text)

    async def search(self, query: str) -> Hits:
        """Commands whose words match."""
        matcher = self.matcher(query)
        for text, action, _ in self._actions():
            if (score := matcher.match(text)) > 0:
                yield Hit(score, Content(text), self._runner(action), text)

    def _runner(self, action: str) -> "_Run":
        return _Run(self.app, action)


class _Run:
    """Calls an action of the browser, whatever screen is on top."""

    def __init__(self, app: object, action: str) -> None:
        self._app = app
        self._action = action

    def __call__(self) -> None:
        app = self._app
        assert isinstance(app, OrlopApp)
        app.call_later(app.command, self._action)


class Palette(CommandPalette):
    """The framework's palette, which tells when its line for typing is there."""

    def on_descendant_focus(self) -> None:
        self.post_message(Listening(self))


class OrlopApp(SafeApp, inherit_bindings=False):
    """The browser over a gateway; a test passes a gateway of its own.

    Args:
        gateway: the way to the stores.
        paths: what is being opened, for the words that are shown meanwhile.
        unlocked: writing is unlocked from the start, and the person states that no engine works there.
        title: what stands before the store's name.
        settings: what the person set; the defaults if None.
    """

    CSS_PATH = "app.tcss"
    TITLE = "orlop"
    COMMANDS: ClassVar[set[type[Provider]]] = {Commands}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", "stop the job, or quit", show=False, priority=True, id="interrupt"),
        Binding("ctrl+z", "suspend_process", "to the shell; fg returns", show=False, priority=True, id="suspend"),
    ]

    def __init__(
        self,
        gateway: messages.Gateway,
        paths: Sequence[str] = (),
        *,
        unlocked: bool = False,
        title: str | None = None,
        remembered: Remembered | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        for theme in themes.OWN:
            self.register_theme(theme)
        self._take(settings or Settings())
        self.gateway = gateway
        self.browse = Browse(gateway, paths, unlocked=unlocked, title=title, remembered=remembered)
        self._held: list[events.Key] = []
        self._held_for: Screen[Any] | None = None

    def _take(self, settings: Settings) -> None:
        """Do as the person set; whoever wants no colour gets none in any theme."""
        if settings.theme and not self.is_plain:
            self.theme = settings.theme
        if settings.keys:
            self.set_keymap(checked(settings.keys, settings.path))

    def get_css_variables(self) -> dict[str, str]:
        return themes.readable(super().get_css_variables())

    def get_default_screen(self) -> Screen[None]:
        return self.browse

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        return ()

    def on_mount(self) -> None:
        """Show the frame; only then begin to read."""
        self.gateway.attach(self)
        self.call_after_refresh(self.gateway.open)

    def check_message_enabled(self, message: Message) -> bool:
        """Once the app is ending, answers of the gateway interest nobody."""
        return not self._is_late(message) and super().check_message_enabled(message)

    async def _dispatch_message(self, message: Message) -> None:
        """The same for an answer that came before the end and is looked at after it, when no screen is left."""
        if not self._is_late(message):
            await super()._dispatch_message(message)

    def _is_late(self, message: Message) -> bool:
        return (self._exit or not self._screen_stack) and type(message).__module__ == messages.__name__

    async def on_unmount(self) -> None:
        self.gateway.close()

    async def command(self, action: str) -> None:
        """Run a command of the palette in the browser."""
        if action == "theme":
            self.search_themes()
        else:
            await self.browse.run_action(action)

    def action_interrupt(self) -> None:
        self.browse.interrupt()

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(id="--command-palette"))

    # --- keys, one after the other

    async def on_event(self, event: events.Event) -> None:
        """Do what a key does before the next one is looked at.

        The framework hands a key to the widget that has the focus, and looks for its
        binding only when the key has come back from there through every parent. Keys
        that are typed faster than that would be bindings of what the first of them
        has just left: the name after ``/`` or ``#`` would be commands for the list.
        """
        if isinstance(event, events.Key) and not event.is_forwarded:
            self.app_focus = True
            await self._key(event)
        else:
            await super().on_event(event)

    async def _key(self, event: events.Key) -> None:
        if await self._check_bindings(event.key, priority=True):
            return
        screen = self.screen
        if self._is_opening(screen):
            self._hold(event, screen)
        elif isinstance(screen, Dialog | Browse):
            if isinstance(self.focused, Entry) and self.focused.take(event):
                return
            if not screen.heard(event):
                await self._check_bindings(event.key)
        else:
            await super().on_event(event)

    def _is_opening(self, screen: Screen[Any]) -> bool:
        if isinstance(screen, Dialog):
            return not screen.is_painted
        return isinstance(screen, Palette) and screen.focused is None

    def _hold(self, event: events.Key, screen: Screen[Any]) -> None:
        """Keep a key for a screen that is opened for typing; any other is deaf until it was painted."""
        if screen is not self._held_for:
            self._held_for, self._held = screen, []
        if not isinstance(screen, Dialog) or screen.is_for_typing:
            self._held.append(event)

    async def on_listening(self, message: Listening) -> None:
        """Give a screen the keys that were held for it, before any later one."""
        screen = message.screen
        if isinstance(screen, Dialog):
            screen.now_painted()
        if screen is not self._held_for:
            return
        held, self._held, self._held_for = self._held, [], None
        for event in held:
            await self._key(event)
            await self._flush_next_callbacks()  # what a dialog gave back, as after any key

    # --- messages of the gateway, each to where it is drawn

    def on_store_opened(self, message: messages.StoreOpened) -> None:
        self.browse.store_opened(message)

    def on_store_read(self, message: messages.StoreRead) -> None:
        self.browse.store_read(message)

    def on_open_failed(self, message: messages.OpenFailed) -> None:
        self.browse.open_failed(message)

    def on_all_opened(self, message: messages.AllOpened) -> None:
        self.browse.all_opened(message)

    def on_detail_ready(self, message: messages.DetailReady) -> None:
        self.browse.detail_ready(message)

    def on_details_ready(self, message: messages.DetailsReady) -> None:
        self.browse.details_ready(message)

    def on_records_ready(self, message: messages.RecordsReady) -> None:
        self.browse.records_ready(message)

    def on_image_fetched(self, message: messages.ImageFetched) -> None:
        self.browse.image_fetched(message)

    def on_looked(self, message: messages.Looked) -> None:
        self.browse.looked(message)

    def on_findings(self, message: messages.Findings) -> None:
        self.browse.findings_ready(message)

    def on_explained(self, message: messages.Explained) -> None:
        self.browse.explained(message)

    def on_holders_ready(self, message: messages.HoldersReady) -> None:
        self.browse.holders_ready(message)

    def on_freed_ready(self, message: messages.FreedReady) -> None:
        self.browse.freed_ready(message)

    def on_plan_ready(self, message: messages.PlanReady) -> None:
        self.browse.changes.plan_ready(message)

    def on_writable(self, message: messages.Writable) -> None:
        self.browse.changes.writable(message)

    def on_applied(self, message: messages.Applied) -> None:
        self.browse.changes.applied(message)

    def on_previewed(self, message: messages.Previewed) -> None:
        self.browse.changes.previewed(message)

    def on_journal_ready(self, message: messages.JournalReady) -> None:
        self.browse.changes.journal_ready(message)

    def on_snapshot_written(self, message: messages.SnapshotWritten) -> None:
        self.browse.snapshot_written(message)

    def on_plan_saved(self, message: messages.PlanSaved) -> None:
        self.browse.plan_saved(message)

    def on_copied(self, message: messages.Copied) -> None:
        self.browse.copied(message)

    def on_failed(self, message: messages.Failed) -> None:
        self.browse.failed(message)

    def on_working(self, message: messages.Working) -> None:
        self.browse.working(message)

    def on_store_changed(self, message: messages.StoreChanged) -> None:
        self.browse.store_changed(message)

    def on_job_changed(self, message: messages.JobChanged) -> None:
        self.browse.job_changed(message)

    def on_space_ready(self, message: messages.SpaceReady) -> None:
        self.browse.space_ready(message)

    def on_live_state(self, message: messages.LiveState) -> None:
        self.browse.live_state(message)


def check_settings(settings: Settings) -> None:
    """Make sure that the settings can be used, before the screens open.

    Raises:
        BadSettings: there is no such theme or key.
    """
    known = (*BUILTIN_THEMES, *(theme.name for theme in themes.OWN))
    if settings.theme and settings.theme not in known:
        do = nearest(settings.theme, known) or f"there are {', '.join(known)}"
        where = settings.origins.get("theme", "")
        raise BadSettings(f"there is no theme {settings.theme!r}", path=where or None, do=do)
    checked(settings.keys, settings.path)


def run(
    paths: Sequence[str], settings: Settings | None = None, *, unlocked: bool = False, title: str | None = None
) -> int:
    """Open the screens over these stores until the person leaves.

    Args:
        paths: folders that a person would name.
        settings: what the person set; the defaults if None.
        unlocked: writing is unlocked from the start, and no engine works there: the sample store.
        title: what stands before the store's name, such as ``demo``.

    Returns:
        The exit code: 0, or 128 and the number of the signal that ended it.

    Raises:
        BadSettings: there is no such theme or key; nothing was drawn yet.
    """
    from orlop_tui.gateway import Gateway
    from orlop_tui.terminal import log_to_file, state_folder

    chosen = settings or Settings()
    check_settings(chosen)
    log_to_file()
    remembered = Remembered(state_folder()) if title is None else None  # the sample store is another one each time
    app = OrlopApp(Gateway(paths), paths, unlocked=unlocked, title=title, remembered=remembered, settings=chosen)
    app.run(mouse=chosen.mouse)
    return app.return_code or 0
