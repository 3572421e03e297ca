"""The one digest type: what Docker may use, and what registries may."""

import hashlib

import pytest

from orlop.digest import ALGORITHMS, Digest, hasher, is_digest
from orlop.errors import Malformed, Unsupported


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_digest_of_each_algorithm_says_what_it_is(algorithm: str) -> None:
    digest = Digest.of(b"data", algorithm)

    assert digest == f"{algorithm}:{hashlib.new(algorithm, b'data').hexdigest()}"
    assert (digest.algorithm, digest.hex) == (algorithm, hashlib.new(algorithm, b"data").hexdigest())
    assert Digest.parse_any(str(digest)) == digest


def test_docker_takes_sha256_only() -> None:
    assert Digest.parse(Digest.of(b"data")) == Digest.of(b"data")
    for algorithm in ("sha384", "sha512"):
        other = Digest.of(b"data", algorithm)
        assert not is_digest(other)
        with pytest.raises(Malformed):
            Digest.parse(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "SHA256:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        " sha256:" + "a" * 64,
        "sha512:" + "a" * 64,
        "sha384:" + "a" * 128,
        "sha256:" + "a" * 128,
        "sha1:" + "a" * 40,
        "md5:" + "a" * 32,
        "sha256+b64:" + "a" * 64,
        "sha256:" + "٠" * 64,
        "sha256:../" + "a" * 61,
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Digest.parse_any(text)


def test_a_hasher_tells_the_digest_of_what_it_was_given_so_far() -> None:
    hashing = hasher("sha512")
    hashing.update(b"da")
    halfway = Digest.of_hasher(hashing)
    hashing.update(b"ta")

    assert halfway == Digest.of(b"da", "sha512")
    assert Digest.of_hasher(hashing) == Digest.of(b"data", "sha512")


def test_an_algorithm_that_no_registry_takes_makes_no_digest() -> None:
    with pytest.raises(Unsupported):
        hasher("md5")
