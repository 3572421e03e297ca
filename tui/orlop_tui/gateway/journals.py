"""A store's journal, for screens."""

import pwd
from typing import TYPE_CHECKING

from orlop.plan import Quarantine
from orlop.store import Store
from orlop_tui import messages

if TYPE_CHECKING:
    from orlop.journal import Change, Journal, Recorded


def journal_of(store: Store) -> "Journal":
    """What was changed in a store; nothing is read yet."""
    from orlop.journal import Journal

    return Journal.of(store.root)


def past(change: "Change") -> messages.PastChange:
    """A change as a line of the journal screen."""
    return messages.PastChange(
        id=change.id,
        at=change.at,
        action=change.action,
        state=change.state.value,
        bytes=change.bytes,
        by=_user_name(change.user),
        lines=tuple(f"{step.step.to_json()['op']} {step.path}" for step in change.steps),
        back=tuple(_back(step) for step in reversed(change.steps)),
    )


def _back(recorded: "Recorded") -> str:
    """What taking a step back does."""
    step = recorded.step
    if isinstance(step, Quarantine):
        return f"{step.kind} {step.path} comes back"
    return f"{step.path} goes again" if step.old is None else f"{step.path} gets its old content back"


def _user_name(user: int | None) -> str:
    if user is None:
        return ""
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):
        return f"user {user}"  # the store came from another machine
