import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.errors import Malformed
from orlop.reference import Reference, check_new, parse, split, with_default_tag

HEX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "familiar"),
    [
        ("busybox", "docker.io", "library/busybox", None, "busybox"),
        ("library/busybox", "docker.io", "library/busybox", None, "busybox"),
        ("docker.io/busybox", "docker.io", "library/busybox", None, "busybox"),
        ("docker.io/library/busybox:latest", "docker.io", "library/busybox", "latest", "busybox:latest"),
        ("index.docker.io/busybox", "docker.io", "library/busybox", None, "busybox"),
        ("index.docker.io/library/busybox", "docker.io", "library/busybox", None, "busybox"),
        ("docker.io/library/a/b", "docker.io", "library/a/b", None, "library/a/b"),
        ("a/b", "docker.io", "a/b", None, "a/b"),
        ("localhost/a", "localhost", "a", None, "localhost/a"),
        ("localhost", "docker.io", "library/localhost", None, "localhost"),
        ("localhost:5000", "docker.io", "library/localhost", "5000", "localhost:5000"),
        ("localhost:5000/a/b:tag", "localhost:5000", "a/b", "tag", "localhost:5000/a/b:tag"),
        ("gcr.io/p/q:v1.0_x-y", "gcr.io", "p/q", "v1.0_x-y", "gcr.io/p/q:v1.0_x-y"),
        ("Docker.io/x", "Docker.io", "x", None, "Docker.io/x"),
        ("a.b/c", "a.b", "c", None, "a.b/c"),
        ("a-b_c__d.e---f", "docker.io", "library/a-b_c__d.e---f", None, "a-b_c__d.e---f"),
        ("x:" + "t" * 128, "docker.io", "library/x", "t" * 128, "x:" + "t" * 128),
        ("x:_T", "docker.io", "library/x", "_T", "x:_T"),
        ("sha256:abc", "docker.io", "library/sha256", "abc", "sha256:abc"),
        ("a" * 255, "docker.io", "library/" + "a" * 255, None, "a" * 255),
    ],
)
def test_a_name_is_read_in_any_spelling_and_written_in_its_short_one(
    text: str, domain: str, path: str, tag: str | None, familiar: str
) -> None:
    found = parse(text)
    assert found == Reference(domain=domain, path=path, tag=tag, digest=None)
    assert found.familiar == familiar
    assert found.full == f"{domain}/{path}" + (f":{tag}" if tag else "")


