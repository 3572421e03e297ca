"""Layers whose files or recipes do not give what their records say: DK08 and DK09, by hashing every byte."""

from collections.abc import Container, Iterable, Iterator, Sequence

from orlop import times
from orlop.docker import layout
from orlop.docker.checkfinding import finding
from orlop.docker.content import Result, Task, Wrong
from orlop.docker.layerplace import diff_id_of, place_of, version_of
from orlop.docker.layertree import LayerTree
from orlop.docker.model import ConfigState, Layer, Model
from orlop.docker.proven import NO_LAYERS
from orlop.errors import OrlopError
from orlop.finding import Finding, Severity
from orlop.fs import Root, join
from orlop.progress import CONTENTS, Progress
from orlop.records import EngineState
from orlop.store import Hashing
from orlop.verified import Proof, Seen
from orlop.workers import work_off

_FILE = 80
"""Bytes that a recipe has for one file, about."""
_ALONE = 35e-6
"""Seconds that Python needs for one file, beside hashing."""
_MOST = 1 << 50
_LOOK = 50
"""Layers that were verified before between two reports of progress."""


def contents(
    root: Root,
    model: Model,
    chains: Container[str] | None,
    unusable: Container[str],
    progress: Progress,
    hashing: Hashing | None,
    *,
    asked: Sequence[str] = (),
) -> Iterator[Finding]:
    """Rebuild and hash layers, each once; findings as they are found.

    Args:
        chains: chain ids of the layers; None for all.
        unusable: paths of recipes that are known not to be usable.
        progress: told of the bytes.
        hashing: what was verified before, and how far to go; what is found is noted in it.
        asked: ids of the images that `chains` belongs to, for what is said of all of them.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
        StorageFailure: as `orlop.spread.spread`.
    """
    how = hashing or Hashing()
    wanted = [layer for chain_id, layer in sorted(model.layers.items()) if chains is None or chain_id in chains]
    yield from _unreadable_driver(model, wanted, asked)
    _remember_images(model, how, asked if chains is not None else model.images)
    tasks = [task for layer in wanted if (task := _task(root, model, layer, how)) and task.place.recipe not in unusable]
    hindered: list[Result] = []
    late: list[Result] = []
    for result in _hashed(root, _waiting(root, tasks, how, progress), how, progress):
        _remember(how, result)
        if result.hindered:
            hindered.append(result)
        elif model.engine in (EngineState.RUNNING, EngineState.HELD) and not result.matches:
            late.append(result)  # engines before 20.10 remove a layer's files before its record
        else:
            yield from _of(model, result)
    for result in late:
        if _still_recorded(root, result.task):
            yield from _of(model, result)
    if hindered:
        first = hindered[0]
        detail = f"{_layers(len(hindered))} could not be hashed, the first {first.task.chain_id}: {first.hindered}"
        yield finding(
            model,
            "DK08",
            first.task.place.tree,
            detail,
            images=asked,
            severity=Severity.INFORMATION,
            subject="hindered",
        )


# --- what is to be hashed ----------------------------------------------------


def _task(root: Root, model: Model, layer: Layer, how: Hashing) -> Task | None:
    place = place_of(model, layer)
    diff_id = diff_id_of(model, layer)
    if place is None or diff_id is None or not layer.data:
        return None  # DK04, DK05 and DK07 say so
    below = _below(model, layer) if model.driver == "vfs" else []
    places = [place_of(model, one) for one in below]
    return Task(
        root=root.path,
        chain_id=layer.chain_id,
        diff_id=diff_id,
        place=place,
        below=tuple(one for one in places if one is not None),
        size=min(max(sum(one.size or 0 for one in (layer, *below)), 0), _MOST),
        remember=how.verified is not None,
    )


def _below(model: Model, layer: Layer) -> list[Layer]:
    """The layers below one, nearest first, as far as their records are whole."""
    found: list[Layer] = []
    here = layer
    while here.parent is not None and not here.parent_lost:
        lower = model.layers.get(here.parent)
        if lower is None or lower.cache_id is None or not lower.data or len(found) > len(model.layers):
            break
        found.append(lower)
        here = lower
    return found


def _unreadable_driver(model: Model, wanted: Sequence[Layer], asked: Sequence[str]) -> Iterator[Finding]:
    if wanted and layout.layer_data_folder(model.driver) is None:
        detail = f"{_layers(len(wanted))} cannot be hashed: the driver {model.driver} does not keep them as plain files"
        path = layout.layers(model.driver)
        yield finding(model, "DK08", path, detail, images=asked, severity=Severity.INFORMATION, subject="driver")


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


# --- what was verified before ------------------------------------------------


