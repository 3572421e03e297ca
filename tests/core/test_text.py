import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.text import MASK, decode, is_odd, looks_secret, masked, masked_env, masked_line, middle, runs, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)  # surrogates too


@pytest.mark.parametrize("text", ["", "busybox:latest", "a b", "naïve", "日本語", "e\u0301", "🙂", r"\x1b", "\ufffd"])
def test_text_that_shows_as_it_is_stays_itself(text: str) -> None:
    assert visible(text) == text
    assert not is_odd(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;AAAA\x07", "␛]52;c;AAAA␇"),
        ("a\r\nb\tc\0\x7f", "a␍␊b␉c␀␡"),
        ("\x9b2J", r"\u009b2J"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("a\u200db", r"a\u200db"),
        ("a\u00a0b\u00adc", r"a\u00a0b\u00adc"),
        ("\ufeffa\u2028", r"\ufeffa\u2028"),
        ("\ue000\U000e0041", r"\ue000\U000e0041"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_acts_on_a_terminal_or_hides_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert is_odd(text)


@pytest.mark.parametrize("blank", "\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180f\ufe0f\U000e0100")
def test_letters_that_draw_nothing_are_spelled_out_though_unicode_calls_them_printable(blank: str) -> None:
    assert blank.isprintable()
    assert visible(f"a{blank}b") == (f"a\\u{ord(blank):04x}b" if ord(blank) < 0x10000 else f"a\\U{ord(blank):08x}b")


def test_a_combining_mark_stands_on_a_character_or_is_spelled_out() -> None:
    assert visible("e\u0301") == "e\u0301"
    assert visible("\u0301\u0302x") == r"\u0301\u0302x"
    assert visible("\n\u0301") == "␊" + r"\u0301"


def test_every_character_is_shown_or_spelled_out() -> None:
    # Planes 0, 1 and 14 whole; the others hold one kind of character each.
    for code in [*range(0x20000), *range(0x20000, sys.maxunicode, 4099), *range(0xE0000, 0xE0200)]:
        shown = visible("a" + chr(code))
        assert shown.isprintable(), hex(code)
        shown.encode()  # no surrogate is left
        if shown[1:] == chr(code):
            assert unicodedata.category(chr(code)) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, hex(code)


@given(ANY_TEXT)
def test_showing_twice_changes_nothing_more(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert not is_odd(visible(text))


@given(ANY_TEXT)
def test_the_pieces_join_to_the_visible_text_and_say_what_was_spelled(text: str) -> None:
    pieces = list(runs(text))
    assert "".join(piece for piece, _ in pieces) == visible(text)
    assert any(spelled for _, spelled in pieces) == is_odd(text)
    kept = [piece for piece, spelled in pieces if not spelled]
    assert all(piece in text for piece in kept)
    assert len(text) == sum(map(len, kept)) + sum(spelled for _, spelled in pieces)


@given(st.binary(max_size=40))
def test_bytes_that_are_not_utf8_are_kept_inside_and_shown_outside(data: bytes) -> None:
    text = decode(data)
    assert text.encode("utf-8", "surrogateescape") == data
    visible(text).encode()


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcdefghij", 5, "ab…ij"),
        ("abcdefghij", 4, "ab…j"),
        ("abcdefghij", 2, "a…"),
        ("abcdefghij", 1, "…"),
        ("abcdefghij", 0, ""),
        ("abcdefghij", -3, ""),
    ],
)
def test_a_long_text_loses_its_middle(text: str, width: int, cut: str) -> None:
    assert middle(text, width) == cut


@given(st.text(max_size=30), st.integers(0, 40))
def test_a_cut_text_is_never_wider_than_asked(text: str, width: int) -> None:
    assert len(middle(text, width)) == min(len(text), width)


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD",
        "PGPASSWORD",
        "GITHUB_TOKEN",
        "githubToken",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "ApiKey",
        "API_KEYS",
        "APIKEY",
        "DB_PASS",
        "MYSQL_PWD",
        "com.example.auth",
        "credentials",
        "SSH_PRIVATE_KEY",
        "--password",
        "GITHUBTOKEN",
    ],
)
def test_names_of_secrets_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "PATH",
        "PWD",
        "OLDPWD",
        "HOME",
        "KEYBOARD",
        "MONKEY",
        "COMPASS",
        "AUTHOR",
        "org.opencontainers.image.authors",
        "TOKENIZERS_PARALLELISM",
        "PUBLIC_KEY",
        "PYTHON_VERSION",
        "日本",
    ],
)
def test_names_of_other_things_do_not(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("PATH=/bin", "PATH=/bin"),
        ("DB_PASSWORD=hunter2", f"DB_PASSWORD={MASK}"),
        ("DB_PASSWORD=", "DB_PASSWORD="),
        ("DB_PASSWORD", "DB_PASSWORD"),
        ("TOKEN=a=b", f"TOKEN={MASK}"),
        ("URL=https://me:hunter2@example.com/x", f"URL=https://me:{MASK}@example.com/x"),
        ("URL=redis://:p@ss@db:6379", f"URL=redis://:{MASK}@db:6379"),
        ("URLS=a://u:p@h,b://h:80/x@y", f"URLS=a://u:{MASK}@h,b://h:80/x@y"),
    ],
)
def test_values_of_secrets_in_the_environment_are_masked(entry: str, shown: str) -> None:
    assert masked_env(entry) == shown


def test_a_mask_says_nothing_of_the_length_of_the_secret() -> None:
    assert masked("token", "a") == masked("token", "a" * 99) == MASK


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/bin/sh -c #(nop)  ENV DB_PASSWORD=hunter2", f"/bin/sh -c #(nop)  ENV DB_PASSWORD={MASK}"),
        ("|2 NPM_TOKEN=abc VERSION=1 /bin/sh -c make", f"|2 NPM_TOKEN={MASK} VERSION=1 /bin/sh -c make"),
        ("""export A_TOKEN="a b" B='c d'""", f"export A_TOKEN={MASK} B='c d'"),
        ("run --password=x --user=y", f"run --password={MASK} --user=y"),
        ("git clone https://me:pw@example.com/x", f"git clone https://me:{MASK}@example.com/x"),
        ("a == b", "a == b"),
    ],
)
def test_secrets_in_commands_are_masked(line: str, shown: str) -> None:
    assert masked_line(line) == shown


@pytest.mark.parametrize("line", ["a" * 200_000, "A='" * 70_000, 'A="' * 70_000, "://a:" * 50_000, "a." * 100_000])
@pytest.mark.timeout(10)
def test_masking_takes_no_longer_for_a_line_made_to_be_slow(line: str) -> None:
    assert len(masked_line(line)) > 0
