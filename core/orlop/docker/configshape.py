"""The types that dockerd reads an image's config into: what a config may hold where.

moby v20.10: image/image.go (V1Image, Image, History), image/rootfs.go (RootFS),
api/types/container/config.go (Config, HealthConfig). Later versions only leave
fields out, which then may hold anything; no engine is stricter.
"""

import re
from functools import cache

from orlop.jsonrules.shapes import TEXT, Boolean, Command, Integer, List, Map, Shape, Struct, Text, Time
from orlop.times import USUAL

_TEXT = Text()
_BOOLEAN = Boolean()
_SET = Struct("struct {}", {})

_HEALTH = Struct(
    "container.HealthConfig",
    {
        "Test": List(_TEXT),
        "Interval": Integer("time.Duration"),
        "Timeout": Integer("time.Duration"),
        "StartPeriod": Integer("time.Duration"),
        "Retries": Integer("int"),
    },
)

_CONFIG = Struct(
    "container.Config",
    {
        **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir", "MacAddress", "StopSignal"), _TEXT),
        **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr"), _BOOLEAN),
        **dict.fromkeys(("Tty", "OpenStdin", "StdinOnce", "ArgsEscaped", "NetworkDisabled"), _BOOLEAN),
        **dict.fromkeys(("Cmd", "Entrypoint", "Shell"), Command()),
        **dict.fromkeys(("Env", "OnBuild"), List(_TEXT)),
        "ExposedPorts": Map(_SET, "nat.PortSet"),
        "Volumes": Map(_SET),
        "Labels": Map(_TEXT),
        "Healthcheck": _HEALTH,
        "StopTimeout": Integer("int"),
    },
)

_HISTORY = Struct(
    "image.History",
    {
        "created": Time(),
        **dict.fromkeys(("author", "created_by", "comment"), _TEXT),
        "empty_layer": _BOOLEAN,
    },
)

_ROOTFS = Struct("image.RootFS", {"type": _TEXT, "diff_ids": List(Text("layer.DiffID"))})

_V1: dict[str, Shape] = {
    **dict.fromkeys(("id", "comment", "container", "docker_version", "author", "architecture", "variant"), _TEXT),
    **dict.fromkeys(("os", "parent"), _TEXT),
    "created": Time(),
    "container_config": _CONFIG,
    "config": _CONFIG,
    "Size": Integer(),
}

_OWN: dict[str, Shape] = {
    **_V1,
    "os.version": _TEXT,
    "parent": Text("image.ID"),
    "rootfs": _ROOTFS,
    "history": List(_HISTORY),
    "os.features": List(_TEXT),
}

V1_IMAGE = Struct("image.V1Image", _V1)
"""As `IMAGE`, for the configs of images as they were before 1.10 and as v1 registries have them."""

IMAGE = Struct("image.Image", _OWN)
"""``IMAGE.conform(document)`` refuses what dockerd refuses, in its words."""

# --- configs without anything unusual --------------------------------------

READ = ("os", "architecture", "variant", "diff_ids")
"""What is read of a config besides ``created``."""

_ASCII = r"[ !#-\[\]-~]*+"
_MORE = rf'"moby\.buildkit\.[a-z0-9.]++":{TEXT}'
"""Members of BuildKit's own, which no field of the engine takes."""


@cache
def _plain() -> re.Pattern[bytes]:
    members = {name: shape.plain for name, shape in _OWN.items()}
    members |= {name: rf'"(?P<{name}>{_ASCII})"' for name in READ[:3]}
    members["created"] = f'"(?P<created>{USUAL})"'
    members["rootfs"] = r'\{"type":"layers","diff_ids":\["(?P<diff_ids>[0-9a-z:,"]++)\]\}'
    parts = {name: rf'"{re.escape(name)}":{pattern}' for name, pattern in members.items()} | {"moby.buildkit.": _MORE}
    each = "".join(
        rf'(?:{parts[name]}(?:,(?=")|(?=\}})))' + ("*+" if name == "moby.buildkit." else "?+") for name in sorted(parts)
    )
    return re.compile(rf"\{{{each}\}}[ \t\r\n]*+".encode())


def read_plain(data: bytes) -> tuple[bytes, ...] | None:
    """``created`` and the members of `READ` of a config that holds nothing unusual; None for any other.

    dockerd reads all that gives an answer here, and with these values, if the diff ids
    are digests: every known member has a value that fits, and stands once, for they stand
    in the order in which dockerd and BuildKit write them: that of their bytes. A member
    that is not there is empty, the diff ids are what stands between ``["`` and ``]``.

    moby image/image.go (MarshalJSON), buildkit exporter/containerimage/writer.go (patchImageConfig).
    """
    found = _plain().fullmatch(data)
    if found is None or found["created"] is None or found["diff_ids"] is None:
        return None
    return (found["created"], *(found[name] or b"" for name in READ))
