"""``config show``: what is set, where each thing was set, and the names of all that can be."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli.output import Output
from orlop_tui.settings import Setting, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that a key does."""

    keys: str
    """As the file would spell them."""
    about: str


def show(arguments: argparse.Namespace, settings: Settings, actions: Mapping[str, Action]) -> int:
    """Print every setting as the file would have it.

    Args:
        arguments: ``--origin`` asks for where each comes from.
        settings: as they are now.
        actions: what has keys, by its name.
    """
    output = Output(json=arguments.json)
    output.line(f"# {visible(settings.path)}")
    found = [*_plain(settings), *_keys(settings, actions)]
    for setting, about in found:
        output.record(
            {"type": "setting", "name": setting.name, "value": setting.value, "origin": setting.origin, "about": about}
        )
    texts = [(f"{setting.name} = {_toml(setting.value)}", setting.origin, about) for setting, about in found]
    room = max(format.cells(text) for text, _, _ in texts)
    for number, (text, origin, about) in enumerate(texts):
        if number and "." in text.partition(" ")[0] and "." not in texts[number - 1][0].partition(" ")[0]:
            output.line()
        said = visible(origin) if arguments.origin else about
        output.line(f"{visible(text)}{' ' * (room - format.cells(text))}  # {said}")
    return 0


def _plain(settings: Settings) -> list[tuple[Setting, str]]:
    about = {"theme": "as the palette lists them; empty: the usual one", "mouse": "false leaves it to the terminal"}
    return [(one, about[one.name]) for one in settings.each() if one.name in about]


def _keys(settings: Settings, actions: Mapping[str, Action]) -> list[tuple[Setting, str]]:
    chosen = {one.name: one for one in settings.each()}
    found: list[tuple[Setting, str]] = []
    for name, action in sorted(actions.items()):
        usual = Setting(name=f"keys.{name}", value=action.keys, origin="default")
        found.append((chosen.get(usual.name, usual), action.about))
    return found


def _toml(value: str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
