"""The plan of every change that a Docker store knows.

Making a plan reads and never writes. The same state gives the same plan: all
orders are sorted, and nothing of the clock or of chance goes into it.
"""

from orlop.docker.model import Model
from orlop.docker.naming import plan_tag, plan_untag
from orlop.docker.removal import plan_removal
from orlop.docker.unmapping import plan_unmap
from orlop.fs import Root
from orlop.intent import Clean, Intent, Remove, Repair, Tag, Unmap, Untag
from orlop.plan import Plan, Refusal, unsupported
from orlop.records import StoreId


def plan(root: Root, model: Model, identity: StoreId, intent: Intent) -> Plan | Refusal:
    """The steps of a change and the reason for each, or why there are none.

    Args:
        root: the data root; inode numbers and sizes of what would move are read from it.
        model: what the last read found.
        identity: the store that the plan is bound to.
        intent: what a person wants.

    Raises:
        NotFound: a name, image or mapping of the intent is not in the store.
        Malformed: a name does not parse.
        Unsupported: the intent is for another kind of store.
        Changed: a file that the model knows is gone or another one.
        NoPermission, StorageFailure: what would move cannot be looked at.
    """
    match intent:
        case Tag():
            return plan_tag(model, identity, intent)
        case Untag():
            return plan_untag(model, identity, intent)
        case Remove():
            return plan_removal(root, model, identity, intent)
        case Unmap():
            return plan_unmap(root, model, identity, intent)
        case Clean():
            from orlop.docker.cleaning import plan_clean  # a listing starts without them

            return plan_clean(root, model, identity, intent)
        case Repair():
            from orlop.docker.repairing import plan_repair

            return plan_repair(root, model, identity, intent)
        case _:
            raise unsupported(identity.kind, intent)