@pytest.mark.parametrize("text", [f"org/app@{DIGEST}", f"org/app:1.0@{DIGEST}", f"docker.io/org/app@{DIGEST}"])
def test_a_digest_counts_and_a_tag_before_it_does_not(text: str) -> None:
    found = parse(text)
    assert (found.repository, found.tag, found.digest) == ("org/app", None, Digest.parse(DIGEST))
    assert found.familiar == f"org/app@{DIGEST}"
    assert with_default_tag(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER",
        "Org/app",
        "docker.io/Library/x",
        "busybox:",
        "busybox:a b",
        "busybox:-x",
        "busybox:.x",
        "busybox:tägs",
        "x:" + "t" * 129,
        ":tag",
        f"@{DIGEST}",
        "busybox@",
        "busybox@sha256:abc",
        f"busybox@sha256:{HEX.upper()}",
        f"busybox@{DIGEST}\n",
        f"busybox@{DIGEST}@{DIGEST}",
        f"busybox@{HEX}",
        "busybox@md5:" + "a" * 32,
        "busybox:a:b",
        "-x",
        "x-",
        "a//b",
        "a/",
        "/a",
        "a b",
        "a..b",
        "a___b",
        "a._b",
        "..",
        "../a",
        "a/../b",
        "busybox\n",
        "busybox:latest\n",
        "busybox\0",
        "bücher",
        "busybox:１",
        "http://x/y",
        "-a.b/c",
        "a_b.c:80/x",
        "a" * 256,
        "gcr.io/" + "a" * 249,
        "[::1]:5000/x",
        "\udcff",
    ],
)
def test_what_is_no_name_is_refused_with_the_words_of_the_engine(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert caught.value.engine == f'Error parsing reference: "{text}" is not a valid repository/tag'
    assert caught.value.why


@pytest.mark.parametrize("text", [HEX, f"{HEX}:tag", f"library/{HEX}", f"docker.io/library/{HEX}", f"{HEX}@{DIGEST}"])
def test_a_name_that_would_read_as_an_id_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert caught.value.engine == f"Invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"


@pytest.mark.parametrize("text", [f"org/{HEX}", HEX[:63], HEX + "a", f"localhost/{HEX}"])
def test_a_name_that_only_resembles_an_id_is_read(text: str) -> None:
    assert parse(text).familiar == text


def test_digests_of_other_algorithms_are_refused_by_their_name() -> None:
    with pytest.raises(Malformed, match="only sha256"):
        parse("a@sha512:" + "0" * 128)


def test_a_path_that_begins_like_a_host_is_written_as_the_engine_writes_it() -> None:
    found = parse("docker.io/a.b/c")
    assert (found.domain, found.path, found.familiar) == ("docker.io", "a.b/c", "a.b/c")
    assert parse("a.b/c").domain == "a.b"


def test_a_name_alone_means_latest() -> None:
    assert with_default_tag(parse("busybox")).familiar == "busybox:latest"
    assert with_default_tag(parse("busybox:1")).familiar == "busybox:1"


@pytest.mark.parametrize("text", ["sha256", "sha256:abc", "library/sha256:x", f"docker.io/sha256@{DIGEST}"])
def test_nothing_new_is_named_like_a_digest_algorithm(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        check_new(parse(text))
    assert caught.value.engine == "refusing to create an ambiguous tag using digest algorithm as name"


@pytest.mark.parametrize("text", ["sha512:x", "org/sha256:x", "localhost/sha256", "sha2567"])
def test_other_names_may_be_new(text: str) -> None:
    check_new(parse(text))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("busybox", ("busybox", "")),
        ("busybox:1", ("busybox", "1")),
        ("localhost:5000/a", ("localhost:5000/a", "")),
        ("localhost:5000/a:1", ("localhost:5000/a", "1")),
        (f"a:5000/b@{DIGEST}", ("a:5000/b", DIGEST)),
        ("a:b:c", ("a:b", "c")),
        ("", ("", "")),
        (":", ("", "")),
        ("@", ("", "")),
        ("\x1b[2J:\udcff", ("\x1b[2J", "\udcff")),
    ],
)
def test_any_key_is_split_for_showing(text: str, parts: tuple[str, str]) -> None:
    assert split(text) == parts


PARTS = st.from_regex(re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", re.ASCII), fullmatch=True).filter(
    lambda part: len(part) < 40
)
HOSTS = st.sampled_from(["", "docker.io/", "index.docker.io/", "localhost/", "localhost:5000/", "reg.example.com/"])
TAGS = st.from_regex(re.compile(r"[\w][\w.-]{0,127}", re.ASCII), fullmatch=True)
NAMES = st.tuples(HOSTS, st.lists(PARTS, min_size=1, max_size=3).map("/".join)).map("".join)
SUFFIXES = st.just("") | TAGS.map(":{}".format) | st.just(f"@{DIGEST}")


@given(NAMES, SUFFIXES)
def test_the_short_and_the_full_spelling_read_as_the_same(name: str, suffix: str) -> None:
    found = parse(name + suffix)
    assert parse(found.full) == found
    assert parse(found.familiar).familiar == found.familiar
    assert parse(found.repository).repository == found.repository
    if "." not in found.path.split("/")[0] or "/" not in found.path or found.domain != "docker.io":
        assert parse(found.familiar) == found
    assert split(found.familiar) == (found.repository, found.tag or found.digest or "")


@given(st.text(st.sampled_from("aA0.:/@_-\n é"), max_size=12) | st.text(max_size=12))
def test_a_text_is_a_name_or_is_refused(text: str) -> None:
    split(text)
    try:
        found = parse(text)
    except Malformed:
        return
    assert parse(found.full) == found
    assert found.familiar.isascii()
    assert found.familiar.isprintable()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("times", [255, 500_000])
@pytest.mark.parametrize("unit", ["a", "a-", "a/", "a.", "-", "a__", "A.", ":"])
@pytest.mark.parametrize("end", ["!", "/", ""])
def test_a_text_made_to_be_slow_is_answered_at_once(unit: str, end: str, times: int) -> None:
    text = (unit * times)[:times] + end
    try:
        found = parse(text)
    except Malformed:
        return
    assert len(found.repository) <= 255
