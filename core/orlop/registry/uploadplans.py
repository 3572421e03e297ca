"""Plans that remove uploads which nobody will finish.

distribution: ``registry/storage/purgeuploads.go``. The registry goes by ``startedat``
alone, and keeps for ever what has none that it can read; here the last write counts
too, and stands in where ``startedat`` says nothing.
"""

from collections.abc import Iterator

from orlop.errors import NotFound
from orlop.fs import Root
from orlop.intent import DropUploads
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.registry.model import Model, Repository, Upload
from orlop.registry.planning import Steps, counted

_DAY = 86_400_000_000_000


def plan_drop_uploads(root: Root, model: Model, identity: StoreId, intent: DropUploads) -> Plan | Refusal:
    """Remove uploads that were begun, and last written to, before a time.

    Of all uploads, those whose name is no UUID stay: no registry made them.

    Raises:
        NotFound: one that is asked for by name is not there.
    """
    every = intent.uploads is None
    chosen = (
        list(_all(model)) if intent.uploads is None else [_named(model, name) for name in sorted(set(intent.uploads))]
    )
    steps = Steps(root, model)
    bytes_gone = 0
    gone = 0
    for repository, upload in chosen:
        name = f"{repository.name}/{upload.id}"
        if is_young(upload, intent.before):
            because = "it was begun or written to since the time that was given"
            if every:
                steps.say("keep", f"upload {name}", because)
            else:
                steps.obstacles.append(f"{name}: {because}")
        elif every and not upload.known:
            steps.say("keep", f"upload {name}", "its name is no UUID, so no registry made it; name it to remove it")
        elif steps.move(upload.path):
            steps.say("upload", name, f"{upload.size} bytes; {_age(upload)}")
            bytes_gone += upload.size
            gone += 1
    action = f"remove {counted(gone, 'upload')}" + (f" of {bytes_gone} bytes" if gone else "")
    if steps.obstacles:
        return Refusal(
            action=action if gone else "remove uploads",
            reasons=tuple(steps.obstacles),
            do="give a later time, once you know that no client goes on with them",
        )
    return steps.plan(identity, intent, action)


def is_young(upload: Upload, before: int) -> bool:
    """Whether an upload may still go on: begun or written to at or after a time.

    A ``startedat`` that lies far behind the last write was not written by the clock of this store.
    """
    if upload.changed >= before:
        return True
    return upload.started is not None and before <= upload.started < upload.changed + _DAY


def _all(model: Model) -> Iterator[tuple[Repository, Upload]]:
    for _, repository in sorted(model.repositories.items()):
        for _, upload in sorted(repository.uploads.items()):
            yield repository, upload


def _named(model: Model, text: str) -> tuple[Repository, Upload]:
    name, _, identity = text.rpartition("/")
    repository = model.repositories.get(name)
    upload = repository.uploads.get(identity) if repository is not None else None
    if repository is None or upload is None:
        raise NotFound(f"there is no upload {text}", do="name one as REPOSITORY/ID, as `orlop uploads PATH` lists them")
    return repository, upload


def _age(upload: Upload) -> str:
    if upload.started is None:
        return upload.started_problem
    return "nobody goes on with it"
