"""The pods of the data directory that a store lies in: which images and rendered trees they stand on.

::

    <data directory>/cas/                            the store
    <data directory>/pods/<state>/<uuid>/
      pod                                            the pod's manifest: apps[].image.id
      stage1TreeStoreID                              id of the rendered tree of stage 1
      appsinfo/<app>/treeStoreID                     of an app's, where it runs on an overlay

A pod in ``run`` whose folder is locked runs; unlocked, it has exited. What a pod that
is not in ``embryo`` or ``garbage`` names is not removed by rkt's gc.

Facts: rkt v1.30.0, pkg/pod/pods.go, common/common.go, rkt/image_gc.go.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orlop import jsonrules, locks
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Folder, Root
from orlop.rkt import layout
from orlop.rkt.model import Pod, Unreadable
from orlop.text import decode

STORE = "cas"
"""What the store's folder is called in a data directory."""

_PODS = "pods"
_RUN = "run"
_STATES = ("embryo", "prepare", "prepared", _RUN, "exited-garbage", "garbage")
"""In the order in which a pod passes through them: one that is met twice was moved on meanwhile."""
_KEPT_BY_GC = frozenset({"prepare", "prepared", _RUN, "exited-garbage"})
_ACTIVE = frozenset({"embryo", "prepare", "prepared"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SMALL = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """What the data directory told."""

    entries: Mapping[str, Pod] = field(default_factory=dict)
    """By id."""
    known: bool = False
    """Whether every pod told all that it uses."""
    unreadable: tuple[Unreadable, ...] = ()

    def images(self) -> dict[str, tuple[str, ...]]:
        """Key → ids of the active pods with an app of that image."""
        return _grouped((key, pod) for pod in self.entries.values() if pod.active for key in pod.images)

    def trees(self) -> dict[str, tuple[str, ...]]:
        """Tree id → ids of the pods that rkt's gc keeps it for."""
        return _grouped((tree, pod) for pod in self.entries.values() if pod.state in _KEPT_BY_GC for tree in pod.trees)


def _grouped(pairs: Iterable[tuple[str, Pod]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, set[str]] = {}
    for name, pod in pairs:
        groups.setdefault(name, set()).add(pod.id)
    return {name: tuple(sorted(ids)) for name, ids in groups.items()}


def pods(root: Root) -> Pods:
    """Every pod of the data directory; nothing is known of them where the store does not lie in one."""
    above, name = os.path.split(root.path)
    if name != STORE:
        return Pods()
    try:
        with Root.open(above) as data:
            here, there = root.stat(""), data.stat(name)
            if (here.device, here.inode) != (there.device, there.inode):
                return Pods()
            return _pods(data)
    except NotFound:
        return Pods()
    except OrlopError as error:
        return Pods(unreadable=(Unreadable(path=f"../{_PODS}", why=error.why or error.what),))


def _pods(data: Root) -> Pods:
    """
    Raises:
        NotFound: there is no folder of pods.
        NoPermission, StorageFailure, WrongKind: it cannot be listed.
    """
    states = dict(data.kinds(_PODS))
    entries: dict[str, Pod] = {}
    unreadable: list[Unreadable] = []
    for state in _STATES:
        if state not in states:
            continue
        path = f"{_PODS}/{state}"
        try:
            with data.folder(path) as folder:
                for name, kind in folder.kinds():
                    if kind == "folder" and _UUID.fullmatch(name) and (pod := _pod(data, folder, state, name)):
                        entries[name] = pod
        except OrlopError as error:
            unreadable.append(Unreadable(path=f"../{path}", why=error.why or error.what))
    known = not unreadable and not any(pod.problem for pod in entries.values() if pod.state in _KEPT_BY_GC)
    return Pods(entries=entries, known=known, unreadable=tuple(unreadable))


def _pod(data: Root, folder: Folder, state: str, name: str) -> Pod | None:
    running = state == _RUN and _is_locked(data, f"{_PODS}/{state}/{name}")
    images: tuple[str, ...] = ()
    trees: list[str] = []
    problem = ""
    try:
        with folder.folder(name) as here:
            images, problem = _images(here, state)
            for path in ("stage1TreeStoreID", *_apps(here)):
                trees += _tree(data, f"{here.path}/{path}")
    except NotFound:
        return None  # it went away, or on
    except OrlopError as error:
        problem = error.why or error.what
    return Pod(
        id=name,
        state=state,
        path=f"../{_PODS}/{state}/{name}",
        active=running or state in _ACTIVE,
        running=running,
        images=images,
        trees=tuple(dict.fromkeys(trees)),
        problem=problem,
    )


def _is_locked(data: Root, path: str) -> bool:
    try:
        return locks.held(data, path)[0]
    except NotFound:
        return False
    except OrlopError:
        return True  # rather one too many is taken for running


def _images(folder: Folder, state: str) -> tuple[tuple[str, ...], str]:
    """Keys of a pod's apps, and why they cannot be known; while it is prepared it may have no manifest yet."""
    try:
        document = jsonrules.loads(folder.read("pod"))
        found = []
        for app in jsonrules.mappings(document, "apps"):
            identity = jsonrules.text(jsonrules.mapping(app, "image") or {}, "id")
            found.append(identity[: layout.KEY_LENGTH])
    except NotFound:
        return (), "" if state in ("embryo", "prepare") else "it has no manifest"
    except Malformed as error:
        return (), f"its manifest cannot be read: {error.why}"
    return tuple(dict.fromkeys(key for key in found if layout.is_key(key))), ""


def _apps(folder: Folder) -> list[str]:
    try:
        with folder.folder("appsinfo") as apps:
            return [f"appsinfo/{name}/treeStoreID" for name, kind in apps.kinds() if kind == "folder"]
    except NotFound:
        return []


def _tree(data: Root, path: str) -> list[str]:
    try:
        text = decode(data.read(path, _SMALL)).strip()
    except NotFound:
        return []  # without an overlay, an app has none
    return [text] if layout.is_tree_id(text) else []
