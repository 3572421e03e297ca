"""The one boundary for text: everything of a store passes here before a person sees it.

Names, labels, history lines and file names are chosen by whoever made the image.
Raw, they can move the cursor, write the clipboard, reverse the reading order or
hide. `visible` spells every such character out; inside Orlop the text stays as
it is, bytes that are not UTF-8 as surrogate escapes.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MASK = "••••••"
"""What stands in the place of a secret."""

# Printable by Unicode's categories, and yet they draw nothing: Hangul and Khmer fillers, the
# grapheme joiner, the blank Braille cell, Mongolian and other variation selectors.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_BLANKS = re.compile(f"[{_BLANK}]")
_NOT_PLAIN = re.compile(r"[^ -~]")


def visible(text: str) -> str:
    """The text with nothing in it that acts on a terminal or cannot be seen.

    Printable text comes back as it is. Control characters become their pictures
    (``␛``, ``␊``, ``␡``), a byte that is not UTF-8 ``\\xNN``, every other character
    that would not show ``\\uNNNN`` or ``\\UNNNNNNNN``: C1 controls, direction marks,
    joiners, blank-looking letters, spaces other than the space, private and
    unassigned ones, and a combining mark that has nothing to stand on. The result is
    valid UTF-8 on one line. Applying it twice changes nothing more. It cannot be
    reversed: a literal ``\\x1b`` stays as it is too.
    """
    if text.isascii() and text.isprintable():
        return text
    if text.isprintable() and _BLANKS.search(text) is None and not _is_mark(text[0]):
        return text
    return "".join([piece for piece, _ in runs(text)])


def is_odd(text: str) -> bool:
    """Whether `visible` has to spell something out."""
    return visible(text) != text


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of `visible`, each with whether it was spelled out, so that a screen can set those apart."""
    start = 0  # of what is still to be given as it is
    for match in _NOT_PLAIN.finditer(text):
        at = match.start()
        if _shows(match.group(), first=at == start):
            continue
        if start < at:
            yield text[start:at], False
        yield _spelled(match.group()), True
        start = at + 1
    if start < len(text):
        yield text[start:], False


def _shows(character: str, *, first: bool) -> bool:
    if not character.isprintable() or _BLANKS.match(character) is not None:
        return False
    return not (first and _is_mark(character))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


@lru_cache(maxsize=1024)
def _spelled(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def decode(data: bytes) -> str:
    """UTF-8, with every byte that is not as a surrogate escape; never fails."""
    return data.decode("utf-8", "surrogateescape")


def middle(text: str, width: int) -> str:
    """At most `width` characters: a longer text loses its middle to one ``…``."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[: max(width, 0)]
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


# Secrets ---------------------------------------------------------------------

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = frozenset(
    {
        "auth",
        "cookie",
        "cred",
        "creds",
        "dsn",
        "jwt",
        "key",
        "keys",
        "pass",
        "pat",
        "psk",
        "pw",
        "pwd",
        "token",
        "tokens",
    }
)
_SECRET_PARTS = re.compile(
    r"password|passwd|passphrase|secret|credential"
    r"|(?:api|access|private|signing|encryption|ssh|account)keys?(?![a-z])"
    r"|(?:tokens?|dbpass|pgpass)(?![a-z])"
)
_OPEN_NAMES = frozenset({"pwd", "oldpwd"})
_NAME_LIMIT = 256
_URL_PASSWORD = re.compile(r"(://[^\s/?#@:]*:)[^\s/?#]+@")
# Every repetition that could begin anywhere is bounded, so that a long line costs no more than its length.
_ASSIGNMENT = re.compile(r"""(?<![\w.-])([A-Za-z_-][\w.-]{0,255})=("[^"]{0,65536}"|'[^']{0,65536}'|[^\s"'][^\s]*)""")


def looks_secret(name: str) -> bool:
    """Whether the name of a variable or label says that its value is a password, a token or a key.

    A guess from English words: ``PUBLIC_KEY``, ``PWD`` and ``TOKENIZERS`` are none.
    Only the first 256 characters count.
    """
    return _looks_secret(name[:_NAME_LIMIT])


@lru_cache(maxsize=4096)
def _looks_secret(name: str) -> bool:
    folded = name.lower()
    if folded in _OPEN_NAMES:
        return False
    words = {word.lower() for word in _WORDS.findall(name)}
    if words & {"public", "pub"}:
        words -= {"key", "keys"}
    return bool(words & _SECRET_WORDS) or _SECRET_PARTS.search(folded) is not None


def masked(name: str, value: str) -> str:
    """The value, or `MASK` where its name looks secret; a password inside a URL is masked in any case."""
    if value and looks_secret(name):
        return MASK
    if "://" in value:
        return _URL_PASSWORD.sub(rf"\1{MASK}@", value)
    return value


def masked_env(entry: str) -> str:
    """An entry ``NAME=value`` with its value as `masked` shows it; an entry without ``=`` stays."""
    name, equals, value = entry.partition("=")
    return f"{name}={masked(name, value)}" if equals else entry


def masked_line(line: str) -> str:
    """A command or history line with what `masked` would hide in its assignments, such as those of ENV and ARG."""
    return masked("", _ASSIGNMENT.sub(lambda found: f"{found[1]}={masked(found[1], found[2])}", line))
