"""The keys of the browser that a person chose themselves: checked before the screens open."""

from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, _character_to_key

from orlop_tui.screens.browse import Browse
from orlop_tui.settings import BadSettings, nearest
from orlop_tui.widgets.lines import LinesView
from orlop_tui.widgets.store_table import StoreTable

_NODES: tuple[type[DOMNode], ...] = (Browse, StoreTable, LinesView)

_TERMINALS = {
    "ctrl+c": "Orlop's own: it stops a job",
    "ctrl+h": "what many terminals send for Backspace",
    "ctrl+i": "what terminals send for Tab",
    "ctrl+j": "what terminals send for Enter",
    "ctrl+m": "what terminals send for Enter",
    "ctrl+q": "the terminal's, to go on",
    "ctrl+s": "the terminal's, to hold on",
    "ctrl+z": "the terminal's, to suspend",
    "ctrl+@": "what few terminals send",
    "ctrl+space": "what few terminals send",
}
"""Keys that no action can have, and whose they are."""

_APPLIES = {"D", "shift+d"}
"""Keys that do what a dialog shows: were one to open a dialog, too, the same key twice would change a store."""
_ENDS = {"F", "U", "shift+f", "shift+u"}
"""The same of the dialog about a change that was cut off."""
_LEAD_TO_ENDS = frozenset({"undo", "journal"})

_NAMED = frozenset(key.value for key in Keys)


def bindings() -> dict[str, Binding]:
    """Every action of the browser that can have other keys, by its id; ``key`` lists them all, commas between."""
    found: dict[str, Binding] = {}
    for node in _NODES:
        for _, binding in _own(node):
            if binding.id in found:
                known = found[binding.id].key.split(",")
                keys = ",".join(dict.fromkeys([*known, binding.key]))
                found[binding.id] = found[binding.id].with_key(key=keys)
            elif binding.id:
                found[binding.id] = binding
    return found


def checked(chosen: Mapping[str, str], path: str) -> dict[str, str]:
    """Keys as the framework takes them, by the id of the action.

    Args:
        chosen: as a person wrote them, by id.
        path: of the file, for what is said of mistakes.

    Raises:
        BadSettings: no action has that id, a key is none, is not free, or means two things.
    """
    known = bindings()
    found = {name: ",".join(_keys(name, text, path)) for name, text in chosen.items() if _is_known(name, known, path)}
    taken: dict[str, str] = {}
    for name, binding in known.items():
        for key in found.get(name, binding.key).split(","):
            other = taken.setdefault(key, name)
            if other != name and (other in found or name in found):
                first, second = sorted((name, other))
                why = f"{_spelled(key)} would mean both {first} ({known[first].description}) and {second}"
                raise _wrong(path, why, f"give {other if name in found else name} another key, too")
    return found


def spelled(keys: str) -> str:
    """Keys as a person would write them: characters for the framework's names."""
    return ", ".join(_spelled(key) for key in keys.split(","))


def _own(node: type[DOMNode]) -> Iterator[tuple[str, Binding]]:
    for key, binding in node._merged_bindings or ():
        if binding.id and not binding.system:
            yield key, binding


def _is_known(name: str, known: Mapping[str, Binding], path: str) -> bool:
    if name in known:
        return True
    do = nearest(name, known) or "`orlop config show` lists the actions' names"
    raise _wrong(path, f"keys.{name}: there is no such action", do)


def _keys(name: str, text: str, path: str) -> Iterator[str]:
    for spelled in text.split(",") if text.strip() != "," else [text]:
        key = spelled.strip()
        *modifiers, last = key.split("+") if len(key) > 1 else [key]
        if not key or not set(modifiers) <= {"ctrl", "shift", "alt"} or not _is_key(last):
            why = f"keys.{name}: {key!r} is no key"
            raise _wrong(path, why, "write a character, f1, or a name such as ctrl+g, pagedown, shift+left")
        if key in _TERMINALS:
            raise _wrong(path, f"keys.{name}: {key} is {_TERMINALS[key]}", "choose another key")
        if key in _APPLIES or (key in _ENDS and name in _LEAD_TO_ENDS):
            why = f"keys.{name}: {key} does what a dialog shows, and must not be the key that opens one"
            raise _wrong(path, why, "choose another key")
        yield _character_to_key(key) if len(key) == 1 else key


def _is_key(last: str) -> bool:
    return (len(last) == 1 and last.isprintable()) or last in _NAMED


def _spelled(key: str) -> str:
    return next((char for char in map(chr, range(33, 127)) if _character_to_key(char) == key), key)


def _wrong(path: str, why: str, do: str) -> BadSettings:
    return BadSettings("the settings cannot be used", path=path, why=why, do=do)
