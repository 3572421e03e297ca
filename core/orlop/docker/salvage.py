"""Names that can still be read where the file of names cannot: guesses, each with where it comes from.

What is left of the file itself comes first; then what containers' records say that they
were made from (``Config.Image`` of config.v2.json), which is the name a person gave.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orlop import reference
from orlop.docker.model import ConfigState, Model
from orlop.errors import Malformed

_ENTRY = re.compile(rb'"((?:[^"\\\x00-\x1f]|\\.){1,1024})"\s*:\s*"(sha256:[0-9a-f]{64})"')
"""One entry of the file, wherever it was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """One name."""

    repository: str
    text: str
    """In its short spelling, with tag or digest."""
    image: str
    because: str
    """One clause."""


def salvaged(model: Model) -> tuple[tuple[Salvaged, ...], tuple[str, ...]]:
    """Names of images that are in the store, sorted, and clauses on those that nothing can tell.

    A name for which two sources differ is given to neither image.
    """
    found: dict[str, Salvaged] = {}
    doubtful: set[str] = set()
    for name in _left(model):
        found[name.text] = name  # of two, the engine takes the last
    for name in _of_containers(model):
        known = found.get(name.text)
        if known is None:
            found[name.text] = name
        elif known.image != name.image and known.because == name.because:
            doubtful.add(name.text)
    for text in doubtful:
        del found[text]
    remarks = tuple(f"{text} is given to none: containers differ in what it means" for text in sorted(doubtful))
    return tuple(found[text] for text in sorted(found)), remarks


def _left(model: Model) -> Iterator[Salvaged]:
    for text, image in _ENTRY.findall(model.tags.raw or b""):
        try:
            name = json.loads(b'"' + text + b'"')
        except ValueError:
            continue
        yield from _named(model, name, image.decode("ascii"), "the damaged file still says so")


def _of_containers(model: Model) -> Iterator[Salvaged]:
    for container in sorted(model.containers.values(), key=lambda one: one.id):
        if container.image is not None and container.driver in ("", model.driver):
            yield from _named(model, container.image_name, container.image, "a container was made from it by this name")


def _named(model: Model, text: str, image: str, because: str) -> Iterator[Salvaged]:
    found = model.images.get(image)
    if found is None or found.config is not ConfigState.GOOD or not text:
        return
    if image.removeprefix("sha256:").startswith(text.removeprefix("sha256:")):
        return  # it was made from an id, or from the beginning of one
    try:
        name = reference.with_default_tag(reference.parse(text))
    except Malformed:
        return
    yield Salvaged(repository=name.repository, text=name.familiar, image=image, because=because)
