"""The commands that change a store: each makes a plan, shows it, asks, applies it."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop.errors import Ambiguous, Changed, Malformed, NotFound, Refused
from orlop.intent import DropRemotes, Intent, Remove, RemoveRepository, SetLatest, Tag, Unmap, Untag
from orlop.plan import Plan, Refusal, SavedPlan
from orlop.records import Facet, Mapping, Remote
from orlop.store import Statement, Store
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import exits, objects, opening, planfile
from orlop_tui.cli.exits import Declined, Usage
from orlop_tui.cli.output import Meter, Output, say
from orlop_tui.equivalent import command

if TYPE_CHECKING:
    from orlop.apply import Receipt
    from orlop.journal import Journal

DRY_RUN = "Nothing was changed: this was a dry run."

# --- the commands --------------------------------------------------------------


def rm(arguments: argparse.Namespace) -> int:
    """Remove names; an image goes with its last name, or whole where its id was given."""
    if bool(arguments.images) == bool(arguments.repository):
        raise Usage("say what goes: names or ids of images, or --repository with names of repositories")
    if arguments.repository:
        with opening.one(arguments.path, arguments.driver) as store:
            return change(store, RemoveRepository(names=tuple(dict.fromkeys(arguments.repository))), arguments)
    with opening.one(arguments.path, arguments.driver) as store:
        keys = [opening.find([store], image)[1] for image in arguments.images]
        return change(store, Remove(keys=tuple(dict.fromkeys(keys))), arguments)


def tag(arguments: argparse.Namespace) -> int:
    """Give an image a name."""
    with opening.one(arguments.path, arguments.driver) as store:
        _, key = opening.find([store], arguments.image)
        return change(store, Tag(image=key.id, name=arguments.name, scope=key.scope), arguments)


def untag(arguments: argparse.Namespace) -> int:
    """Take names away, and nothing else."""
    with opening.one(arguments.path, arguments.driver) as store:
        names = dict.fromkeys(_name(store, text) for text in arguments.names)
        return change(store, Untag(names=tuple(names)), arguments)


def unmap(arguments: argparse.Namespace) -> int:
    """Remove V2 digest mappings."""
    if bool(arguments.digests) == arguments.stale:
        raise Usage("say which mappings: digests or diff ids, or --stale for all stale ones")
    with opening.one(arguments.path, arguments.driver) as store:
        chosen = _chosen(store, arguments)
        if not chosen:
            Output(json=arguments.json).line("no stale mapping is there: nothing to do")
            return exits.DONE
        triples = dict.fromkeys((one.diff_id, one.digest, one.source) for one in chosen)
        return change(store, Unmap(mappings=tuple(triples)), arguments)


def latest(arguments: argparse.Namespace) -> int:
    """Say that an image is the newest of its name, or that it is not."""
    with opening.one(arguments.path, arguments.driver) as store:
        _, key = opening.find([store], arguments.image)
        return change(store, SetLatest(image=key.id, latest=not arguments.clear), arguments)


def forget(arguments: argparse.Namespace) -> int:
    """Remove remote records."""
    if bool(arguments.urls) == arguments.lost:
        raise Usage("say which records: their URLs, or --lost for all that lead to no image")
    with opening.one(arguments.path, arguments.driver) as store:
        urls = list(dict.fromkeys(arguments.urls)) or _lost(store)
        if not urls:
            Output(json=arguments.json).line("every remote record leads to an image: nothing to do")
            return exits.DONE
        return change(store, DropRemotes(urls=tuple(urls)), arguments)


def _lost(store: Store) -> list[str]:
    records = store.facet(Facet.REMOTES, None)
    found = [one for one in records if isinstance(one, Remote)] if isinstance(records, tuple) else []
    return [one.url for one in found if one.url is not None and not one.image_known]


def apply(arguments: argparse.Namespace) -> int:
    """Apply a saved plan, or complete a change that was cut off."""
    if (arguments.file is None) != arguments.finish:
        raise Usage("give a plan FILE, or --finish to complete a change that was cut off")
    if arguments.finish:
        return _finish(arguments)
    saved = planfile.read(arguments.file)
    with opening.one(arguments.path, arguments.driver) as store:
        return _apply_saved(store, saved, arguments)


# --- what is meant -----------------------------------------------------------------


def _name(store: Store, text: str) -> str:
    """The name in the store that a person means.

    Raises:
        Usage: it is the id of an image, which has no name of its own.
    """
    _, key = opening.find([store], text)
    if key.name is None:
        raise Usage(
            f"{text!r} is the id of an image, and untag takes names",
            do="`orlop show` lists an image's names; `orlop rm` removes an image by its id",
        )
    return key.name


def _chosen(store: Store, arguments: argparse.Namespace) -> list[Mapping]:
    """The mappings that the arguments mean.

    Raises:
        NotFound: a digest or diff id has none.
        Ambiguous: a prefix of several.
    """
    records = store.facet(Facet.MAPPINGS, None)
    everything = [one for one in records if isinstance(one, Mapping)] if isinstance(records, tuple) else []
    if arguments.source is not None:
        everything = [one for one in everything if one.source == arguments.source]
    if arguments.stale:
        return [one for one in everything if one.stale]
    return [one for term in arguments.digests for one in _with_digest(everything, term)]


def _with_digest(mappings: Iterable[Mapping], term: str) -> list[Mapping]:
    digits = term.removeprefix("sha256:")
    found = [one for one in mappings for text in (one.diff_id, one.digest) if _starts(text, digits)]
    meant = {text for one in found for text in (one.diff_id, one.digest) if _starts(text, digits)}
    if len(meant) > 1:
        raise Ambiguous(term, sorted(meant), do="give more digits")
    if not found:
        raise NotFound(f"no mapping has {term!r} as its digest or diff id", do="`orlop mappings` lists them")
    return found


def _starts(text: str, digits: str) -> bool:
    return bool(digits) and text.removeprefix("sha256:").startswith(digits)


# --- show, ask, apply -----------------------------------------------------------------


def change(store: Store, intent: Intent, arguments: argparse.Namespace) -> int:
    """Make the plan of an intent, show it, ask, apply it; the exit code."""
    from orlop.apply import apply as run

    output = Output(json=arguments.json, full=arguments.no_trunc)
    plan = _planned(store, intent)
    _show(output, store, plan, arguments)
    if arguments.plan is not None:
        planfile.write(arguments.plan, plan, store)
        say(f"the plan is in {visible(arguments.plan)}; apply it with:")
        say(f"  {format.shell(['orlop', 'apply', arguments.path, arguments.plan, *_stated(arguments)])}")
        if not arguments.yes:
            return exits.DONE
    if not _to_go_on(output, store, plan, arguments):
        return exits.DONE
    with under_way(store, arguments.path) as (journal, meter):
        receipt = run(store, plan, journal, statement=statement(arguments), progress=meter)
    return print_receipt(output, receipt, arguments)


def _apply_saved(store: Store, saved: SavedPlan, arguments: argparse.Namespace) -> int:
    from orlop.apply import apply_saved

    output = Output(json=arguments.json, full=arguments.no_trunc)
    plan = _of_this_store(store, saved, arguments)
    _show(output, store, plan, arguments)
    if not _to_go_on(output, store, plan, arguments):
        return exits.DONE
    with under_way(store, arguments.path) as (journal, meter):
        receipt = apply_saved(store, saved, journal, statement=statement(arguments), progress=meter)
    return print_receipt(output, receipt, arguments)


def _planned(store: Store, intent: Intent) -> Plan:
    """The plan of an intent.

    Raises:
        Refused: the store will not make it; each reason by itself.
        Usage: a new name does not parse.
    """
    try:
        made = store.plan(intent)
    except Malformed as error:
        if isinstance(intent, Tag):
            raise Usage(f"{intent.name!r} cannot be a name", why=error.why, do=error.do) from error
        raise
    if isinstance(made, Refusal):
        raise Refused(f"refused: {made.action}", made.reasons, do=made.do)
    return made


def _of_this_store(store: Store, saved: SavedPlan, arguments: argparse.Namespace) -> Plan:
    """The plan made anew, for showing; the executor compares once more under the lock.

    Raises:
        Refused: it was made for another store.
        Changed: the store is no longer what it saw.
    """
    if (saved.kind, saved.store) != (store.identity.kind, store.identity.token):
        raise Refused(
            "the plan was made for another store",
            [f"for the {saved.kind} store {saved.store}, and this is {store.identity.label} {store.identity.token}"],
            path=arguments.file,
            do="make the plan again for this store",
        )
    try:
        plan = _planned(store, saved.intent)
    except NotFound as error:  # what it was about is no longer there: done already, or removed by another
        raise Changed(
            "the store changed since the plan was made",
            path=arguments.file,
            why=f"then it was: {saved.document.get('action')}; now {error.what}",
            do="make the plan again, and look at it again",
        ) from error
    if plan.fingerprint != saved.fingerprint:
        raise Changed(
            "the store changed since the plan was made",
            path=arguments.file,
            why=f"then it was: {saved.document.get('action')}; now it would be: {plan.action}",
            do="make the plan again, and look at it again",
        )
    return plan


def _finish(arguments: argparse.Namespace) -> int:
    from orlop.apply import finish
    from orlop.journal import Journal

    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.of_one_root(arguments.path, arguments.driver) as stores:
        change = Journal.of(stores[0].root).unfinished()
        if change is None:
            output.line("no change was cut off: nothing to finish")
            return exits.DONE
        output.line(f"To complete: {visible(change.action)} (change {visible(change.id)})")
        if arguments.dry_run:
            output.line(DRY_RUN)
            return exits.DONE
        store = opening.touched_by(stores, change)
        check_holdable(store, arguments)
        ask("complete it", "yes", arguments.yes)
        with under_way(store, arguments.path) as (journal, _):
            receipt = finish(store, journal, statement=statement(arguments))
        return print_receipt(output, receipt, arguments)


def _stated(arguments: argparse.Namespace) -> list[str]:
    return ["--offline"] if arguments.offline else []


def statement(arguments: argparse.Namespace) -> Statement | None:
    """What the person states on the command line."""
    return Statement(offline=True) if arguments.offline else None


@contextmanager
def under_way(store: Store, path: str) -> "Iterator[tuple[Journal, Meter]]":
    """While a change runs: its journal and progress; an interruption says what became of it."""
    from orlop.journal import Journal

    journal = Journal.of(store.root)
    try:
        with Meter() as meter:
            yield journal, meter
    except KeyboardInterrupt:
        say("")
        opening.name_unfinished(path, [store])
        raise


def _to_go_on(output: Output, store: Store, plan: Plan, arguments: argparse.Namespace) -> bool:
    """Whether there is something to do and it is wanted; asks where nobody said so yet.

    Raises:
        Locked, NeedsStatement, ReadOnly: the store cannot be held, and asking would be in vain.
        Declined: the person said no.
    """
    if arguments.dry_run:
        output.line(f"\n{DRY_RUN}")
        return False
    if not plan.steps:
        output.line("\nNothing has to be changed.")
        return False
    check_holdable(store, arguments)
    if plan.weighty:
        number, noun = format.weight(plan)
        removes = any(reason.verb == "remove" for reason in plan.reasons)
        why = "" if removes else "; a repository loses its last tag"
        ask(f"go on ({format.count(number, noun)}{why})", str(number), arguments.yes)
    else:
        ask("go on", "yes", arguments.yes)
    return True


def check_holdable(store: Store, arguments: argparse.Namespace) -> None:
    """Make sure that the store can be held for writing, before a person is asked; holds it for an instant.

    Raises:
        Locked, NeedsStatement, ReadOnly, …: as `Store.guard`.
    """
    with store.guard(statement(arguments)):
        pass


def ask(what: str, word: str, yes: bool) -> None:
    """Let a person type a word before something is done; `yes` stands for it.

    Raises:
        Declined: another word, or nobody is there to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Declined(
            "nothing was changed: nobody is there to ask",
            why="the input is not a terminal",
            do="--yes goes on without asking, --dry-run only shows the plan",
        )
    sys.stdout.flush()
    print(f"\nType {word} to {what}: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        raise Declined("nothing was changed: you did not say " + word)


# --- printing ---------------------------------------------------------------------------


def _show(output: Output, store: Store, plan: Plan, arguments: argparse.Namespace) -> None:
    """What a plan does, why, what stays, the bytes, what it rests on, and its command."""
    output.record(plan.to_json())
    snapshot = store.rows()
    action = output.sentence(plan.action)
    output.line(f"{action[:1].upper()}{action[1:]}\n")
    engine = visible(snapshot.engine_text)
    commands = command(
        arguments.path, plan.intent, driver=arguments.driver or "", offline=arguments.offline
    ).splitlines()
    output.labelled(
        [
            ("Space", format.plan_space(plan)),
            *format.plan_lines(plan, full=output.full, listed=output.full),
            ("Basis", f"{visible(store.identity.label)} seen {format.moment(snapshot.seen_at)}"),
            ("", f"{format.ENGINE_WORDS[snapshot.engine]}{f': {engine}' if engine else ''}"),
        ]
    )
    output.line("\nThe same by command:")  # not broken into lines: it is there to be copied
    output.lines(f"  {line}" for line in commands)


def print_receipt(output: Output, receipt: "Receipt", arguments: argparse.Namespace, *, undoable: bool = True) -> int:
    """What was done, how to take it back, and what re-checking found; the exit code of it."""
    output.record(
        {
            "type": "receipt",
            "change": receipt.change or None,
            "action": receipt.action,
            "steps": receipt.steps,
            "bytes_freed": receipt.bytes_freed,
            "bytes_quarantined": receipt.bytes_quarantined,
            "remarks": list(receipt.remarks),
        }
    )
    output.line(f"\nDone: {visible(receipt.action)}")
    output.labelled(_receipt_facts(receipt, arguments, undoable=undoable))
    for finding in receipt.findings:
        output.record(objects.finding(finding, ""))
        output.line(f"re-checking found: {format.finding_line(finding)}")
    return exits.of_check((finding.severity for finding in receipt.findings), unreadable=False)


def _receipt_facts(receipt: "Receipt", arguments: argparse.Namespace, *, undoable: bool) -> Iterator[tuple[str, str]]:
    if receipt.change:
        yield "change", visible(receipt.change)
    kept = f", {format.size(receipt.bytes_quarantined)} in the quarantine" if receipt.bytes_quarantined else ""
    yield "space", f"{format.size(receipt.bytes_freed)} freed{kept}"
    for remark in receipt.remarks:
        yield "note", visible(remark)
    if undoable and receipt.change:
        yield "undo", format.shell(["orlop", "undo", arguments.path, *_stated(arguments)])
    if receipt.bytes_quarantined:
        purge = format.shell(["orlop", "purge", arguments.path, *_stated(arguments)])
        yield "purge", f"{purge}   (frees the space, and ends the undo)"
