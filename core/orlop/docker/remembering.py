"""What configs and layer records said in the versions that they have, in tables for `orlop.remembered`.

Only what needs no word is kept: configs whose digest held and that the engine reads,
records without a fault. An entry counts while the file has the version that it had when
it was hashed and parsed (`orlop.docker.area.stamp`); what rots under an unchanged version
shows when its bytes are hashed again, which a check of contents does.
"""

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from sys import intern
from typing import Any

from orlop.docker import layout
from orlop.docker.model import NO_PROBLEMS, ConfigState, Image, Layer
from orlop.errors import OrlopError
from orlop.remembered import Remembered

Stack = tuple[tuple[str, ...], tuple[str, ...]]
"""Diff ids and chain ids."""

_CONFIG = struct.Struct(">32sQIqIHI")
"""Name, stamp, bytes, creation time as seconds and nanoseconds, platform and stack by their number.

Many builders give Go's zero time, of the year 1: in nanoseconds it does not fit into 64 bits.
"""
_LAYER = struct.Struct(">32sQ32s32sq64s")
"""Name, stamp, diff id, parent (zeros: none), size, cache id."""
_COUNT = struct.Struct(">H")
_NEVER = (-(1 << 63), 0)
_SECOND = 1_000_000_000
_NOTHING = bytes(32)
_MOST = 60_000
_FEW = 64
"""So many entries that are not remembered yet are read again rather than all be written anew."""


class Memory:
    """What was read of one store before, and what is to be remembered of it now."""

    def __init__(self, remembered: Remembered | None) -> None:
        self._remembered = remembered
        tables = remembered.tables() if remembered is not None else {}
        self._configs = _Table(_CONFIG, tables.get("images", b""))
        self._layers = _Table(_LAYER, tables.get("layers", b""))
        self._diff_ids = tables.get("diff ids", b"")
        self._spelled = tables.get("stacks", b"")
        self._platforms = tables.get("platforms", b"").decode("utf-8", "surrogateescape").split("\0")
        self._stacks: list[Stack] = []

    @property
    def has_configs(self) -> bool:
        return len(self._configs) > 0

    @property
    def has_layers(self) -> bool:
        return len(self._layers) > 0

    def share(self, stack: Callable[[tuple[str, ...]], Stack]) -> None:
        """Make the stacks of layers, by whoever keeps each once."""
        diff_ids = [
            intern("sha256:" + self._diff_ids[at : at + 32].hex()) for at in range(0, len(self._diff_ids) - 31, 32)
        ]
        for numbers in _numbers(self._spelled):
            self._stacks.append(stack(tuple(diff_ids[number] for number in numbers)))

    def image(self, name: str, stamp: int, identity: str) -> Image | None:
        """The config of this name if it was read in this version."""
        found = self._configs.find(bytes.fromhex(name))
        if found is None or found[1] != stamp:
            return None
        self._configs.hits += 1
        created = (found[3], found[4])
        diff_ids, chain = self._stacks[found[6]]
        return Image(
            id=identity,
            config=ConfigState.GOOD,
            why="",
            engine_says="",
            size=found[2],
            created=created[0] * _SECOND + created[1] if created != _NEVER else None,
            platform=self._platforms[found[5]],
            diff_ids=diff_ids,
            chain=chain,
            parent=None,
            stamp=stamp,
        )

    def layer(self, driver: str, data_names: Mapping[str, str] | None, name: str, stamp: int) -> Layer | None:
        """The layer record of this name if it was read in this version."""
        found = self._layers.find(bytes.fromhex(name))
        if found is None or found[1] != stamp:
            return None
        self._layers.hits += 1
        cache_id = intern(found[5].rstrip(b"\0").decode("ascii"))
        path = layout.layer_data(driver, cache_id)
        return Layer(
            chain_id=intern("sha256:" + name),
            diff_id=intern("sha256:" + found[2].hex()),
            parent=intern("sha256:" + found[3].hex()) if found[3] != _NOTHING else None,
            size=found[4],
            cache_id=cache_id,
            problems=NO_PROBLEMS,
            data=path is None or data_names is None or data_names.get(cache_id) == "folder",
            data_path=path,
            stamp=stamp,
        )

    def keep(self, images: Iterable[Image], layers: Iterable[Layer]) -> None:
        """Remember what was read, unless nearly all of it is; where it cannot be written, nothing is lost but time."""
        if self._remembered is None:
            return
        good = [image for image in images if image.stamp and image.config is ConfigState.GOOD]
        sound = [layer for layer in layers if layer.stamp]
        missed = len(good) + len(sound) - self._configs.hits - self._layers.hits
        gone = len(self._configs) + len(self._layers) - self._configs.hits - self._layers.hits
        if missed > _FEW or gone > len(good) + len(sound):
            with suppress(OrlopError):  # a full disk, a folder that is not ours: the next run reads all again
                self._remembered.save(_tables(good, sound))
        self.forget()

    def forget(self) -> None:
        """Let go of the memory that the tables take."""
        self._configs = _Table(_CONFIG, b"")
        self._layers = _Table(_LAYER, b"")
        self._stacks = []
        self._diff_ids = self._spelled = b""


