"""The types that dockerd reads an image's config into: what a config may hold where.

moby v20.10: image/image.go (V1Image, Image, History), image/rootfs.go (RootFS),
api/types/container/config.go (Config, HealthConfig). Later versions only leave
fields out, which then may hold anything; no engine is stricter.
"""

from orlop.jsonrules.shapes import Boolean, Command, Integer, List, Map, Shape, Struct, Text, Time

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
