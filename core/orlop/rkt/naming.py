"""The plan for what an image's name leads to: the flag of the latest.

A name itself is inside an image's manifest, which its key covers: it cannot be given or
taken away here.
"""

from orlop.errors import Unsupported
from orlop.fs import Root
from orlop.intent import SetLatest, Tag, Untag
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.rkt import catalogue
from orlop.rkt.choosing import Chooser
from orlop.rkt.model import Model
from orlop.rkt.planning import Steps, image_of, title


def plan_set_latest(root: Root, model: Model, identity: StoreId, intent: SetLatest) -> Plan | Refusal:
    """Set or clear the flag of one row; those of other images of the name stay as they are.

    Raises:
        NotFound: there is no such image.
        Changed, NoPermission, StorageFailure: as `Steps.plan`.
    """
    image = image_of(model, intent.image)
    here = title(model, image.key)
    action = f"mark {here} as latest" if intent.latest else f"mark {here} as not latest"
    if image.row is None:
        return Refusal(
            action=action,
            reasons=(f"{here} has no row, which is where the flag is",),
            do="`orlop repair PATH` gives it a row again",
        )
    steps = Steps(root, model)
    if image.row.latest is intent.latest:
        steps.say("keep", here, "it is marked as latest already" if intent.latest else "it is not marked as latest")
        return steps.plan(identity, intent, action)
    before = _taken(steps, image.row.name)
    steps.edits.append(catalogue.SetLatest(key=image.key, latest=intent.latest))
    steps.images.add(image.key)
    steps.say("set", here, "latest: rkt prefers it where no version is asked for" if intent.latest else "not latest")
    after = _taken(steps, image.row.name)
    if after is not None and after != before:
        steps.say("note", image.row.name, f"without a version rkt takes {title(model, after)} then")
    elif after is not None and (after == image.key) is not intent.latest:
        why = "is marked too and was imported later" if intent.latest else "is still the newest import"
        steps.say("note", image.row.name, f"without a version rkt still takes {title(model, after)}: it {why}")
    return steps.plan(identity, intent, action)


def _taken(steps: Steps, name: str) -> str | None:
    """The image that rkt takes for a name without labels, after the edits so far."""
    return Chooser(steps.rows_after(), steps.manifests_after()).named(name, ())


def refuse_tag(intent: Tag | Untag) -> Unsupported:
    """The error for names, with what a person can do instead."""
    verb = "given another name" if isinstance(intent, Tag) else "left without a name"
    return Unsupported(
        f"an image of an ACI store cannot be {verb}",
        why="its name is inside its manifest, and its key is the hash of all its bytes",
        do="`orlop rm` removes the image; `orlop latest` says which image of a name is the latest",
    )
