"""The plan of every change that an ACI store knows.

Making a plan reads and never writes. The same state gives the same plan: all orders are
sorted, and nothing of the clock or of chance goes into it but what the intent says.
"""

from orlop.fs import Root
from orlop.intent import (
    Clean,
    DropRemotes,
    Import,
    Intent,
    PutRemote,
    Remove,
    Repair,
    SetLatest,
    Tag,
    Untag,
)
from orlop.plan import Plan, Refusal, unsupported
from orlop.records import StoreId
from orlop.rkt.cleaning import plan_clean
from orlop.rkt.importplans import plan_import
from orlop.rkt.model import Model
from orlop.rkt.naming import plan_set_latest, refuse_tag
from orlop.rkt.remoteplans import plan_drop_remotes, plan_put_remote
from orlop.rkt.removal import plan_removal
from orlop.rkt.repairing import plan_repair


def plan(root: Root, model: Model, identity: StoreId, intent: Intent) -> Plan | Refusal:
    """The steps of a change and the reason for each, or why there are none.

    Args:
        root: the store's folder, rkt's ``cas``; inode numbers and sizes of what would move are read from it.
        model: what the last read found.
        identity: the store that the plan is bound to.
        intent: what a person wants.

    Raises:
        NotFound: an image, record or finding of the intent is not in the store.
        Malformed: what waits to be taken in is not what `stage` leaves.
        Unsupported: the intent is for another kind of store.
        Changed: a file that the model knows is gone or another one.
        NoPermission, StorageFailure: what would change cannot be looked at.
    """
    match intent:
        case Remove():
            return plan_removal(root, model, identity, intent)
        case SetLatest():
            return plan_set_latest(root, model, identity, intent)
        case PutRemote():
            return plan_put_remote(root, model, identity, intent)
        case DropRemotes():
            return plan_drop_remotes(root, model, identity, intent)
        case Clean():
            return plan_clean(root, model, identity, intent)
        case Repair():
            return plan_repair(root, model, identity, intent)
        case Import():
            return plan_import(root, model, identity, intent)
        case Tag() | Untag():
            raise refuse_tag(intent)
        case _:
            raise unsupported(identity.kind, intent)
