"""ACI archives, made as real tar files by the rules of appc."""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping

import pytest

Entries = Iterable[tuple[str, bytes | str, bytes]]
"""Names, with the content of a file or the target of a link, and the type in the tar header."""

MakeAci = Callable[..., bytes]


def archive(entries: Entries) -> bytes:
    """A tar archive of exactly these entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if isinstance(content, str):
                entry.linkname = content
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def aci(
    name: str = "example.com/app",
    labels: Mapping[str, str] | None = None,
    extra: Entries = (),
    **members: object,
) -> bytes:
    """A whole image: a folder ``rootfs``, further entries, and the manifest last, as actool writes it."""
    manifest = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [{"name": key, "value": value} for key, value in (labels or {}).items()],
        **members,
    }
    return archive(
        [
            ("rootfs", b"", tarfile.DIRTYPE),
            *extra,
            ("manifest", json.dumps(manifest).encode(), tarfile.REGTYPE),
        ]
    )


@pytest.fixture(name="archive")
def _archive() -> Callable[[Entries], bytes]:
    return archive


@pytest.fixture(name="aci")
def _aci() -> MakeAci:
    return aci
