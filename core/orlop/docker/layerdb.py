"""Layer records and container mounts: layerdb.

moby: layer/filestore.go (which files, how each is trimmed), layer/layer_store.go
(loadLayer and the words it gives at debug level).
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Set
from functools import partial
from sys import intern

from orlop import times
from orlop.digest import chain_ids, is_digest, is_hex
from orlop.docker import layout
from orlop.docker.area import Area, Reading, scan, stamp
from orlop.docker.model import NO_PROBLEMS, Layer, Mount
from orlop.docker.remembering import Memory
from orlop.errors import NoPermission, NotFound, OrlopError
from orlop.fs import Folder, Root
from orlop.progress import Progress

_CACHE_ID = re.compile(r"[0-9a-z]{2,64}", re.ASCII)
"""64 hex digits; from 18.09 the engine takes any text, and BuildKit's layers have 25 digits and letters."""
_MOUNT_ID = re.compile(r"[0-9a-f]{64}(-init)?", re.ASCII)
_SIZE = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_PLAIN_SIZE = re.compile(rb"[0-9]{1,18}")
_PLAIN_CACHE_ID = re.compile(rb"[0-9a-z]{2,64}")
_FILES = ("diff", "size", "cache-id", "parent")
_SMALL = 4096
"""Bytes that a record's small files may have."""


def scan_records(
    root: Root,
    driver: str,
    data_names: Mapping[str, str] | None,
    *,
    previous: Area[Layer] | None,
    touched: Set[str] | None,
    moved: Set[str] | None,
    progress: Progress,
    memory: Memory | None = None,
) -> Area[Layer]:
    """Read the layer records of a driver, as `orlop.docker.area.scan`.

    Args:
        data_names: as for `record`.
        moved: names in the driver's folder that came or went since; None: any may have.
        memory: what was read before.
    """
    now = times.now()
    reading = Reading(
        path=layout.layers(driver),
        read=partial(record, driver, data_names, now=now)
        if memory is None or not memory.has_layers
        else partial(_remembered, memory, driver, data_names, now),
        wanted=is_hex,
        same=partial(same, now=now) if moved is not None else None,
        what="layer records",
    )
    again: Set[str] = frozenset()
    if moved and previous is not None:
        again = {name for name, layer in previous.entries.items() if layer.cache_id in moved}
    if moved is None:
        touched = None
    return scan(root, reading, previous=previous, touched=touched, again=again, progress=progress)


def _remembered(
    memory: Memory, driver: str, data_names: Mapping[str, str] | None, now: int, folder: Folder, name: str, kind: str
) -> Layer:
    """As `record`; what was read in the same version is not read again."""
    if kind == "folder":
        stamped = stamp(now, *(folder.stat_inside(name, file) for file in _FILES))
        if stamped and (known := memory.layer(driver, data_names, name, stamped)) is not None:
            return known
    return record(driver, data_names, folder, name, kind, now=now)


def record(
    driver: str, data_names: Mapping[str, str] | None, folder: Folder, name: str, kind: str, *, now: int = 0
) -> Layer:
    """Read one layer record; what is wrong with it becomes `Layer.problems`.

    Args:
        driver: the storage driver.
        data_names: names in the driver's folder with their kinds; None where it cannot be listed.
        folder: layerdb/sha256.
        name: the record's name, 64 hex digits.
        kind: what the name is.
        now: as for `stamp`.

    Raises:
        NotFound: it went away.
        NoPermission: this user may not read it, which is no fault of the record.
    """
    if kind == "folder" and (quick := _sound(driver, data_names, folder, name, now)) is not None:
        return quick
    chain_id = intern("sha256:" + name)
    if kind != "folder":
        why = f"a {kind} is in the place of the record's folder"
        return Layer(chain_id=chain_id, diff_id=None, parent=None, size=None, cache_id=None, problems={".": why})
    problems: dict[str, str] = {}
    words: list[str] = []

    def text(file: str, strip: bool = True) -> str | None:
        """One small file; None where it is absent or cannot be read, which goes to the problems."""
        try:
            value = here.read(file, _SMALL).decode("utf-8", "surrogateescape")
        except NotFound as error:
            if file != "parent":
                problems[file] = "missing"
                words.append(
                    _failed(file, chain_id, f"open {layout.spelled(error.path or file)}: no such file or directory")
                )
            return None
        except NoPermission:
            raise
        except OrlopError as error:
            problems[file] = error.what if not error.why else f"{error.what}: {error.why}"
            words.append(_failed(file, chain_id, error.why or error.what))
            return None
        return value.strip(" \t\n\r\v\f") if strip else value

    def digest(file: str) -> str | None:
        value = text(file)
        if value is None or is_digest(value):
            return value
        problems[file] = "empty" if not value else "not a digest"
        words.append(_failed(file, chain_id, _digest_words(value)))
        return None

    with folder.folder(name) as here:
        diff_id = digest("diff")
        size = _size(text("size", strip=False), problems, words, chain_id)
        cache_id = _cache_id(text("cache-id"), problems, words, chain_id)
        parent = digest("parent")
    if len(problems) >= 3 and all(why == "missing" for why in problems.values()):
        problems = {".": "the record's folder is empty"}
    lost = not problems and diff_id is not None and not _agrees(chain_id, parent, diff_id)
    path = layout.layer_data(driver, cache_id) if cache_id is not None else None
    return Layer(
        chain_id=chain_id,
        diff_id=diff_id,
        parent=parent,
        size=size,
        cache_id=cache_id,
        problems=problems,
        engine_says=f"Failed to load layer {chain_id}: {words[0]}" if words else "",
        parent_lost=lost,
        data=path is None or data_names is None or data_names.get(cache_id or "") == "folder",
        data_path=path,
    )


