"""How a finding of an ACI store is made."""

from collections.abc import Sequence

from orlop.finding import Finding, Severity
from orlop.rkt import layout
from orlop.rkt.model import Model
from orlop.rkt.rows import key_of
from orlop.rkt.rules import RULES


def finding(
    model: Model,
    rule: str,
    path: str,
    detail: str,
    *,
    images: Sequence[str] = (),
    says: str = "",
    severity: Severity | None = None,
    size: int | None = None,
    pods: Sequence[str] = (),
    subject: str = "",
) -> Finding:
    """A finding with the names of its images and the pods that use them."""
    about = RULES[rule]
    known = [model.images[key] for key in images if key in model.images]
    names = [name for name in (key_of(image).name for image in known) if name is not None]
    users = [pod for key in images for pod in model.pods.get(key, ())]
    return Finding(
        rule=rule,
        title=about.title,
        severity=severity or about.severity,
        path=path,
        detail=detail,
        engine_says=says,
        repair=about.repair,
        images=tuple(images),
        names=tuple(names),
        containers=tuple(dict.fromkeys([*pods, *users])),
        subject=subject,
        bytes=size,
    )


def blob_path(model: Model, key: str) -> str:
    """Where the archive of a key is; the catalogue, for a row whose key no file could have."""
    return layout.blob(key) if layout.is_key(key) else model.catalogue.path


def manifest_path(model: Model, key: str) -> str:
    """As `blob_path`, for the manifest."""
    return layout.manifest(key) if layout.is_key(key) else model.catalogue.path
