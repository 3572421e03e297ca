"""Containers' own records, as far as images are concerned.

moby: container/container.go (config.v2.json). Volumes, networks and the rest are not read.
"""

from orlop import jsonrules
from orlop.docker.model import Container
from orlop.errors import NoPermission, NotFound, OrlopError
from orlop.fs import Folder, join
from orlop.jsonrules.shapes import Boolean, Struct, Text

_TEXT = Text()
_CONTAINER = Struct(
    "container.Container",
    {
        "State": Struct("container.State", dict.fromkeys(("Running", "RemovalInProgress", "Dead"), Boolean())),
        "Name": _TEXT,
        "Driver": _TEXT,
        "Image": Text("image.ID"),
        "Config": Struct("container.Config", {"Image": _TEXT}),
    },
)
"""The members that are read here; one of another type makes the engine skip the container."""


def container(folder: Folder, name: str, kind: str) -> Container:
    """Read one container's config; one that cannot be read keeps its id and says why.

    Raises:
        NotFound: it went away.
        NoPermission: this user may not read it.
    """
    path = join(folder.path, name)
    if kind != "folder":
        return _unknown(name, path, f"a {kind} is in the place of the container's folder")
    try:
        with folder.folder(name) as here:
            value = jsonrules.loads(here.read("config.v2.json"))
        _CONTAINER.conform(value)
        state = jsonrules.mapping(value, "State") or {}
        running = jsonrules.member(state, "Running")
        return Container(
            id=name,
            name=(jsonrules.text(value, "Name") or "").removeprefix("/"),
            image=jsonrules.text(value, "Image") or None,
            image_name=jsonrules.text(jsonrules.mapping(value, "Config") or {}, "Image") or "",
            driver=jsonrules.text(value, "Driver"),
            running=running if isinstance(running, bool) else None,
            problem="",
            path=path,
            going=any(jsonrules.member(state, word) is True for word in ("RemovalInProgress", "Dead")),
        )
    except NotFound as error:
        if error.path == path:
            raise
        return _unknown(name, path, "config.v2.json is missing")
    except NoPermission:
        raise
    except OrlopError as error:
        return _unknown(name, path, error.why or error.what)


def _unknown(name: str, path: str, problem: str) -> Container:
    return Container(id=name, name="", image=None, image_name="", running=None, problem=problem, path=path)
