"""Plans as files: reviewed in one place, applied in another."""

import json
import os

from orlop.errors import AlreadyExists, Malformed, NoPermission, NotFound
from orlop.fs import translate
from orlop.plan import Plan, SavedPlan, saved_plan_from_json
from orlop.store import Store
from orlop_tui.cli.exits import Usage

_LIMIT = 256 * 1024 * 1024
"""Bytes of a plan file that are read at most."""


def write(path: str, plan: Plan, store: Store) -> None:
    """Write a plan to a new file outside the store, whole or not at all.

    Raises:
        Usage: the file would lie in the store.
        AlreadyExists, NoPermission, NotFound, NoSpace, StorageFailure: it cannot be written.
    """
    folder = os.path.realpath(os.path.dirname(path) or ".")
    inside = os.path.realpath(store.identity.path)
    if folder == inside or folder.startswith(inside.rstrip("/") + "/"):
        raise Usage("a plan is never written into the store", path=path, do="name a file elsewhere")
    data = json.dumps(plan.to_json(), indent=1).encode() + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise AlreadyExists("the plan was not written", path=path, why="the file exists", do="name another") from error
    except OSError as error:
        told = translate(error, "the plan cannot be written", path)
        if isinstance(told, NotFound | NoPermission):
            told.do = "name a file in a folder that is there, and that you may write in"
        raise told from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        os.unlink(path)
        raise translate(error, "the plan cannot be written", path) from error


def read(path: str) -> SavedPlan:
    """Read a plan file.

    Raises:
        NotFound, NoPermission, StorageFailure: it cannot be read.
        Malformed: it is no plan that `write` wrote.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT)
    except OSError as error:
        raise translate(error, "the plan cannot be read", path) from error
    try:
        return saved_plan_from_json(data, path=path)
    except Malformed as error:
        error.what = "this is no plan that Orlop wrote"
        error.do = error.do or "make one: `orlop rm`, `tag`, `untag` and `unmap` have --plan FILE"
        raise
