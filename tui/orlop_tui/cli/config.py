"""An image's config as lines for people."""

import json
from collections.abc import Iterator, Mapping

from orlop.text import visible

_ELSEWHERE = frozenset({"history", "rootfs", "created"})
"""Members that ``show`` prints in parts of their own."""


def config_lines(config: object) -> list[str]:
    """The members of a config, empty ones left out, nested ones indented; every line safe."""
    if not isinstance(config, Mapping):
        return []
    members = ((name, value) for name, value in config.items() if name.lower() not in _ELSEWHERE)
    return [line for name, value in members if not _empty(value) for line in _member(name, value)]


def _member(name: str, value: object) -> Iterator[str]:
    label = visible(name)
    if isinstance(value, Mapping):
        yield f"{label}:"
        for key, item in value.items():
            yield from (f"  {line}" for line in _nested(name, key, item))
    elif isinstance(value, list) and name.lower() == "env":
        yield f"{label}:"
        yield from (f"  {_scalar(item)}" for item in value)
    else:
        yield f"{label}: {_scalar(value)}"


def _nested(above: str, name: str, value: object) -> Iterator[str]:
    """A member of a member; sets (ports, volumes: names with nothing behind) and empty labels keep their names."""
    if not _empty(value):
        yield from _member(name, value)
    elif isinstance(value, Mapping) or above.lower() == "labels":
        yield visible(name)


def _scalar(value: object) -> str:
    """A value on one line: a text as it is, anything else as JSON."""
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _empty(value: object) -> bool:
    return value is None or value == "" or value is False or (isinstance(value, list | Mapping) and not value)
