"""What may follow what was typed so far: fields, state words, and the names of a store."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from orlop.records import Row
from orlop_tui.widgets.filtering import VALUES, fields_of

MOST = 8
"""Ways to go on that are given at most."""


class Names:
    """The names of some rows, ordered so that those that start alike are quickly found; made when first asked for."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._rows = rows
        self._made: dict[str, list[str]] = {}

    def names(self) -> Sequence[str]:
        """Whole names with a tag; no digest references."""
        return self._of("names", lambda row: row.key.name if "@" not in (row.key.name or "") else None)

    def repositories(self) -> Sequence[str]:
        """Repositories, each once."""
        return self._of("repositories", lambda row: row.repository)

    def tags(self) -> Sequence[str]:
        """Tags, each once; no digests."""
        return self._of("tags", lambda row: row.tag if ":" not in row.tag else None)

    def _of(self, what: str, text: Callable[[Row], str | None]) -> list[str]:
        if what not in self._made:
            texts = {found for row in self._rows if (found := text(row))}
            # What cannot be typed, or would be several words, is offered to nobody.
            self._made[what] = sorted(found for found in texts if found.isprintable() and " " not in found)
        return self._made[what]


def of_filter(text: str, names: Names, kind: str) -> tuple[str, ...]:
    """Ways to go on with a filter, each the whole line; the last word alone is looked at.

    Args:
        text: what was typed.
        names: the names of the store.
        kind: the kind of store.
    """
    before, blank, word = text.rpartition(" ")
    sign = "!" if word.startswith("!") else ""
    body = word[len(sign) :]
    if not body:
        return ()
    head = f"{before}{blank}{sign}"
    return tuple(head + found for found in islice(_words(body, names, kind), MOST))


def _words(word: str, names: Names, kind: str) -> Iterable[str]:
    """Words that start so and say more."""
    name, colon, value = word.partition(":")
    if colon and name in VALUES:
        yield from (f"{name}:{known}" for known in VALUES[name] if known.startswith(value) and known != value)
        return
    sources = {"repo": names.repositories, "tag": names.tags}
    if colon and name in sources:
        yield from (f"{name}:{found}" for found in starting(sources[name](), value) if found != value)
        return
    if not colon:
        yield from (field for field in fields_of(kind) if field.startswith(word))
    yield from (found for found in starting(names.repositories(), word) if found != word)


def of_name(text: str, names: Names, scope: str = "") -> tuple[str, ...]:
    """Ways to go on with the name of an image: repositories first, with their tags once a repository is whole.

    Args:
        text: what was typed.
        names: the names of the store.
        scope: the repository that names are given in, where the kind has such; others are not offered then.
    """
    if not text:
        return ()
    repositories = [f"{found}:" for found in starting(names.repositories(), text)] if ":" not in text else []
    found = [*repositories, *starting(names.names(), text)]
    inside = [each for each in found if not scope or each.startswith(f"{scope}:")]
    return tuple(each for each in inside if each != text)[:MOST]


def starting(texts: Sequence[str], start: str) -> Sequence[str]:
    """The first of some sorted texts that start so."""
    place = bisect_left(texts, start)
    return [text for text in texts[place : place + MOST] if text.startswith(start)]
