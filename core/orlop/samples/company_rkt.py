"""The ACI store of the same small company, from the years when it used rkt, with a handful of faults planted in it."""

import os
from dataclasses import dataclass

from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.samples.rkt import NOW, Aci, AciRoot
from orlop.samples.trees import Files

_DAY = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AciSample:
    """An ACI store that was made, and what a check must say of it."""

    path: str
    """Absolute path of rkt's data directory; the store is its ``cas``."""
    expected: tuple[tuple[str, str], ...]
    """(rule, path relative to ``cas``) of all that a check of structure finds, information included; sorted."""
    images: dict[str, str]
    """Short name → key."""


def make_rkt(folder: str, *, damage: bool = True, catalogue: str = "ql") -> AciSample:
    """Write the sample store into an empty folder; the same bytes each time.

    Args:
        folder: empty, or still to be made.
        damage: False leaves out every fault.
        catalogue: ``ql``, as rkt has it, or ``sqlite``.

    Raises:
        AlreadyExists: the folder is not empty.
        OSError: the file system refuses.
    """
    root = AciRoot.create(folder, catalogue=catalogue)
    images = _images(root)
    expected = [("RK07", _catalogue(root))] * 3
    expected += _plant(root, images) if damage else []
    root.settle()
    return AciSample(
        path=root.path,
        expected=tuple(sorted(expected)),
        images={name: image.key for name, image in images.items()},
    )


def _files(name: str, size: int) -> Files:
    head = f"{name}\n".encode() * 3
    return {"bin/sh": b"#!\n", f"usr/bin/{name}": head + bytes(max(0, size - len(head)))}


def _images(root: AciRoot) -> dict[str, Aci]:
    stage1 = root.image(
        "coreos.com/rkt/stage1-coreos", version="1.30.0", files=_files("init", 240_000), imported=NOW - 900 * _DAY
    )
    alpine = root.image("example.com/alpine", version="3.7", files=_files("busybox", 90_000), latest=True)
    older = root.image("example.com/etcd", version="3.2.0", files=_files("etcd", 150_000), imported=NOW - 300 * _DAY)
    etcd = root.image(
        "example.com/etcd",
        version="3.3.2",
        files=_files("etcd3", 160_000),
        needs=[alpine],
        latest=True,
        app={
            "exec": ["/usr/bin/etcd", "--data-dir", "/var/lib/etcd"],
            "environment": [{"name": "ETCD_NAME", "value": "node1"}, {"name": "ETCD_TOKEN", "value": "s3cr3t"}],
            "mountPoints": [{"name": "data", "path": "/var/lib/etcd"}],
            "ports": [{"name": "client", "protocol": "tcp", "port": 2379}],
        },
        annotations={"homepage": "https://example.com/etcd"},
        used=NOW - 2 * _DAY,
    )
    root.remote("https://example.com/etcd-3.3.2.aci", etcd, etag='"5c3-9f"', max_age=86_400, downloaded=NOW - _DAY // 2)
    root.remote("https://example.com/etcd-3.2.0.aci", older, etag='"5a1-7c"', max_age=3600, downloaded=NOW - 300 * _DAY)
    root.remote("https://example.com/alpine.aci", alpine, downloaded=NOW - 40 * _DAY)
    return {"stage1": stage1, "alpine": alpine, "etcd-old": older, "etcd": etcd}


def _catalogue(root: AciRoot) -> str:
    return layout.QL if root.catalogue == "ql" else layout.SQLITE


def _plant(root: AciRoot, images: dict[str, Aci]) -> list[tuple[str, str]]:
    expected: list[tuple[str, str]] = []

    gone = root.image("example.com/gone", version="1", files=_files("gone", 30_000))
    os.unlink(root.at(layout.blob(gone.key)))
    expected.append(("RK04", layout.blob(gone.key)))

    empty = root.image("example.com/redis", version="4.0", files=_files("redis", 70_000))
    root.write(layout.manifest(empty.key), b"")
    expected.append(("RK05", layout.manifest(empty.key)))

    root.remote("https://example.com/lost.aci", f"sha512-{'5' * 64}", etag='"lost"', max_age=60)
    expected.append(("RK06", _catalogue(root)))

    wrong = root.image("example.com/nginx", version="1.13", files=_files("nginx", 80_000))
    root.row(
        ImageRow(
            key=wrong.key,
            name=wrong.name,
            imported=NOW - 3 * _DAY,
            last_used=NOW - 3 * _DAY,
            latest=False,
            size=12,
            tree_size=0,
        )
    )
    expected.append(("RK12", _catalogue(root)))

    unlisted = root.image("example.com/unlisted", version="1", files=_files("unlisted", 40_000))
    root.forget(unlisted)
    expected.append(("RK03", layout.blob(unlisted.key)))

    left = root.write("tmp/803417265", b"half of an image\n" * 2000, 0o600, at=NOW - 90 * _DAY)
    expected.append(("RK13", left))
    return expected
