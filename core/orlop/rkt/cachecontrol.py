"""How long an answer of a server stays fresh, by its ``Cache-Control``.

Facts: RFC 9111, sections 4.2.1 and 5.2. rkt v1.30.0 (rkt/image/resumablesession.go,
getMaxAge) splits at spaces and so misses ``max-age`` before a comma; what it understands
means the same here.
"""

import re

LONGEST = 2**31 - 1
"""Seconds; a longer age is this long, as the standard has it."""

_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?\s*(?:,|$)')
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)
_NEVER = frozenset({"no-cache", "no-store"})


def max_age(header: str) -> int:
    """Seconds that an answer stays fresh; 0 where it does not, or where the header is not well-formed.

    Of several ages the shortest counts; ``no-cache`` and ``no-store`` beat them all.

    Args:
        header: the value; of several headers of that name, joined by commas.
    """
    ages: list[int] = []
    at = 0
    while at < len(header):
        if header[at] in ", \t":
            at += 1
            continue
        found = _DIRECTIVE.match(header, at)
        if found is None:
            return 0
        at = found.end()
        name, value = found[1].lower(), (found[2] or "").strip('"')
        if name in _NEVER:
            return 0
        if name == "max-age":
            ages.append(min(int(value), LONGEST) if _DIGITS.fullmatch(value) else 0)
    return min(ages, default=0)
