"""Folders of links: ``<alg>/<hex>/link`` below ``_layers``, ``revisions`` and a tag's ``index``.

Damage is a value, never an error. What a link may hold: `orlop.registry.links`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern

from orlop.digest import ALGORITHMS, Digest
from orlop.errors import Malformed, NotFound, OrlopError, TooLarge
from orlop.fs import Folder
from orlop.registry import layout, usual
from orlop.registry.loose import (
    Loose,
    Stamp,
    digest_text,
    folder_stamp,
    is_hex,
    read_file,
    state_of,
)
from orlop.registry.model import Link, State

_LIMIT = 1024  # the longest digest has 135 bytes
_USUAL = re.compile(rb"sha256:[0-9a-f]{64}")
_TARSUM = "tarsum"


@dataclass(slots=True)
class Links:
    """What a folder of links holds."""

    links: dict[str, Link] = field(default_factory=dict)
    emptied: set[str] = field(default_factory=set)
    """Digests whose folder is there without a link."""
    signed: set[str] = field(default_factory=set)
    """Digests with a ``signatures`` folder."""
    signatures: set[str] = field(default_factory=set)
    """Digests that the links in those folders spell and mean."""
    stamps: dict[str, Stamp | None] = field(default_factory=dict)
    """By path, of the folders whose names are digests, and of those above."""


def read_links(folder: Folder, where: str, loose: Loose, now: int) -> Links:
    """Every link below a folder of algorithms.

    Links under the tarsum digests of early registries are read as well; their `named` is the
    whole digest, ``tarsum.v1+sha256:…``.

    Args:
        folder: ``_layers``, ``revisions`` or ``index``; it stays open.
        where: for what is foreign there.
        loose: gets what is foreign or unreadable.
        now: the time of the reading, nanoseconds.
    """
    found = Links()
    found.stamps[folder.path] = folder_stamp(folder, now)
    folders, *others = loose.listing(folder)
    for name in (name for names in others for name in names):
        loose.stray(folder, name, where)
    for name in folders:
        if name not in ALGORITHMS and name != _TARSUM:
            loose.stray(folder, name, where)
            continue
        inner = loose.folder(folder, name)
        if inner is None:
            continue
        with inner:
            if name == _TARSUM:
                _read_tarsum(inner, where, loose, found, now)
            else:
                _read_algorithm(inner, name, name, where, loose, found, now)
    return found


def _read_tarsum(folder: Folder, where: str, loose: Loose, found: Links, now: int) -> None:
    """``tarsum/<version>/<alg>/<hex>/link``, as registries up to 2.0 made beside the canonical link."""
    for version, _ in (item for item in loose.kinds(folder) if item[1] == "folder"):
        inner = loose.folder(folder, version)
        if inner is None:
            continue
        with inner:
            for name, kind in loose.kinds(inner):
                if kind == "folder" and name in ALGORITHMS and (last := loose.folder(inner, name)) is not None:
                    with last:
                        _read_algorithm(last, f"{_TARSUM}.{version}+{name}", name, where, loose, found, now)


def _read_algorithm(
    folder: Folder, prefix: str, algorithm: str, where: str, loose: Loose, found: Links, now: int
) -> None:
    found.stamps[folder.path] = folder_stamp(folder, now)
    names, *strays = loose.listing(folder)
    for name in (stray for listed in strays for stray in listed):
        loose.stray(folder, name, where)
    for name in names:
        if not is_hex(algorithm, name):
            loose.stray(folder, name, where)
            continue
        named = digest_text(prefix, name)
        quick = usual.link(folder.fd, folder.path, name, named)
        if quick is not None:
            found.links[named] = quick
            continue
        inner = loose.folder(folder, name)
        if inner is None:
            continue
        with inner:
            link, others = read_link_folder(inner, named, where, loose)
            if others.get(layout.SIGNATURES) == "folder" and where == "revisions":
                _read_signatures(inner, loose, found, now)
        if link is not None:
            found.links[named] = link
        else:
            found.emptied.add(named)
        if layout.SIGNATURES in others:
            found.signed.add(named)


def _read_signatures(folder: Folder, loose: Loose, found: Links, now: int) -> None:
    inner = loose.folder(folder, layout.SIGNATURES)
    if inner is None:
        return
    with inner:
        for named, link in read_links(inner, layout.SIGNATURES, loose, now).links.items():
            found.signatures.add(named)
            if link.target is not None:
                found.signatures.add(link.target)


def read_link_folder(folder: Folder, named: str, where: str, loose: Loose) -> tuple[Link | None, Mapping[str, str]]:
    """The link in an open folder, None where there is none; and what else is there by kind.

    The folder of signatures beside the link of a revision is no stray.
    """
    kinds = loose.kinds(folder)
    link: Link | None = None
    others: dict[str, str] = {}
    for name, kind in kinds:
        if name == layout.LINK:
            link = _read(folder, named, kind)
        else:
            others[name] = kind
            if name != layout.SIGNATURES or kind != "folder" or where != "revisions":
                loose.stray(folder, name, where)
    return link, others


def _read(folder: Folder, named: str, kind: str) -> Link | None:
    path = f"{folder.path}/{layout.LINK}"
    if kind != "file":
        return Link(path=path, named=named, target=None, state=State.WRONG_KIND, why=f"a {kind} is in its place")
    try:
        content, found = read_file(folder, layout.LINK, _LIMIT)
    except NotFound:
        return None
    except TooLarge as error:
        why = f"{error.size} bytes, where a link holds one digest"
        return Link(path=path, named=named, target=None, state=State.MALFORMED, why=why)
    except OrlopError as error:
        state, why = state_of(error)
        return Link(path=path, named=named, target=None, state=state, why=why)
    state, target, why = meaning(content)
    if target == named:
        target = named
    return Link(path=path, named=named, target=target, state=state, mtime=found.st_mtime_ns, why=why)


def meaning(content: bytes) -> tuple[State, str | None, str]:
    """What the bytes of a link say: its state, the digest where that is good, else why not."""
    if _USUAL.fullmatch(content) is not None:
        return State.GOOD, intern(content.decode("ascii")), ""
    if not content:
        return State.EMPTY, None, "the link is empty"
    try:
        return State.GOOD, intern(str(Digest.parse_any(content.decode("ascii")))), ""
    except (UnicodeDecodeError, Malformed):
        if content.endswith(b"\n") and meaning(content.rstrip(b"\r\n"))[1] is not None:
            return State.MALFORMED, None, "a newline follows the digest, which the registry takes for a part of it"
        if not content.strip(b"\0"):
            return State.MALFORMED, None, "it holds nothing but zero bytes"
        return State.MALFORMED, None, "it holds something else than one digest"