def _waiting(root: Root, tasks: Sequence[Task], how: Hashing, progress: Progress) -> list[Task]:
    """What is left to hash: what never was first, then what was verified longest ago."""
    if how.verified is None:
        return sorted(tasks, key=lambda task: -task.size)
    left: list[tuple[int, int, int]] = []
    for number, task in enumerate(tasks):
        if number % _LOOK == 0:
            progress.step("layers verified before", number, len(tasks))
        seen = _seen(root, task, how)
        if seen is None:
            left.append((0, -task.size, number))
        elif how.again or seen.depth != _depth(root, task):
            left.append((seen.at, -task.size, number))
    return [tasks[number] for _, _, number in sorted(left)]


def _seen(root: Root, task: Task, how: Hashing) -> Seen | None:
    try:
        return how.verified.find(task.diff_id, version_of(root, task.place)) if how.verified is not None else None
    except OrlopError:
        return None  # hashing says what is wrong with it


def _depth(root: Root, task: Task) -> bytes:
    try:
        with LayerTree.at(root, task.place.tree) as tree:
            return tree.depth().versions
    except OrlopError:
        return b""


def _remember_images(model: Model, how: Hashing, images: Iterable[str]) -> None:
    """Images without layers have no bytes but those of their configs, which were hashed when the store was read."""
    if how.verified is None:
        return
    for identity in images:
        image = model.images.get(identity)
        if image is None or image.chain or image.config is not ConfigState.GOOD:
            continue
        if how.again or how.verified.find(image.id, NO_LAYERS) is None:
            how.verified.add([Proof(digest=image.id, version=NO_LAYERS, at=times.now())])


def _remember(how: Hashing, result: Result) -> None:
    if how.verified is None or not result.version:
        return
    if result.matches and result.depth:
        digest = result.task.diff_id
        how.verified.add([Proof(digest=digest, version=result.version, at=times.now(), depth=result.depth)])
    elif not result.matches and not result.hindered:
        how.verified.forget(result.task.diff_id, result.version)


# --- hashing -----------------------------------------------------------------


def _hashed(root: Root, tasks: Sequence[Task], how: Hashing, progress: Progress) -> Iterator[Result]:
    alone = sum(_recipe_size(root, task) for task in tasks) / _FILE * _ALONE
    return work_off(tasks, progress, what=CONTENTS, alone=alone, budget=how.budget)


def _recipe_size(root: Root, task: Task) -> int:
    try:
        return root.stat(task.place.recipe).size
    except OrlopError:
        return 0  # hashing says what is wrong with it


# --- what is wrong -----------------------------------------------------------


def _of(model: Model, result: Result) -> Iterator[Finding]:
    """What a result says is wrong."""
    if result.gone or result.matches:
        return
    task = result.task
    users = model.users_of.get(task.chain_id, ())
    containers = _containers_on(model, task.chain_id)
    if result.wrong_count:
        severity = None if users or containers else Severity.LATENT
        yield finding(
            model,
            "DK08",
            join(task.place.tree, result.wrong[0].name) if result.wrong_count == 1 else task.place.tree,
            _told(result),
            images=users,
            says=next((wrong.says for wrong in result.wrong if wrong.says), ""),
            severity=severity,
            size=result.wrong_bytes,
            containers=containers,
            subject=task.chain_id,
        )
    if result.recipe:
        says = result.recipe_says
        yield finding(model, "DK09", task.place.recipe, result.recipe, images=users, says=says, containers=containers)


def _told(result: Result) -> str:
    named = ", ".join(_named(wrong) for wrong in result.wrong)
    more = result.wrong_count - len(result.wrong)
    if not result.wrong[0].name:
        return f"layer {result.task.chain_id}: its folder is {result.wrong[0].why}"
    count = "1 file is" if result.wrong_count == 1 else f"{result.wrong_count} files are"
    beyond = f" and {more} more" if more else ""
    return f"layer {result.task.chain_id}: {count} not what they were: {named}{beyond}".replace(
        "1 file is not what they were", "1 file is not what it was"
    )


def _named(wrong: Wrong) -> str:
    return f"{wrong.name} ({wrong.why})"


def _containers_on(model: Model, chain_id: str) -> list[str]:
    """The containers that stand on a layer, or on one above it."""
    found: list[str] = []
    waiting = [chain_id]
    seen = {chain_id}
    while waiting:
        here = waiting.pop()
        found.extend(model.mounts_on.get(here, ()))
        above = [child for child in model.layer_children_of.get(here, ()) if child not in seen]
        seen.update(above)
        waiting.extend(above)
    return sorted(found)


def _still_recorded(root: Root, task: Task) -> bool:
    try:
        return root.exists(task.place.recipe.rpartition("/")[0])
    except OrlopError:
        return True
