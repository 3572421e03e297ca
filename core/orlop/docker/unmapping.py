"""Plans that remove V2 digest mappings: what the engine remembers of pushes and pulls.

moby: distribution/metadata/v2_metadata_service.go. It is only a cache: without an
entry the engine uploads or downloads more than needed. The engine's own removal
leaves the reverse record behind; Orlop takes it along when nothing else needs it.
"""

from collections.abc import Iterable

from orlop.digest import Digest
from orlop.docker import distribution
from orlop.docker.model import Model, V2List
from orlop.docker.release import quarantine
from orlop.errors import NotFound
from orlop.fs import Root, changed_meanwhile
from orlop.intent import Unmap
from orlop.plan import Plan, Quarantine, Reason, Replace, Step
from orlop.records import StoreId

Triple = tuple[str, str, str]
"""Diff id, blob digest and source repository."""


def plan_unmap(root: Root, model: Model, identity: StoreId, intent: Unmap) -> Plan:
    """Remove mappings; a diff id alone (digest and source empty) stands for a list that cannot be read.

    An empty source stands for a reverse record too, where no list holds the mapping.

    Raises:
        NotFound: the store has no such mapping.
        Changed: a file is no longer what was read.
    """
    steps: list[Step] = []
    reasons: list[Reason] = []
    gone: dict[str, set[int]] = {}
    alone: set[str] = set()
    for triple in sorted(set(intent.mappings)):
        taken = _entries_of(model.v2_lists.get(triple[0]), triple)
        if taken is None:
            alone.add(_reverse_only(model, triple))
        else:
            gone.setdefault(triple[0], set()).update(taken)
    for diff_id, taken in gone.items():
        steps.append(_list_step(root, model.v2_lists[diff_id], taken))
        reasons.extend(_list_reasons(model.v2_lists[diff_id], taken))
    for digest in sorted(alone | _unneeded_reverses(model, gone)):
        record = model.v2_reverse[digest]
        steps.append(quarantine(root, record.path))
        reasons.append(Reason(verb="unmap", subject=digest, because=f"its reverse record named {record.diff_id}"))
    count = sum(max(1, len(taken)) for taken in gone.values()) + len(alone)
    return Plan(
        action="unmap 1 mapping" if count == 1 else f"unmap {count} mappings",
        kind=identity.kind,
        store=identity.token,
        intent=intent,
        steps=tuple(steps),
        reasons=tuple(reasons),
        images=(),
        bytes_now=0,
        bytes_freed=sum(step.bytes for step in steps if isinstance(step, Quarantine)),
        bytes_kept=0,
    )


def _entries_of(found: V2List | None, triple: Triple) -> set[int] | None:
    """Which entries a triple means, by index; empty for the whole of a list without entries; None for none."""
    if found is None:
        return None
    _, digest, source = triple
    taken = {i for i, entry in enumerate(found.entries) if (entry.digest, entry.source) == (digest, source)}
    if taken or (not found.entries and not digest and not source):
        return taken
    return None


def _reverse_only(model: Model, triple: Triple) -> str:
    diff_id, digest, source = triple
    record = model.v2_reverse.get(digest)
    if source or record is None or (record.diff_id or "") != diff_id:
        raise NotFound(f"no mapping of {diff_id or 'any layer'} to {digest or 'any blob'} from {source or 'anywhere'}")
    return digest


def _list_step(root: Root, found: V2List, taken: Iterable[int]) -> Step:
    gone = set(taken)
    left = distribution.spelled(entry for i, entry in enumerate(found.entries) if i not in gone)
    if left is None:
        return quarantine(root, found.path)
    return Replace(path=found.path, old=_digest_of(root, found), new=left, mode=0o644)


def _digest_of(root: Root, found: V2List) -> Digest:
    """The digest of a list's bytes, which must still be what was read."""
    folder_path, _, name = found.path.rpartition("/")
    try:
        with root.folder(folder_path) as folder:
            if distribution.v2_list(folder, name, "file").entries != found.entries:
                raise changed_meanwhile(found.path)
            return Digest.of(folder.read(name))
    except NotFound as error:
        raise changed_meanwhile(found.path) from error


def _list_reasons(found: V2List, taken: set[int]) -> list[Reason]:
    if not found.entries:
        because = f"its list cannot be read: {found.problem}" if found.problem else "its list is empty"
        return [Reason(verb="unmap", subject=found.diff_id, because=because)]
    reasons = []
    for index in sorted(taken):
        entry = found.entries[index]
        reasons.append(Reason(verb="unmap", subject=entry.digest, because=f"of {found.diff_id} in {entry.source}"))
    left = len(found.entries) - len(taken)
    if left:
        count = "1 other mapping" if left == 1 else f"{left} other mappings"
        reasons.append(Reason(verb="keep", subject=count, because=f"of {found.diff_id}"))
    return reasons


def _unneeded_reverses(model: Model, gone: dict[str, set[int]]) -> set[str]:
    """Digests whose reverse record names a list that no longer holds them, and that no other list holds."""
    candidates: set[str] = set()
    for diff_id, taken in gone.items():
        for index in taken:
            digest = model.v2_lists[diff_id].entries[index].digest
            record = model.v2_reverse.get(digest)
            if record is not None and record.diff_id == diff_id:
                candidates.add(digest)
    if not candidates:
        return candidates
    left = {
        entry.digest
        for diff_id, found in model.v2_lists.items()
        for index, entry in enumerate(found.entries)
        if index not in gone.get(diff_id, ())
    }
    return candidates - left
