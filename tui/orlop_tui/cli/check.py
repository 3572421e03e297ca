"""The commands that judge: check and explain."""

import argparse
import difflib
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from orlop.errors import NotFound
from orlop.finding import Finding, Rule, Severity
from orlop.records import Key
from orlop.store import Store
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import exits, hashing, objects, opening
from orlop_tui.cli.output import Output

_WIDEST = 88
"""Columns of running text at most."""

_SHOWN = 5
"""Findings of one rule of mere information that a terminal shows without ``--all``."""


def check(arguments: argparse.Namespace) -> int:
    """Print what is wrong in a store, worst first."""
    hashing.refuse_without_content(arguments)
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        keys = [opening.find(stores, image) for image in arguments.images]
        chosen = [store for store in stores if not keys or any(store is other for other, _ in keys)]
        found: list[Finding] = []
        for store in chosen:
            own = [key for other, key in keys if other is store] or None
            with hashing.under_way(store, arguments, output) as how:
                findings = _findings(store, own, how, content=arguments.content, output=output)
            found += findings
            _print(output, store, findings, how, whole=own is None, arguments=arguments, several=len(stores) > 1)
        unreadable = opening.notes(output, chosen)
        return exits.of_check((finding.severity for finding in found), unreadable=unreadable)


def _findings(
    store: Store, keys: Sequence[Key] | None, how: "hashing.UnderWay", *, content: bool, output: Output
) -> list[Finding]:
    """Every finding, worst first; as JSON at once, as they come."""
    found = []
    with how.meter:
        for finding in store.check(keys, content=content, progress=how.progress, hashing=how.hashing):
            output.record(objects.finding(finding, store.identity.scope))
            found.append(finding)
    return sorted(found, key=lambda finding: finding.severity)


def _print(
    output: Output,
    store: Store,
    findings: Sequence[Finding],
    how: "hashing.UnderWay",
    *,
    whole: bool,
    arguments: argparse.Namespace,
    several: bool,
) -> None:
    if several:
        output.line(f"{visible(store.identity.label)}  {visible(store.identity.path)}\n")
    for severity in Severity:
        group = [finding for finding in findings if finding.severity is severity]
        if group:
            output.line(f"{severity}  {format.SEVERITY_WORDS[severity]}: {format.count(len(group), 'finding')}\n")
            _print_group(output, group, every=arguments.all or not output.terminal)
    output.line(summary(store, findings, whole=whole, content=arguments.content and not how.cut_short))
    for line in how.lines():
        output.line(line)
    if any(finding.severity.is_damage for finding in findings):
        worst = next(finding for finding in findings if finding.severity.is_damage)
        output.line(f"What a rule means and what to do: orlop explain {worst.rule}")


def _print_group(output: Output, group: Sequence[Finding], *, every: bool) -> None:
    """The findings of one severity, each whole; a terminal shows mere information in short, and not all of it."""
    if every or group[0].severity is not Severity.INFORMATION:
        for finding in group:
            _print_finding(output, finding)
        return
    by_rule: dict[str, list[Finding]] = {}
    for finding in group:
        by_rule.setdefault(f"{finding.rule} {finding.title}", []).append(finding)
    for heading, findings in by_rule.items():
        output.line(heading)
        output.labelled(("-", _in_short(output, finding)) for finding in findings[:_SHOWN])
        if len(findings) > _SHOWN:
            output.line(f"  … and {len(findings) - _SHOWN} more; --all shows them whole")
        output.line()


def _in_short(output: Output, finding: Finding) -> str:
    about = finding.images[:3] or (finding.path.rpartition("/")[2],)
    return f"{output.sentence(finding.detail)}  ({', '.join(output.identity(one) for one in about)})"


def _print_finding(output: Output, finding: Finding) -> None:
    output.line(f"{finding.rule} {finding.title}")
    output.labelled(_facts(output, finding))
    output.line()


