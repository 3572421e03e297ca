"""The tree of a registry: each path, and what is never put into one."""

from collections.abc import Callable

import pytest

from orlop.digest import Digest
from orlop.errors import OrlopError
from orlop.registry.driver import check_path
from orlop.registry.layout import MODERN, SCHEDULER, Layout, digest_of, is_name, is_tag, is_uuid

DIGEST = Digest("sha256:" + "ab" * 32)
LONG = Digest("sha512:" + "cd" * 64)
UUID = "01234567-89ab-4cde-8f01-23456789abcd"
ROOT = "docker/registry/v2"
APP = f"{ROOT}/repositories/team/app"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (MODERN.blob_data(DIGEST), f"{ROOT}/blobs/sha256/ab/{'ab' * 32}/data"),
        (MODERN.blob_data(LONG), f"{ROOT}/blobs/sha512/cd/{'cd' * 64}/data"),
        (MODERN.layer_link("team/app", DIGEST), f"{APP}/_layers/sha256/{'ab' * 32}/link"),
        (MODERN.revision_link("team/app", LONG), f"{APP}/_manifests/revisions/sha512/{'cd' * 64}/link"),
        (
            MODERN.signature_link("team/app", DIGEST, LONG),
            f"{APP}/_manifests/revisions/sha256/{'ab' * 32}/signatures/sha512/{'cd' * 64}/link",
        ),
        (MODERN.tag_current("team/app", "v1"), f"{APP}/_manifests/tags/v1/current/link"),
        (
            MODERN.tag_index_link("team/app", "v1", DIGEST),
            f"{APP}/_manifests/tags/v1/index/sha256/{'ab' * 32}/link",
        ),
        (MODERN.upload_data("team/app", UUID), f"{APP}/_uploads/{UUID}/data"),
        (MODERN.upload_started_at("team/app", UUID), f"{APP}/_uploads/{UUID}/startedat"),
        (MODERN.upload_hash_states("team/app", UUID), f"{APP}/_uploads/{UUID}/hashstates"),
        (SCHEDULER, "scheduler-state.json"),
    ],
)
def test_every_path_is_where_the_registry_looks(path: str, wanted: str) -> None:
    assert path == wanted
    assert check_path(path) == path


def test_a_layout_may_have_other_names_for_its_folders() -> None:
    plain = Layout(layers="layers", uploads="uploads", manifests="manifests")
    assert plain.layer_link("a", DIGEST) == f"{ROOT}/repositories/a/layers/sha256/{'ab' * 32}/link"
    assert plain.repository_folders == ("layers", "manifests", "uploads")


BAD = ("", ".", "..", "../x", "a/../b", "/a", "a/", "a//b", "a\0", "a\n", "ä", "\udcff", "a b", "_layers", "a/_uploads")


@pytest.mark.parametrize("text", BAD)
def test_nothing_hostile_gets_into_a_path(text: str) -> None:
    makes: list[Callable[[], str]] = [
        lambda: MODERN.repository(text),
        lambda: MODERN.layer_link(text, DIGEST),
        lambda: MODERN.layer_link("a", text),
        lambda: MODERN.blob_data(text),
        lambda: MODERN.blob_data("sha256:" + text),
        lambda: MODERN.revision_link("a", text),
        lambda: MODERN.tag_index_link("a", "t", text),
        lambda: MODERN.upload("a", text),
        lambda: MODERN.upload_data(text, UUID),
        lambda: MODERN.signature_link("a", DIGEST, text),
    ]
    if text != "_layers":
        makes.append(lambda: MODERN.tag("a", text))  # a tag may begin with an underscore
    for make in makes:
        with pytest.raises(OrlopError):
            make()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a", True),
        ("library/busybox", True),
        ("a.b_c__d-e---f/0", True),
        ("host.example/team/app", True),
        ("Host/app", True),
        ("Host", False),
        ("host:5000/app", False),
        ("a___b", False),
        ("a..b", False),
        ("-a", False),
        ("a-", False),
        ("a/B", False),
        ("a" * 255, True),
        ("a" * 256, False),
    ],
)
def test_names_of_repositories(text: str, valid: bool) -> None:
    assert is_name(text) is valid


def test_tags_and_uuids() -> None:
    for tag in ("latest", "v1.0-rc_1", "_", "A", "x" * 128):
        assert is_tag(tag)
    for tag in ("", ".a", "-a", "a:b", "a/b", "x" * 129, "ä"):
        assert not is_tag(tag)
    assert is_uuid(UUID)
    assert is_uuid(UUID.upper())
    for uuid in ("", UUID[:-1], UUID + "0", UUID.replace("-", ""), "g" + UUID[1:]):
        assert not is_uuid(uuid)


def test_folders_mean_a_digest_or_none() -> None:
    assert digest_of("sha256", "ab" * 32) == DIGEST
    assert digest_of("sha512", "cd" * 64) == LONG
    for algorithm, name in (("sha256", "ab"), ("md5", "ab" * 16), ("sha256", "AB" * 32), ("sha512", "ab" * 32)):
        assert digest_of(algorithm, name) is None
