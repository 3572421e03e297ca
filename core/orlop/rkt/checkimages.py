"""Faults of images: rows, archives, manifests, dependencies, sizes, and what leads to them."""

from collections.abc import Iterator

from orlop import times
from orlop.finding import Finding, Severity
from orlop.rkt import layout
from orlop.rkt.checkfinding import blob_path, finding, manifest_path
from orlop.rkt.content import Verdict
from orlop.rkt.model import Image, Model, State
from orlop.rkt.remotes import expires, is_fresh
from orlop.rkt.rows import ROWS_KNOWN
from orlop.text import masked

_WITH_SIZES = 5
"""The first version of the tables that have sizes."""
_UNUSABLE = frozenset({State.EMPTY, State.MALFORMED, State.WRONG_KIND, State.TOO_LARGE})


def archive(model: Model, image: Image) -> Iterator[Finding]:
    """RK02, RK03 and RK04, as far as the structure tells."""
    path, row, blob = blob_path(model, image.key), image.row, image.blob
    subject = "" if layout.is_key(image.key) else image.key
    if row is None:
        yield from _without_row(model, image, path)
    elif blob.state is State.MISSING:
        also = ", nor is its manifest" if image.manifest.state is State.MISSING else ""
        detail = f"its row is there, and the archive is not{also}" if not subject else f"its row: {blob.why}"
        says = f"open {path}: no such file or directory" if not subject else ""
        yield finding(model, "RK04", path, detail, images=[image.key], says=says, size=row.size, subject=subject)
    elif blob.state is State.WRONG_KIND:
        yield finding(model, "RK04", path, blob.why, images=[image.key])
    elif blob.state is State.EMPTY:
        yield finding(model, "RK02", path, blob.why, images=[image.key], size=row.size)


def _without_row(model: Model, image: Image, path: str) -> Iterator[Finding]:
    if model.catalogue.state not in ROWS_KNOWN:
        return  # RK01 says that no image has one
    blob, manifest = image.blob, image.manifest
    if blob.state is State.UNREADABLE:
        return
    if blob.state is State.MISSING:
        if manifest.state is not State.UNREADABLE:
            detail = "it is the manifest of an image that has neither an archive nor a row"
            size = len(manifest.raw) if manifest.raw is not None else None
            yield finding(model, "RK13", manifest_path(model, image.key), detail, images=[image.key], size=size)
        return
    detail = "no row leads to this archive"
    if blob.state is not State.GOOD:
        detail += f", and it cannot be used: {blob.why}"
    elif manifest.state is not State.GOOD and manifest.state is not State.UNREADABLE:
        detail += f"; {manifest.why}"
    yield finding(model, "RK03", path, detail, images=[image.key], size=blob.size)


def manifest(model: Model, image: Image) -> Iterator[Finding]:
    """RK05, as far as the structure tells."""
    found, row = image.manifest, image.row
    if row is None or image.blob.state in (State.MISSING, State.WRONG_KIND):
        return  # another finding says so
    path = manifest_path(model, image.key)
    if found.state is State.MISSING:
        says = f"open {path}: no such file or directory"
        yield finding(model, "RK05", path, "it is missing", images=[image.key], says=says)
    elif found.state in _UNUSABLE or (found.state is State.UNREADABLE and found.engine_says):
        yield finding(model, "RK05", path, found.why, images=[image.key], says=found.engine_says)
    elif found.state is State.GOOD and found.name != row.name:
        detail = f"it is that of {found.name}, and its row has the name {row.name}"
        yield finding(model, "RK05", path, detail, images=[image.key], severity=Severity.LATENT, subject="name")


