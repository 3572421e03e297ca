"""The image that a person means, by its key, the start of one, its whole SHA-512, its name, or name and version."""

import re

from orlop.errors import Ambiguous, NotFound
from orlop.records import Key
from orlop.rkt import layout
from orlop.rkt.choosing import Chooser
from orlop.rkt.model import Model
from orlop.rkt.rows import key_of, name_of

_HEX = re.compile(r"[0-9a-f]{2,128}", re.ASCII)
_VERSION = "version"


def find(model: Model, text: str, *, path: str) -> tuple[Key, ...]:
    """The image that a text means, tried in this order: whole key or SHA-512, name, ``name:version``, start of a key.

    Of several with one name it is the one that rkt takes: the one that is marked as
    latest, where no version is asked for, else the newest.

    Args:
        model: what a reading found.
        text: what a person gave; ``sha512-`` before the digits may be left out.
        path: of the store, for the error.

    Raises:
        NotFound: nothing answers.
        Ambiguous: several keys start so.
    """
    key = _whole(text)
    if key in model.images:
        return (Key("", key, None),)
    named = _named(model, text)
    if named is not None:
        return (key_of(model.images[named]),)
    start = key or (text if text.startswith(layout.PREFIX) else f"{layout.PREFIX}{text}")
    if len(start) >= layout.SHORTEST_PREFIX and _HEX.fullmatch(start.removeprefix(layout.PREFIX)):
        found = sorted(known for known in model.images if known.startswith(start))
        if len(found) == 1:
            return (Key("", found[0], None),)
        if found:
            raise Ambiguous(text, found, engine=f'ambiguous image ID: "{text}"')
    raise NotFound(f"no image is called {text!r}", path=path, do="`orlop ls PATH` lists them")


def _whole(text: str) -> str:
    """The key that a whole key, or the whole SHA-512 of an archive, gives; else an empty text."""
    digits = text.removeprefix(layout.PREFIX)
    if len(digits) in (64, 128) and _HEX.fullmatch(digits):
        return layout.PREFIX + digits[:64]
    return ""


def _named(model: Model, text: str) -> str | None:
    """Key of the image for a name, or for a name and a version."""
    contents = model.catalogue.contents
    chooser = Chooser(contents.images, {key: image.manifest for key, image in model.images.items()})
    name, _, version = text.rpartition(":")
    for wanted, labels in ((text, ()), (name, ((_VERSION, version),))):
        if wanted and (key := chooser.named(wanted, labels)) is not None:
            return key
    # Images without a readable manifest, or without a row, which rkt does not find by name.
    left = [image for image in model.images.values() if text in (name_of(image), key_of(image).name)]
    left.sort(key=lambda image: (image.row is not None, image.row.imported if image.row else 0, image.key))
    return left[-1].key if left else None
