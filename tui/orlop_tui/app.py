"""The screens as one program: the frame is drawn first, the stores come when they are read."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.message import Message
from textual.screen import Screen

from orlop_tui import messages
from orlop_tui.safe_app import SafeApp
from orlop_tui.screens.browse import Browse


class Commands(Provider):
    """What the palette offers: the browser's own actions, by their words, and nothing of a store."""

    def _actions(self) -> Iterable[tuple[str, str, str]]:
        for binding in Browse.BINDINGS:
            if isinstance(binding, Binding) and not binding.action.startswith("app.") and "(" not in binding.action:
                yield binding.description, binding.action, binding.key.partition(",")[0]
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


class OrlopApp(SafeApp, inherit_bindings=False):
    """The browser over a gateway; a test passes a gateway of its own.

    Args:
        gateway: the way to the stores.
        paths: what is being opened, for the words that are shown meanwhile.
        unlocked: writing is unlocked from the start, and the person states that no engine works there.
        title: what stands before the store's name.
    """

    CSS_PATH = "app.tcss"
    TITLE = "orlop"
    COMMANDS: ClassVar[set[type[Provider]]] = {Commands}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", "stop the job, or quit", show=False, priority=True, id="interrupt"),
    ]

    def __init__(
        self,
        gateway: messages.Gateway,
        paths: Sequence[str] = (),
        *,
        unlocked: bool = False,
        title: str | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.gateway = gateway
        self.browse = Browse(gateway, paths, unlocked=unlocked, title=title)

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
        late = self._exit and type(message).__module__ == messages.__name__
        return not late and super().check_message_enabled(message)

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

    # --- messages of the gateway, each to where it is drawn

    def on_store_opened(self, message: messages.StoreOpened) -> None:
        self.browse.store_opened(message)

    def on_open_failed(self, message: messages.OpenFailed) -> None:
        self.browse.open_failed(message)

    def on_all_opened(self, message: messages.AllOpened) -> None:
        self.browse.all_opened(message)

    def on_detail_ready(self, message: messages.DetailReady) -> None:
        self.browse.detail_ready(message)

    def on_findings(self, message: messages.Findings) -> None:
        self.browse.findings_ready(message)

    def on_plan_ready(self, message: messages.PlanReady) -> None:
        self.browse.changes.plan_ready(message)

    def on_writable(self, message: messages.Writable) -> None:
        self.browse.changes.writable(message)

    def on_applied(self, message: messages.Applied) -> None:
        self.browse.changes.applied(message)

    def on_journal_ready(self, message: messages.JournalReady) -> None:
        self.browse.changes.journal_ready(message)

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

    def on_live_state(self, message: messages.LiveState) -> None:
        self.browse.live_state(message)


def run(paths: Sequence[str], *, unlocked: bool = False, title: str | None = None, mouse: bool = True) -> int:
    """Open the screens over these stores until the person leaves.

    Args:
        paths: folders that a person would name.
        unlocked: writing is unlocked from the start, and no engine works there: the sample store.
        title: what stands before the store's name, such as ``demo``.
        mouse: whether the mouse is Orlop's; else the terminal's.

    Returns:
        The exit code: 0, or 128 and the number of the signal that ended it.
    """
    from orlop_tui.gateway import Gateway
    from orlop_tui.terminal import log_to_file

    log_to_file()
    app = OrlopApp(Gateway(paths), paths, unlocked=unlocked, title=title)
    app.run(mouse=mouse)
    return app.return_code or 0
