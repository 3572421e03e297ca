"""What the gateway answers about references, over a store on disk."""

from collections.abc import Callable

from orlop.errors import Ambiguous
from orlop.intent import Remove
from orlop.plan import Plan
from orlop.records import Holding
from orlop_tui import messages
from orlop_tui.gateway import Gateway
from tests.tui.test_gateway import Desk, desk, opened, pristine, sample

__all__ = ["desk", "opened", "pristine", "sample"]

Opened = Callable[..., Gateway]


def test_a_digest_is_explained_by_each_store_and_what_holds_and_frees_it_is_known(
    desk: Desk, opened: Opened, pristine: str
) -> None:
    gateway = opened(pristine, watching=False)
    rows = desk.wait(messages.StoreOpened).snapshot.rows
    redis = next(row for row in rows if row.key.name == "redis:7")
    gateway.why(redis.key.id)
    (answer,) = desk.wait(messages.Explained).answers
    assert answer.why is not None
    assert answer.why.is_a == ("image",)
    assert redis.key in {link.key for chain in answer.why.kept_by for link in chain}
    gateway.why("nobody knows this")
    assert desk.wait(messages.Explained, lambda told: told.text.startswith("nobody")).answers[0].why is None
    gateway.why("a")
    gateway.why("")
    gateway.holders(0, ((Holding.DIGEST, redis.key.id), (Holding.LAYER, "no")))
    answers = desk.wait(messages.HoldersReady).answers
    assert [images for _, _, images in answers] == [{redis.key.id}, frozenset()]
    keys = frozenset(row.key for row in rows if row.key.id == redis.key.id)
    gateway.freed(0, keys)
    freed = desk.wait(messages.FreedReady)
    assert (freed.keys, freed.freed) == (keys, redis.own_size)


def test_the_start_of_several_digests_says_so(desk: Desk, opened: Opened, pristine: str) -> None:
    gateway = opened(pristine, watching=False)
    gateway.why("1")
    gateway.why("sha256:1")
    told = desk.wait(messages.Explained, lambda told: told.text == "sha256:1").answers[0]
    assert told.why is None
    assert told.error is None or isinstance(told.error, Ambiguous)


def test_a_change_is_previewed_until_it_was_taken_back(desk: Desk, opened: Opened, sample: str) -> None:
    gateway = opened(sample, watching=False)
    rows = desk.wait(messages.StoreOpened).snapshot.rows
    gateway.plan(0, Remove(keys=(next(row.key for row in rows if row.key.name == "redis:7"),)))
    plan = desk.wait(messages.PlanReady).plan
    assert isinstance(plan, Plan)
    gateway.apply(0, plan, offline=False)
    change = desk.wait(messages.Applied).receipt.change
    gateway.preview(0, change)
    assert desk.wait(messages.Previewed).problem is None
    gateway.journal(0)
    (past,) = desk.wait(messages.JournalReady).changes
    assert len(past.back) == len(past.lines) > 0
    gateway.undo(0, change, offline=False)
    desk.wait(messages.Applied, lambda applied: applied.action == "undo")
    gateway.preview(0, change)
    problem = desk.wait(messages.Previewed, lambda told: told.problem is not None).problem
    assert "cannot be taken back" in str(problem)
