"""What stands in the panes beside the image list, as lines for a width; no screen needed."""

from collections.abc import Iterator, Mapping, Sequence

from orlop.finding import Finding, Severity
from orlop.records import Key, Row
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.widgets.lines import Builder, Line, Role, beside, fit, line, rule, span
from orlop_tui.widgets.metapane import at_length, brief, metadata
from orlop_tui.widgets.recordpanes import digests, remotes, uploads
from orlop_tui.widgets.shown import Pane, Shown, ToFinding


def builder(shown: Shown, panes: Sequence[Pane]) -> Builder:
    """The lines of one pane, or of several below each other with a rule before each.

    Below each other, what is long in the metadata comes last, so that the other
    panes are in sight.
    """

    def build(width: int) -> list[Line]:
        if len(panes) == 1:
            return list(_PANES[panes[0]](shown, width))
        lines = list(brief(shown, width))
        for pane in panes:
            if pane is not Pane.META:
                lines += [rule(f"{int(pane)} {pane.title}", width), *_PANES[pane](shown, width)]
        if shown.detail is not None:
            lines += [rule(f"1 {shown.words.beside}", width), *at_length(shown, width)]
        return lines

    return build


def place_of(pane: Pane, lines: Sequence[Line]) -> int:
    """The line where a pane begins among stacked ones."""
    start = f"──── {int(pane)} {pane.title}"
    return next((i for i, found in enumerate(lines) if found.spans and found.spans[0].text.startswith(start)), 0)


# --- 4 problems -------------------------------------------------------------------

_SEVERITY_ROLES: Mapping[Severity, Role] = {
    Severity.BLOCKS: Role.BAD,
    Severity.UNUSABLE: Role.BAD,
    Severity.LATENT: Role.WARN,
    Severity.SPACE: Role.PLAIN,
    Severity.INFORMATION: Role.FAINT,
}


def problems(shown: Shown, width: int) -> Iterator[Line]:
    """Findings of the row, or of the whole store; each leads to the image that it affects."""
    if shown.findings is None:
        yield line(span(shown.unchecked, Role.FAINT))
        return
    own = shown.own
    is_whole = shown.is_whole(Pane.PROBLEMS)
    chosen = shown.findings if is_whole else own
    other = len(shown.findings) - len(chosen)
    about = "the whole store" if is_whole else "this row"
    if is_whole:
        hint = f"a: only this row's {len(own)}"
    else:
        hint = f"a: {other} more in the whole store" if other else "nothing else in the store"
    yield line(span(f"{words.count(len(chosen), 'finding')} in {about}  ", Role.LABEL), span(hint, Role.FAINT))
    for finding in chosen:
        yield from _finding(finding, width)


def _finding(finding: Finding, width: int) -> Iterator[Line]:
    role = _SEVERITY_ROLES[finding.severity]
    head = f"{finding.severity} {finding.rule} {visible(finding.title)}"
    yield line(span(fit(head, min(width, len(head))), role), target=ToFinding(finding), copy=finding.path)
    yield from beside("where", finding.path, width, 3, Role.PLAIN)
    yield from beside("found", finding.detail, width, 3, Role.PLAIN)
    if finding.engine_says:
        yield from beside("engine", finding.engine_says, width, 3, Role.FAINT)
    if finding.names:
        yield from beside("names", ", ".join(finding.names[:8]), width, 3, Role.FAINT)
    if finding.repair is not None:
        yield from beside("repair", words.REPAIR_WORDS[finding.repair], width, 3, Role.FAINT)


def affected(finding: Finding, rows: Sequence[Row]) -> Key | None:
    """The first row that a finding is about; None where it is about none."""
    names, images = set(finding.names), set(finding.images)
    by_name = next((row.key for row in rows if row.key.name in names), None) if names else None
    return by_name or (next((row.key for row in rows if row.key.id in images), None) if images else None)


_PANES = {
    Pane.META: metadata,
    Pane.DIGESTS: digests,
    Pane.REMOTE: remotes,
    Pane.PROBLEMS: problems,
    Pane.UPLOADS: uploads,
}