def dependencies(model: Model, image: Image) -> Iterator[Finding]:
    """RK11: of an image that could else be rendered."""
    if image.row is None:
        return
    for wanted, key in zip(image.manifest.dependencies, image.dependencies, strict=True):
        if key is not None:
            continue
        labels = ", ".join(f"{name}={value}" for name, value in wanted.labels)
        what = wanted.name + (f" ({labels})" if labels else "") + (f", {wanted.image_id}" if wanted.image_id else "")
        says = "no image IDs found"
        if not wanted.image_id:
            asked = " ".join(f'{{"{name}" "{value}"}}' for name, value in wanted.labels)
            says = f'cannot find aci satisfying name: "{wanted.name}" and labels: [{asked}] in the local store'
        path = manifest_path(model, image.key)
        yield finding(
            model,
            "RK11",
            path,
            f"it depends on {what}, which is not in the store",
            images=[image.key],
            says=says,
            subject=what,
        )


def size(model: Model, image: Image) -> Iterator[Finding]:
    """RK12: a size in a row that is not that of the archive."""
    row = image.row
    if row is None or image.blob.state is not State.GOOD or row.size == image.blob.size:
        return
    if model.catalogue.contents.version < _WITH_SIZES:
        return  # the tables have none
    detail = f"the row of {row.name} says {row.size} bytes, its archive has {image.blob.size}"
    severity = Severity.LATENT if row.size else Severity.INFORMATION  # a row that was migrated may never have got one
    yield finding(
        model,
        "RK12",
        model.catalogue.path,
        detail,
        images=[image.key],
        severity=severity,
        size=abs(row.size - image.blob.size),
        subject=image.key,
    )


def use(model: Model, image: Image) -> Iterator[Finding]:
    """RK14."""
    pods = model.pods.get(image.key, ())
    if pods:
        running = sum(model.pods_seen[pod].running for pod in pods)
        detail = f"{len(pods)} pod{'' if len(pods) == 1 else 's'} with an app of this image, {running} of them running"
        yield finding(model, "RK14", blob_path(model, image.key), detail, images=[image.key], pods=pods)


def remotes(model: Model) -> Iterator[Finding]:
    """RK06 and RK07."""
    for url in sorted(model.remotes):
        row = model.remotes[url]
        image = model.images.get(row.key)
        if image is None or image.row is None:
            detail = f"{masked('', url)} leads to {row.key}, which has no row"
            says = f'ACI info not found with blob key "{row.key}"'
            images = [image.key] if image is not None else []
            yield finding(model, "RK06", model.catalogue.path, detail, images=images, says=says, subject=url)
            continue
        end = expires(row)
        stale = "" if is_fresh(row, model.seen_at) else "it has no max age"
        if not is_fresh(row, model.seen_at) and end is not None:
            stale = f"its max age ended at {times.rfc3339(end)}"
        remarks = [stale] if stale else []
        if not row.etag:
            remarks.append("it has no ETag, so that the next fetch loads the whole image")
        if remarks:
            detail = f"{masked('', url)}: {'; '.join(remarks)}"
            yield finding(model, "RK07", model.catalogue.path, detail, images=[image.key], subject=url)


# --- content -----------------------------------------------------------------


def content(model: Model, image: Image, verdict: Verdict) -> Iterator[Finding]:
    """RK02 and RK05 of an archive that was hashed."""
    path = blob_path(model, image.key)
    if verdict.gone:
        return  # it was removed meanwhile: the next check says how it is
    if verdict.denied:
        detail = "this user may not read it: it was not hashed"
        yield finding(model, "RK02", path, detail, images=[image.key], severity=Severity.INFORMATION)
    elif verdict.why:
        yield finding(model, "RK02", path, f"it cannot be read: {verdict.why}", images=[image.key])
    elif not verdict.sound:
        detail = f"its bytes have the key {verdict.actual}"
        if image.row is not None and image.row.size != image.blob.size:
            detail += f"; its row says {image.row.size} bytes, it has {image.blob.size}"
        yield finding(model, "RK02", path, detail, images=[image.key], size=image.blob.size)
    elif verdict.manifest is not None and image.manifest.parsed not in (None, verdict.manifest):
        detail = "it is not the manifest that the archive holds, which hashes to its key"
        yield finding(model, "RK05", manifest_path(model, image.key), detail, images=[image.key], subject="archive")