def _facts(output: Output, finding: Finding) -> Iterator[tuple[str, str]]:
    yield "where", visible(finding.path)
    yield "found", output.sentence(finding.detail)
    affected = [*(output.name(name) for name in finding.names)]
    affected += [f"image {output.identity(image)}" for image in finding.images]
    affected += [f"container {output.identity(container)}" for container in finding.containers]
    if affected:
        yield "affects", ", ".join(affected)
    if finding.engine_says:
        yield "engine", visible(finding.engine_says)
    if finding.repair is not None:
        yield "repair", format.repair_line(finding.severity, finding.repair)
    if finding.bytes is not None:
        yield "bytes", format.both_sizes(finding.bytes)


_HASHED = {"registry": "every manifest and config hashed", "rkt": "every manifest parsed"}
_NOT_HASHED = {
    "docker": "layer contents not hashed",
    "registry": "layer blobs not hashed",
    "rkt": "images and trees not hashed",
}


def summary(store: Store, findings: Sequence[Finding], *, whole: bool, content: bool) -> str:
    """One line: how much was found of each severity, and how far the check reached."""
    counts = Counter(finding.severity for finding in findings)
    found = ", ".join(f"{counts[severity]} {severity}" for severity in Severity if counts[severity])
    space = sum(finding.bytes or 0 for finding in findings if finding.severity is Severity.SPACE)
    found += f"; {format.size(space)} that nothing needs" if space else ""
    hashed = _HASHED.get(store.identity.kind, "every config hashed")
    configs = hashed if not opening.unreadable([store]) else hashed.replace("every ", "") + " as far as can be read"
    # A layer that could not be hashed is no damage, and no byte of it was seen.
    hindered = any(one.rule == "DK08" and one.severity is Severity.INFORMATION for one in findings)
    hashed_all = "bytes hashed as far as they can be read" if hindered else "all bytes hashed"
    reach = hashed_all if content else f"structure checked and {configs}; {_NOT_HASHED[store.identity.kind]}"
    scope = format.count(store.rows().images, "image") if whole else "the images asked for"
    return f"{format.count(len(findings), 'finding')}{f' ({found})' if found else ''} in {scope}: {reach}"


# --- explain ---------------------------------------------------------------------


def explain(arguments: argparse.Namespace) -> int:
    """Print what a rule means, or the list of them all."""
    from orlop import kinds

    rules = kinds.rules()
    output = Output(json=arguments.json)
    if arguments.rule is None:
        for rule in rules:
            output.record(objects.rule(rule))
        output.table(
            [format.Column(title="RULE"), format.Column(title="SEVERITY"), format.Column(title="FINDING")],
            ([rule.id, rule.severity, rule.title] for rule in rules),
        )
        return exits.DONE
    rule = _named(rules, arguments.rule)
    output.record(objects.rule(rule))
    _print_rule(output, rule)
    return exits.DONE


def _named(rules: Sequence[Rule], name: str) -> Rule:
    """The rule of an id or title, in any case.

    Raises:
        NotFound: there is none; the nearest names are suggested.
    """
    names = {text.lower(): rule for rule in rules for text in (rule.id, rule.title)}
    digits = re.fullmatch(r"([a-z]+)-?([0-9])", name.lower(), re.ASCII)
    found = names.get(f"{digits[1]}0{digits[2]}" if digits else name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        meant = ", ".join(dict.fromkeys(names[text].id for text in near))
        raise NotFound(
            f"no rule has the name {name!r}", do=f"did you mean {meant}?" if meant else "`orlop explain` lists them all"
        )
    return found


def _print_rule(output: Output, rule: Rule) -> None:
    output.line(f"{rule.id} {rule.title}")
    output.line(f"severity {rule.severity}: {format.SEVERITY_WORDS[rule.severity]}")
    output.line(f"repair {format.repair_line(rule.severity, rule.repair)}")
    parts = {"What it is": rule.meaning, "How it comes": rule.causes, "The engine": rule.engine, "What to do": rule.do}
    for title, text in parts.items():
        if text:
            output.line(f"\n{title}")
            output.lines(_wrapped(output, text))


def _wrapped(output: Output, text: str) -> Iterator[str]:
    width = min(output.width or _WIDEST, _WIDEST)
    for paragraph in text.splitlines() or [""]:
        yield from textwrap.wrap(
            visible(paragraph),
            width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
