"""RG01: layers and configs whose bytes cannot be what their name says, as far as that shows without hashing all."""

from collections.abc import Iterator

from orlop.finding import Severity
from orlop.fs import Root
from orlop.progress import Progress
from orlop.registry import place
from orlop.registry.checkfinding import BLOB_UNKNOWN, Findings, Found, Place, counted
from orlop.registry.checkmanifests import unreadable
from orlop.registry.checkneeds import Shortfall
from orlop.registry.content import Result, hash_all, tasks
from orlop.registry.model import Model, State


def verification_failed(digest: str) -> str:
    """What a client says of a blob whose bytes are others; the registry itself says nothing."""
    return f"filesystem layer verification failed for digest {digest}"


def blobs(root: Root, model: Model, findings: Findings, short: Shortfall, progress: Progress) -> Iterator[Found]:
    """Blobs that are empty, no files, altered or cannot be read, each once for all who need it.

    A config is hashed by whoever reads the store. A layer is hashed here only where it has
    another size than a manifest says.
    """
    fine = (State.GOOD, State.MISSING)
    bad = {
        digest: (blob.state, blob.why)
        for digest, blob in model.blobs.items()
        if blob.state not in fine and digest not in findings.mentioned
    }
    for digest, config in model.configs.items():
        if config.state not in (*fine, State.TOO_LARGE) and digest in model.blobs:
            bad.setdefault(digest, (config.state, config.why))
    users = findings.needing(bad)
    for digest, (state, why) in sorted(bad.items()):
        yield from _bad(root, model, findings, digest, state, why, users[digest], progress)
    for digest, at in sorted(short.sized_otherwise.items()):
        if digest not in bad and digest not in findings.mentioned:
            yield from _sized(root, model, findings, digest, at, progress)


def _bad(
    root: Root,
    model: Model,
    findings: Findings,
    digest: str,
    state: State,
    why: str,
    users: list[Place],
    progress: Progress,
) -> Iterator[Found]:
    path = place.blob_data(model.base, digest)
    size = model.blobs[digest].size
    severity = None
    says = verification_failed(digest)
    detail = f"{digest} cannot be used: {why or state.value}"
    title = ""
    if state is State.MALFORMED and _hashed(root, model, digest, progress).matches:
        detail = f"{digest} has the bytes that were pushed, and they are no image config: {why}"
        yield findings.make(
            "RG01",
            path,
            detail,
            at=users,
            severity=Severity.INFORMATION,
            title="config-unreadable",
            size=size,
            curable=False,
        )
        return
    if state is State.UNREADABLE:
        severity = unreadable(why)
    elif state is State.WRONG_KIND:
        says = BLOB_UNKNOWN if "folder" in why else ""
    elif state is State.EMPTY:
        title = "blob-empty"
    if not users and severity is None:
        severity = Severity.LATENT
        detail += "; no manifest needs it now, and pushing it again will change nothing"
    yield findings.make("RG01", path, detail, at=users, says=says, severity=severity, title=title, size=size)


def _hashed(root: Root, model: Model, digest: str, progress: Progress) -> Result:
    work = tasks(root, [(digest, place.blob_data(model.base, digest), model.blobs[digest].size)])
    (result,) = hash_all(work, progress)
    return result


def _sized(
    root: Root, model: Model, findings: Findings, digest: str, at: dict[Place, int], progress: Progress
) -> Iterator[Found]:
    """A size does not prove which of the two is wrong; the bytes do."""
    result = _hashed(root, model, digest, progress)
    if result.gone:
        return
    path = place.blob_data(model.base, digest)
    said = " or ".join(str(size) for size in sorted(set(at.values())))
    detail = f"{digest} has {result.task.size} bytes, and {counted(len(at), 'manifest')} "
    detail += f"{'says' if len(at) == 1 else 'say'} {said}"
    if not result.matches:
        detail += f": they hash to {result.actual}" if result.actual else f"; it cannot be read: {result.why}"
        users = findings.needing([digest])[digest]
        says = verification_failed(digest)
        yield findings.make("RG01", path, detail, at=users, says=says, size=result.task.size)
        return
    yield findings.make(
        "RG01",
        path,
        f"{detail}; the bytes are those of its digest, so the manifest is wrong since it was pushed",
        at=at,
        severity=Severity.LATENT,
        title="size-in-manifest-wrong",
        size=result.task.size,
        curable=False,
    )