def _sound(driver: str, data_names: Mapping[str, str] | None, folder: Folder, name: str, now: int) -> Layer | None:
    """What `record` gives for a record with nothing wrong and nothing unusual in it; None for any other."""
    try:
        with folder.folder(name) as here:
            diff_id, *stats = here.read_listed("diff", _SMALL)
            size, found = here.read_listed("size", _SMALL)
            cache_id, found_too = here.read_listed("cache-id", _SMALL)
            stats += [found, found_too]
            parent, stat_of_parent = _parent(here)
    except OrlopError:
        return None  # looked at once more, one by one
    chain_id = intern("sha256:" + name)
    if not (_DIGEST.fullmatch(diff_id) and _PLAIN_SIZE.fullmatch(size) and _PLAIN_CACHE_ID.fullmatch(cache_id)):
        return None
    if parent is None:
        if diff_id[7:].decode() != name:
            return None
    elif not _DIGEST.fullmatch(parent) or hashlib.sha256(parent + b" " + diff_id).hexdigest() != name:
        return None
    cache = intern(cache_id.decode())
    path = layout.layer_data(driver, cache)
    return Layer(
        chain_id=chain_id,
        diff_id=intern(diff_id.decode()),
        parent=intern(parent.decode()) if parent is not None else None,
        size=int(size),
        cache_id=cache,
        problems=NO_PROBLEMS,
        data=path is None or data_names is None or data_names.get(cache) == "folder",
        data_path=path,
        stamp=stamp(now, *stats, stat_of_parent),
    )


def _parent(here: Folder) -> tuple[bytes | None, os.stat_result | None]:
    try:
        return here.read_listed("parent", _SMALL)
    except NotFound:
        return None, None


def same(folder: Folder, name: str, kind: str, layer: Layer, *, now: int) -> bool:
    """Whether a record without problems is the one that was read, told by the times of its files."""
    if kind != "folder" or layer.stamp == 0:
        return False
    return stamp(now, *(folder.stat_inside(name, file) for file in _FILES)) == layer.stamp


def mount(known: frozenset[str], folder: Folder, name: str, kind: str) -> Mount:
    """Read one container's mount record.

    Args:
        known: ids of the containers that have a folder.
        folder: layerdb/mounts.
        name: the container's id.
        kind: what the name is.

    Raises:
        NotFound: it went away.
        NoPermission: this user may not read it.
    """
    if kind != "folder":
        why = f"a {kind} is in the place of the record's folder"
        return Mount(name=name, mount_id=None, init_id=None, parent=None, problem=why, container_known=name in known)
    problems: list[str] = []

    def text(file: str, *, needed: bool) -> str | None:
        try:
            return here.read(file, _SMALL).decode("utf-8", "surrogateescape").strip(" \t\n\r\v\f")
        except NotFound:
            if needed:
                problems.append(f"{file} is missing")
        except NoPermission:
            raise
        except OrlopError as error:
            problems.append(f"{file}: {error.why or error.what}")
        return None

    with folder.folder(name) as here:
        ids = {file: text(file, needed=file == "mount-id") for file in ("mount-id", "init-id")}
        parent = text("parent", needed=False)
    for file, value in ids.items():
        if value is not None and _MOUNT_ID.fullmatch(value) is None:
            problems.append(f"{file} is {'empty' if not value else 'no id'}")
            ids[file] = None
    if parent is not None and not is_digest(parent):
        problems.append("parent is no digest")
        parent = None
    return Mount(
        name=name,
        mount_id=ids["mount-id"],
        init_id=ids["init-id"],
        parent=parent,
        problem="; ".join(problems),
        container_known=name in known,
    )


def is_mount(name: str) -> bool:
    """Whether a name below layerdb/mounts can be a container's."""
    return is_hex(name)


def _agrees(chain_id: str, parent: str | None, diff_id: str) -> bool:
    """Whether parent and diff give the chain id that the folder is named by."""
    return chain_ids((diff_id,) if parent is None else (parent, diff_id))[-1] == chain_id


def _size(value: str | None, problems: dict[str, str], words: list[str], chain_id: str) -> int | None:
    if value is None:
        return None
    if _SIZE.fullmatch(value) is not None and abs(int(value)) < 1 << 63:
        return int(value)
    problems["size"] = "empty" if not value else "not a decimal number"
    words.append(
        _failed("size", chain_id, f"strconv.ParseInt: parsing {json.dumps(value, ensure_ascii=False)}: invalid syntax")
    )
    return None


def _cache_id(value: str | None, problems: dict[str, str], words: list[str], chain_id: str) -> str | None:
    if value is None or _CACHE_ID.fullmatch(value) is not None:
        return value
    problems["cache-id"] = "empty" if not value else "no name of a layer's folder"
    words.append(_failed("cache-id", chain_id, "invalid cache id value"))
    return None


def _failed(file: str, chain_id: str, why: str) -> str:
    what = {"diff": "diff id", "cache-id": "cache id"}.get(file, file)
    return f"failed to get {what} for {chain_id}: {why}"


def _digest_words(value: str) -> str:
    """go-digest's words for a text that is no digest (digest.go, Validate)."""
    algorithm, colon, rest = value.partition(":")
    if not colon or not algorithm or not rest:
        return "invalid checksum digest format"
    if algorithm != "sha256":
        return "unsupported digest algorithm"
    return "invalid checksum digest length" if len(rest) != 64 else "invalid checksum digest format"
