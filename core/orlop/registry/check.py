"""Every fault of a registry's storage, each with its file, whom it affects and what the registry says.

Manifests and configs were hashed when the store was read; with `content` every blob is.
Nothing here stops at a bad file. The rules themselves are in the modules beside this one,
a module for each noun.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.progress import Progress
from orlop.records import Key
from orlop.registry import checkblobs, checkforeign, checklinks, checkmanifests, checkspace, place
from orlop.registry.checkfinding import Findings, Found, Place, resolved
from orlop.registry.checkneeds import shortfall
from orlop.registry.content import Result, Task, hash_all, tasks
from orlop.registry.model import Model, State
from orlop.store import Hashing

PHASE = "rules"

_Touches: TypeAlias = Callable[[Found], bool]


def check(
    root: Root,
    model: Model,
    keys: Iterable[Key] | None,
    *,
    content: bool,
    progress: Progress,
    hashing: Hashing | None = None,
) -> Iterator[Finding]:
    """Findings of the whole store, or only those that touch some rows; worst first.

    Args:
        root: the store.
        model: what was read of it.
        keys: rows; None for everything.
        content: whether the bytes of every blob, or of every blob that those rows need, are hashed.
        progress: told of the rules, then of the bytes.
        hashing: what was verified before, and how far to go.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
    """
    wanted = None if keys is None else tuple(keys)
    touches = _touching(wanted)
    findings = Findings(model)
    found = [one for one in _structure(root, model, findings, progress) if touches(one)]
    found.sort(key=_severity)
    if not content:
        yield from (one.finding for one in found)
        return
    bad = [one for one in found if one.finding.severity in (Severity.BLOCKS, Severity.UNUSABLE)]
    yield from (one.finding for one in bad)
    rest = found[len(bad) :]
    for one in _content(root, findings, _tasks(root, model, wanted, found), progress, hashing):
        if not touches(one):
            continue
        if one.finding.severity is Severity.UNUSABLE:
            yield one.finding
        else:
            rest.append(one)
    yield from (one.finding for one in sorted(rest, key=_severity))


def _severity(found: Found) -> Severity:
    return found.finding.severity


def _touching(keys: Sequence[Key] | None) -> _Touches:
    if keys is None:
        return lambda _: True
    places = {(key.scope, key.id) for key in keys}
    names = {key.name for key in keys if key.name is not None}
    return lambda found: not places.isdisjoint(found.places) or not names.isdisjoint(found.finding.names)


def _structure(root: Root, model: Model, findings: Findings, progress: Progress) -> Iterator[Found]:
    """Every rule in turn."""
    owners = checkspace.Owners(model)
    needs = checkspace.Needs(model)
    short = shortfall(model, findings)
    parts: Sequence[Callable[[], Iterator[Found]]] = (
        partial(checkforeign.schedule, model, findings),
        partial(checkforeign.foreign, root, model, findings),
        partial(checklinks.tags, root, model, findings),
        partial(checklinks.revisions, root, model, findings),
        partial(checkmanifests.manifests, model, findings),
        partial(checkblobs.blobs, root, model, findings, short, progress),
        partial(checklinks.lost_blobs, model, findings, short),
        partial(checklinks.layers, root, model, findings, short),
        partial(checkmanifests.indexes, model, findings),
        partial(checkmanifests.untagged, model, findings, owners),
        partial(checkspace.orphan_blobs, model, findings, needs),
        partial(checkspace.orphan_links, model, findings, needs),
        partial(checkspace.empty, model, findings),
        partial(checkspace.uploads, model, findings),
        partial(checkspace.sharing, model, findings, owners),
    )
    for number, part in enumerate(parts):
        progress.step(PHASE, number, len(parts))
        yield from part()
    progress.step(PHASE, len(parts), len(parts))


# --- contents ----------------------------------------------------------------


def _tasks(root: Root, model: Model, keys: Sequence[Key] | None, found: Sequence[Found]) -> list[Task]:
    """What is to be hashed: what is there, is wanted, and is not known to be wrong already."""
    wrong = {one.finding.path for one in found if one.finding.rule in ("RG01", "RG02", "RG03")}
    wanted = model.blobs.keys() if keys is None else _blobs_of(model, keys)
    blobs = (model.blobs[digest] for digest in wanted if digest in model.blobs)
    items = (
        (blob.digest, place.blob_data(model.base, blob.digest), blob.size) for blob in blobs if blob.state is State.GOOD
    )
    return tasks(root, (item for item in items if item[1] not in wrong))


def _blobs_of(model: Model, keys: Sequence[Key]) -> set[str]:
    """All that some rows need: manifests, the parts of indexes, configs, layers."""
    found: set[str] = set()
    seen: set[Place] = set()
    waiting: list[Place] = [(key.scope, key.id) for key in keys]
    while waiting:
        at = waiting.pop()
        repository = model.repositories.get(at[0])
        manifest = model.manifests.get(at[1])
        if at in seen or repository is None:
            continue
        seen.add(at)
        found.add(at[1])
        if manifest is not None:
            found.update(resolved(repository, need.digest) for need in manifest.needs)
            waiting.extend((at[0], child.digest) for child in manifest.children)
    return found


def _content(
    root: Root, findings: Findings, work: Sequence[Task], progress: Progress, hashing: Hashing | None
) -> Iterator[Found]:
    """RG01 and RG02 of every blob that does not hash to its name."""
    users: Mapping[str, Sequence[Place]] | None = None
    for result in hash_all(work, progress, hashing, root=root):
        if result.matches or result.gone:
            continue
        if users is None:
            users = findings.needing({task.digest for task in work})
        yield _wrong(findings, result, users.get(result.task.digest, ()))


def _wrong(findings: Findings, result: Result, users: Sequence[Place]) -> Found:
    task = result.task
    at = findings.mentioned.get(task.digest)
    severity = None if at or users else Severity.LATENT
    if not result.actual:
        detail = f"the bytes of {task.digest} cannot be hashed: {result.why}"
        severity = checkmanifests.unreadable(result.why)
    else:
        detail = f"its {result.read} bytes hash to {result.actual}"
    if at:
        return findings.make("RG02", task.path, detail, at=at, severity=severity, size=result.read)
    says = checkblobs.verification_failed(task.digest)
    return findings.make("RG01", task.path, detail, at=users, says=says, severity=severity, size=result.read)
