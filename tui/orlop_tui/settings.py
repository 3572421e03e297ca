"""What a person set: one TOML file, the environment over it, the command line over both.

::

    theme = "ansi-light"          # a theme's name, as the palette lists them
    mouse = false                 # the terminal keeps the mouse

    [keys]                        # an action's name, and the keys that do it
    delete = "delete"
    journal = "ctrl+g, J"

The names of actions are those that ``orlop config show`` lists. Every setting knows
where it comes from. What the file says wrongly is an error that names the line's key
and the nearest word that would be right: nothing is silently left out.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orlop.errors import NotFound, OrlopError
from orlop.fs import Root

LIMIT = 1 << 20
"""Bytes of the file at most."""

_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

DEFAULT = "default"
"""The origin of what nobody set."""


class BadSettings(OrlopError):
    """What a person set cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set, as it is now."""

    name: str
    """As the file spells it; ``keys.delete`` for a key."""
    value: str | bool
    origin: str
    """``default``, the file's path, ``ORLOP_THEME`` in the environment, ``--theme``"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that was set."""

    theme: str = ""
    """A theme's name; empty: Textual's own choice."""
    mouse: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys by the id of the binding that they replace, as the file spells them, commas between."""
    path: str = ""
    """The file, whether it is there or not."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each setting that is not the default comes from, by its name."""

    def each(self) -> Iterator[Setting]:
        """Every setting with its origin; keys that were not set have the default's empty value left out."""
        yield Setting(name="theme", value=self.theme, origin=self.origins.get("theme", DEFAULT))
        yield Setting(name="mouse", value=self.mouse, origin=self.origins.get("mouse", DEFAULT))
        for name, keys in sorted(self.keys.items()):
            yield Setting(name=f"keys.{name}", value=keys, origin=self.origins.get(f"keys.{name}", DEFAULT))


def path_of(environ: Mapping[str, str]) -> str:
    """Where the file is: ``ORLOP_CONFIG``, else in the user's configuration folder; it need not be there."""
    if named := environ.get("ORLOP_CONFIG"):
        return os.path.expanduser(named)
    import platformdirs

    return os.path.join(platformdirs.user_config_dir("orlop"), "config.toml")


def load(environ: Mapping[str, str], *, theme: str | None = None, mouse: bool | None = None) -> Settings:
    """Everything that was set.

    Args:
        environ: ``ORLOP_CONFIG``, ``ORLOP_THEME``, ``ORLOP_MOUSE``; empty ones count for nothing.
        theme: as the command line says, above all else; None: it says nothing.
        mouse: likewise.

    Raises:
        BadSettings: the file or the environment says what cannot be.
        NotFound: the file that ``ORLOP_CONFIG`` names is not there.
        NoPermission, StorageFailure, TooLarge: the file cannot be read.
    """
    path = path_of(environ)
    found: dict[str, object] = {}
    origins: dict[str, str] = {}
    for name, value in _in_file(path, must_be=bool(environ.get("ORLOP_CONFIG"))):
        found[name], origins[name] = value, path
    for variable, name, read in (("ORLOP_THEME", "theme", _text), ("ORLOP_MOUSE", "mouse", _boolean)):
        if text := environ.get(variable):
            found[name], origins[name] = read(variable, text), f"{variable} in the environment"
    for option, name, said in (("--theme", "theme", theme), ("--no-mouse", "mouse", mouse)):
        if said is not None:
            found[name], origins[name] = said, option
    keys = {name.removeprefix("keys."): str(value) for name, value in found.items() if name.startswith("keys.")}
    return Settings(theme=str(found.get("theme", "")), mouse=bool(found.get("mouse", True)), keys=keys, origins=origins)


def nearest(word: str, known: Iterable[str]) -> str:
    """What to do about a word that is not known: the nearest one, where there is any."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


# --- the file


def _in_file(path: str, *, must_be: bool) -> Iterator[tuple[str, object]]:
    folder, name = os.path.split(path)
    try:
        with Root.open(folder or ".") as root:
            data = root.read(name, LIMIT)
    except NotFound:
        if must_be:
            raise
        return
    except OrlopError as error:
        error.path = path
        raise
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # not UTF-8, or no TOML
        raise BadSettings(
            "the settings cannot be read", path=path, why=str(error), do="mend or remove the file"
        ) from error
    yield from _settings(path, table)


def _settings(path: str, table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    known: dict[str, Callable[[str, str, object], object]] = {"theme": _string, "mouse": _truth}
    for name, value in table.items():
        if name == "keys":
            yield from _keys(path, value)
        elif name in known:
            yield name, known[name](path, name, value)
        else:
            raise _wrong(path, f"there is no setting {name!r}", nearest(name, (*known, "keys")))


def _keys(path: str, value: object) -> Iterator[tuple[str, object]]:
    if not isinstance(value, Mapping):
        raise _wrong(path, "keys is no table", 'write [keys], and below it lines such as delete = "delete"')
    for name, keys in value.items():
        text = _string(path, f"keys.{name}", keys)
        if not text.strip(", "):
            raise _wrong(path, f"keys.{name} is empty", "an action cannot be left without a key; remove the line")
        yield f"keys.{name}", text


def _string(path: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(path, f"{name} is no text", f'write {name.rpartition(".")[2]} = "…"')
    return value


def _truth(path: str, name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, f"{name} is neither true nor false", f"write {name} = false")
    return value


def _text(variable: str, text: str) -> object:
    return text


def _boolean(variable: str, text: str) -> object:
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise BadSettings(f"{variable} is neither yes nor no", why=f"it is {text!r}", do=f"{variable}=no")
    return found


def _wrong(path: str, why: str, do: str) -> BadSettings:
    return BadSettings("the settings cannot be used", path=path, why=why, do=do or "`orlop config show` lists them")
