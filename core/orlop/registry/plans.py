"""The plan of every change that a registry's storage knows.

Making a plan reads and never writes. The same state gives the same plan: all
orders are sorted, and nothing of the clock or of chance goes into it but what the
intent says.
"""

from orlop.fs import Root
from orlop.intent import Clean, DropUploads, Import, Intent, Remove, RemoveRepository, Repair, Tag, Untag
from orlop.plan import Plan, Refusal, unsupported
from orlop.records import StoreId
from orlop.registry.cleaning import plan_clean
from orlop.registry.importplans import plan_import
from orlop.registry.model import Model
from orlop.registry.naming import plan_tag, plan_untag
from orlop.registry.removal import plan_removal, plan_remove_repository
from orlop.registry.repairing import plan_repair
from orlop.registry.uploadplans import plan_drop_uploads


def plan(root: Root, model: Model, identity: StoreId, intent: Intent) -> Plan | Refusal:
    """The steps of a change and the reason for each, or why there are none.

    Args:
        root: the registry's ``rootdirectory``; inode numbers and sizes of what would move are read from it.
        model: what the last read found.
        identity: the store that the plan is bound to.
        intent: what a person wants.

    Raises:
        NotFound: a name, image, upload or finding of the intent is not in the store.
        Malformed: a name does not parse.
        Unsupported: the intent is for another kind of store.
        Changed: a file that the model knows is gone or another one.
        NoPermission, StorageFailure: what would change cannot be looked at.
    """
    match intent:
        case Tag():
            return plan_tag(root, model, identity, intent)
        case Untag():
            return plan_untag(root, model, identity, intent)
        case Remove():
            return plan_removal(root, model, identity, intent)
        case RemoveRepository():
            return plan_remove_repository(root, model, identity, intent)
        case DropUploads():
            return plan_drop_uploads(root, model, identity, intent)
        case Clean():
            return plan_clean(root, model, identity, intent)
        case Repair():
            return plan_repair(root, model, identity, intent)
        case Import():
            return plan_import(root, model, identity, intent)
        case _:
            raise unsupported(identity.kind, intent)
