"""Plans for remote records: making or renewing one, and forgetting some. No image and no file is touched."""

from orlop import times
from orlop.errors import Malformed, NotFound
from orlop.fs import Root
from orlop.intent import DropRemotes, PutRemote
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.rkt import catalogue
from orlop.rkt.catalogue import RemoteRow
from orlop.rkt.model import Model
from orlop.rkt.planning import Steps, counted, image_of, title
from orlop.text import masked

LONGEST_AGE = 2**31 - 1
"""Seconds that a max age may have: rkt reads it into an ``int``, which has 32 bits on some of its platforms."""


def plan_put_remote(root: Root, model: Model, identity: StoreId, intent: PutRemote) -> Plan | Refusal:
    """Record where an image came from, or renew the record.

    Raises:
        NotFound: there is no such image.
        Malformed: a max age that no record can hold.
        Changed, NoPermission, StorageFailure: as `Steps.plan`.
    """
    image = image_of(model, intent.image)
    action = f"renew the remote record of {shown(intent.url)}"
    if image.row is None:
        return Refusal(
            action=action,
            reasons=(f"{title(model, image.key)} has no row, and a record must lead to one",),
            do="`orlop repair PATH` gives it a row again",
        )
    steps = Steps(root, model)
    put_remote(steps, intent, image.key)
    return steps.plan(identity, intent, action)


def put_remote(steps: Steps, intent: PutRemote, key: str) -> None:
    """Let the record of a URL be this one, leading to `key`.

    Raises:
        Malformed: a max age that no record can hold.
    """
    if not 0 <= intent.max_age <= LONGEST_AGE:
        raise Malformed(f"{intent.max_age} seconds", field="max_age")
    row = RemoteRow(
        url=intent.url,
        signature_url=intent.signature_url,
        etag=intent.etag,
        key=key,
        max_age=intent.max_age,
        downloaded=intent.downloaded,
    )
    old = steps.model.remotes.get(intent.url)
    url = shown(intent.url)
    if old == row:
        steps.say("keep", url, "the record says so already")
        return
    steps.edits.append(catalogue.PutRemote(row=row))
    here = title(steps.model, key)
    if old is None:
        because = f"leads to {here}"
    elif old.key == key:
        because = f"still leads to {here}"
    else:
        because = f"led to {title(steps.model, old.key)}, and leads to {here} now"
        if old.key in steps.model.images:
            steps.say("keep", f"image {title(steps.model, old.key)}", "only the record moves")
    aged = f", fresh for {row.max_age} s" if row.max_age else ""
    steps.say("set", url, f"{because}; downloaded {times.rfc3339(row.downloaded)}{aged}")
    steps.images.add(key)


def plan_drop_remotes(root: Root, model: Model, identity: StoreId, intent: DropRemotes) -> Plan | Refusal:
    """Forget where images came from.

    Raises:
        NotFound: there is no record of a URL.
        Changed, NoPermission, StorageFailure: as `Steps.plan`.
    """
    urls = sorted(set(intent.urls))
    steps = Steps(root, model)
    for url in urls:
        row = model.remotes.get(url)
        if row is None:
            do = "`orlop remotes PATH` lists them"
            raise NotFound(f"there is no remote record of {shown(url)}", path=model.catalogue.path, do=do)
        steps.edits.append(catalogue.DropRemote(url=url))
        known = row.key in model.images
        because = f"led to {title(model, row.key)}" + (", which stays" if known else ", which is not in the store")
        steps.say("remove", shown(url), because)
        if known:
            steps.images.add(row.key)
    action = f"forget {shown(urls[0])}" if len(urls) == 1 else f"forget {counted(len(urls), 'remote record')}"
    return steps.plan(identity, intent, action)


def shown(url: str) -> str:
    """A URL as people may see it: a password in it is masked."""
    return masked("", url)
