"""The registry of the same small company, with a handful of faults planted in it."""

import os
from dataclasses import dataclass

from orlop import times
from orlop.registry.layout import MODERN
from orlop.samples.registry import Pushed, RegistryRoot
from orlop.samples.trees import Files

_UPLOAD = "0f6a1c2e-5b7d-4c3a-9e8f-1a2b3c4d5e6f"
_UNDATED = "7c9d2e4f-1b3a-4d5c-8e6f-a1b2c3d4e5f6"
_MONTHS_AGO = times.parse("2026-06-20T09:00:00Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySample:
    """A registry's storage that was made, and what a check must say of it."""

    path: str
    """Absolute path of the ``rootdirectory``."""
    expected: tuple[tuple[str, str], ...]
    """(rule, path relative to the root) of all that a check of structure finds, information included; sorted."""
    images: dict[str, str]
    """Short name → digest: ``base web web-arm web-all api api-old worker sbom moved`` and more."""


def make_registry(folder: str, *, damage: bool = True) -> RegistrySample:
    """Write the sample registry into an empty folder; the same bytes each time.

    Args:
        folder: empty, or still to be made.
        damage: False leaves out every fault: a registry serves all of it.

    Raises:
        AlreadyExists: the folder is not empty.
        OSError: the file system refuses.
    """
    root = RegistryRoot.create(folder)
    images = _images(root)
    expected = _left_behind(root, images)
    if damage:
        expected += _plant(root, images)
    root.settle()
    return RegistrySample(
        path=root.path,
        expected=tuple(sorted(expected)),
        images={name: pushed.digest for name, pushed in images.items()},
    )


def _files(name: str, size: int) -> Files:
    head = f"{name}\n".encode() * 3
    return {f"srv/{name}": head + bytes(max(0, size - len(head)))}


def _images(root: RegistryRoot) -> dict[str, Pushed]:
    base = root.image("library/base", _files("base", 300_000), tags=["1.0", "latest"], created="2026-05-04T07:30:00Z")
    arm = root.image("library/base", _files("base arm", 290_000), tags=["1.0-arm64"], platform="linux/arm64/v8")
    web = root.image(
        "team/web",
        _files("web", 120_000),
        on=base,
        annotations={"org.opencontainers.image.source": "https://example.com/team/web"},
    )
    web_arm = root.image("team/web", _files("web", 118_000), on=arm, platform="linux/arm64/v8")
    web_all = root.index("team/web", [web, web_arm], tags=["2.1", "latest"])
    sbom = root.artifact("team/web", b'{"spdxVersion":"SPDX-2.3"}', kind="application/spdx+json", subject=web_all)
    api_old = root.image("team/api", _files("api 1", 80_000), on=base, tags=["stable"], docker=True)
    api = root.image("team/api", _files("api 2", 90_000), on=base, tags=["stable", "2.0"], docker=True)
    worker = root.image("team/web/worker", _files("worker", 60_000), on=base, tags=["nightly"])
    return {
        "base": base,
        "base-arm": arm,
        "web": web,
        "web-arm": web_arm,
        "web-all": web_all,
        "sbom": sbom,
        "api-old": api_old,
        "api": api,
        "worker": worker,
    }


def _left_behind(root: RegistryRoot, images: dict[str, Pushed]) -> list[tuple[str, str]]:
    """What every registry gathers in time: a tag that moved, an upload that was never finished."""
    upload = root.upload(
        "team/api", _UPLOAD, b"the first half of a layer\n" * 4000, started="2026-06-20T09:00:00Z", at=_MONTHS_AGO
    )
    web = f"{MODERN.repository('team/web')}/_manifests/revisions"
    shared = ("library/base", "team/api", "team/web", "team/web/worker")
    return [
        ("RG07", web),
        ("RG13", MODERN.revision_link("team/api", images["api-old"].digest)),
        ("RG17", upload),
        ("RG19", web),
        *(("RG20", MODERN.repository(name)) for name in shared),
    ]


def _plant(root: RegistryRoot, images: dict[str, Pushed]) -> list[tuple[str, str]]:
    expected: list[tuple[str, str]] = []

    lost = root.image("tools/scanner", _files("scanner", 50_000), tags=["0.9"])
    layer = MODERN.blob_data(lost.layers[0].digest)
    os.unlink(root.at(layer))
    os.rmdir(root.at(MODERN.blob(lost.layers[0].digest)))
    expected += [("RG05", layer), ("RG16", MODERN.blobs)]

    lint = root.image("tools/lint", _files("lint", 40_000), tags=["3"])
    expected.append(("RG08", root.write(MODERN.tag_current("tools/lint", "3"), b"")))
    expected.append(("RG13", MODERN.revision_link("tools/lint", lint.digest)))

    torn = root.image("tools/format", _files("format", 30_000), tags=["1"])
    expected.append(("RG12", root.write(MODERN.layer_link("tools/format", torn.layers[0].digest), b"sha256:")))

    empty = root.image("tools/docs", _files("docs", 20_000), tags=["latest"])
    expected.append(("RG03", root.write(MODERN.blob_data(empty.digest), b"")))
    expected.append(("RG15", f"{MODERN.repository('tools/docs')}/_layers"))

    orphan = root.blob(b"a layer that no manifest names\n" * 5000, at=_MONTHS_AGO)
    expected += [("RG14", MODERN.blob_data(blob)) for blob in (orphan, empty.config, empty.layers[0].digest)]

    undated = root.upload("tools/docs", _UNDATED, b"never dated\n" * 100, started="", at=_MONTHS_AGO)
    expected.append(("RG17", undated))

    expected.append(("RG18", root.write(f"{MODERN.tags('tools/lint')}/backup.tgz", b"somebody's backup")))
    tools = ("tools/docs", "tools/format", "tools/lint", "tools/scanner")
    return [*expected, *(("RG20", MODERN.repository(name)) for name in tools)]