class _Table:
    """Records of one length, sorted by their first 32 bytes; who asks in that order is answered at once."""

    def __init__(self, form: struct.Struct, data: bytes) -> None:
        self._form = form
        self._data = data if len(data) % form.size == 0 else b""
        self._at = 0
        self.hits = 0

    def __len__(self) -> int:
        return len(self._data) // self._form.size

    def find(self, key: bytes) -> tuple[Any, ...] | None:
        """The record with this name."""
        size, data, at = self._form.size, self._data, self._at
        if data[at : at + 32] != key:
            at = size * bisect_left(range(len(self)), key, key=lambda i: data[i * size : i * size + 32])
            if data[at : at + 32] != key:
                return None
        self._at = at + size
        return self._form.unpack_from(data, at)


def _numbers(spelled: bytes) -> Iterator[tuple[int, ...]]:
    at = 0
    while at + _COUNT.size <= len(spelled):
        (count,) = _COUNT.unpack_from(spelled, at)
        at += _COUNT.size
        yield struct.unpack_from(f">{count}I", spelled, at)
        at += 4 * count


def _tables(images: Iterable[Image], layers: Iterable[Layer]) -> dict[str, bytes]:
    numbers: dict[str, int] = {}
    stacks: dict[tuple[str, ...], int] = {}
    platforms: dict[str, int] = {}
    spelled: list[bytes] = []
    configs: list[bytes] = []
    for image in sorted(images, key=lambda image: image.id):
        if "\0" in image.platform or len(platforms) > _MOST or len(image.diff_ids) > _MOST:
            continue
        stack = stacks.get(image.diff_ids)
        if stack is None:
            stack = stacks[image.diff_ids] = len(stacks)
            each = [numbers.setdefault(diff_id, len(numbers)) for diff_id in image.diff_ids]
            spelled.append(_COUNT.pack(len(each)) + struct.pack(f">{len(each)}I", *each))
        created = _NEVER if image.created is None else divmod(image.created, _SECOND)
        platform = platforms.setdefault(image.platform, len(platforms))
        configs.append(_CONFIG.pack(_bytes(image.id), image.stamp, image.size, *created, platform, stack))
    return {
        "images": b"".join(configs),
        "layers": b"".join(_layer(layer) for layer in sorted(layers, key=lambda layer: layer.chain_id)),
        "diff ids": b"".join(map(_bytes, numbers)),
        "stacks": b"".join(spelled),
        "platforms": "\0".join(platforms).encode("utf-8", "surrogateescape"),
    }


def _layer(layer: Layer) -> bytes:
    assert layer.diff_id is not None
    assert layer.size is not None
    assert layer.cache_id is not None
    parent = _bytes(layer.parent) if layer.parent is not None else _NOTHING
    cache_id = layer.cache_id.encode("ascii")
    return _LAYER.pack(_bytes(layer.chain_id), layer.stamp, _bytes(layer.diff_id), parent, layer.size, cache_id)


def _bytes(digest: str) -> bytes:
    return bytes.fromhex(digest[7:])
