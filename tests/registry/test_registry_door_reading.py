"""What one read of a registry's storage finds, damage of every kind included."""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orlop.fs import PARSE_LIMIT, Root
from orlop.progress import Silent
from orlop.registry import usual
from orlop.registry.model import Model, State, What
from orlop.registry.read import DEEPEST, read
from tests.registry.pushing import Registry

V2 = "docker/registry/v2"
OTHER = "sha256:" + "0" * 64
EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NOBODY = 65534
UUID = "0a1b2c3d-0000-4000-8000-00000000000a"


def read_at(path: Path, base: str = V2) -> Model:
    with Root.open(str(path)) as root:
        return read(root, base, progress=Silent())


def model(registry: Registry) -> Model:
    return read_at(registry.path)


# --- what is sound ----------------------------------------------------------------


def test_a_pushed_image_is_read_with_everything_that_it_needs(registry: Registry) -> None:
    made = registry.image("team/app", "v1", "latest", layers=(b"one", b"two", b"three"))
    found = model(registry)
    repository = found.repositories["team/app"]
    assert sorted(repository.tags) == ["latest", "v1"]
    assert repository.tags["v1"].current.target == made.digest
    assert repository.tags["v1"].history[made.digest].target == made.digest
    assert repository.revisions[made.digest].state is State.GOOD
    assert set(repository.layers) == {made.config, *made.layers}
    manifest = found.manifests[made.digest]
    assert (manifest.state, manifest.what, manifest.size) == (State.GOOD, What.IMAGE, made.size)
    assert tuple(layer.digest for layer in manifest.layers) == made.layers
    config = found.configs[made.config]
    assert (config.state, config.platform, config.diff_ids) == (State.GOOD, "linux/amd64", made.diff_ids)
    assert found.blobs[made.layers[0]].size == 3
    assert not found.foreign
    assert not found.unreadable
    assert not found.empty_shards


def test_the_joins_answer_what_names_what(registry: Registry) -> None:
    amd, arm = registry.image("app"), registry.image("app", architecture="arm64", layers=(b"base", b"arm"))
    index = registry.index("app", "v1", children=[amd, arm])
    sbom = registry.artifact("app", subject=amd)
    registry.image("other", "v1")
    found = model(registry)
    assert found.tags_of[("app", index.digest)] == ("v1",)
    assert found.indexes_of[("app", arm.digest)] == (index.digest,)
    assert found.referrers_of[("app", amd.digest)] == (sbom.digest,)
    assert found.repositories_of[amd.digest] == ("app", "other")
    assert found.linked_in[amd.layers[0]] == ("app", "other")
    assert found.users_of[amd.layers[0]] == tuple(sorted({amd.digest, arm.digest}))
    assert found.manifests[sbom.digest].what is What.ARTIFACT
    assert found.manifests[index.digest].what is What.INDEX


def test_what_the_usual_reading_gives_is_what_the_thorough_one_gives(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = registry.image("team/app")
    registry.index("team/app", "all", children=[child])
    registry.image("team/app", "v1", docker=True)
    registry.schema_1("old", "v1")
    registry.upload("team/app", UUID)
    quick = model(registry)
    for name in ("link", "tag", "blob", "content"):
        monkeypatch.setattr(usual, name, lambda *_: None)
    thorough = model(registry)
    assert quick.repositories == thorough.repositories
    assert quick.blobs == thorough.blobs
    assert quick.manifests == thorough.manifests
    assert quick.configs == thorough.configs


def test_an_empty_registry_has_nothing(registry: Registry) -> None:
    found = model(registry)
    assert not found.repositories
    assert not found.blobs
    assert not found.unreadable


def test_a_root_without_blobs_or_repositories_has_nothing(tmp_path: Path) -> None:
    (tmp_path / V2).mkdir(parents=True)
    assert not read_at(tmp_path).unreadable


@pytest.mark.parametrize("cut", ["docker", "docker/registry", "docker/registry/v2"])
def test_a_copy_of_a_part_is_read_from_any_base(registry: Registry, cut: str) -> None:
    made = registry.image("app", "v1")
    base = V2[len(cut) :].strip("/")
    found = read_at(registry.path / cut, base)
    assert found.manifests[made.digest].state is State.GOOD
    assert found.repositories["app"].path == f"{base}/repositories/app".strip("/")


def test_repositories_nest(registry: Registry) -> None:
    for name in ("team", "team/app", "team/app/deep"):
        registry.image(name, "v1")
    found = model(registry)
    assert found.repositories["team"].nested == ("team/app", "team/app/deep")
    assert found.repositories["team/app"].nested == ("team/app/deep",)
    assert found.repositories["team/app/deep"].nested == ()


def test_digests_of_other_algorithms_are_digests(registry: Registry) -> None:
    digest = registry.blob(b'{"schemaVersion": 2, "manifests": []}', "sha512")
    registry.write(registry.revision_link("app", digest), digest)
    found = model(registry)
    assert found.blobs[digest].state is State.GOOD
    assert found.manifests[digest].what is What.INDEX
    assert found.repositories_of[digest] == ("app",)


def test_a_link_under_another_digest_of_the_same_bytes_leads_to_the_blob(registry: Registry) -> None:
    made = registry.image("app", "v1")
    alias = "sha512:" + "7" * 128
    registry.write(registry.layer_link("app", alias), made.layers[0])
    link = model(registry).repositories["app"].layers[alias]
    assert (link.state, link.named, link.target) == (State.GOOD, alias, made.layers[0])


def test_tarsum_links_of_early_registries_are_read(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.write(registry.repository("app") / "_layers/tarsum/v1/sha256" / ("b" * 64) / "link", made.layers[0])
    found = model(registry)
    assert found.repositories["app"].layers["tarsum.v1+sha256:" + "b" * 64].target == made.layers[0]
    assert not found.foreign


def test_signatures_of_early_registries_are_no_strays(registry: Registry) -> None:
    made = registry.schema_1("app", "v1")
    signature = registry.blob(b"signature")
    folder = registry.revision_link("app", made.digest).parent / "signatures"
    registry.write(folder / signature.replace(":", "/") / "link", signature)
    found = model(registry)
    assert found.repositories["app"].signatures == {made.digest}
    assert not found.foreign


def test_what_deleting_over_the_api_leaves_is_told_apart(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.revision_link("app", made.digest).unlink()
    registry.layer_link("app", made.layers[0]).unlink()
    repository = model(registry).repositories["app"]
    assert repository.deleted_revisions == {made.digest}
    assert repository.deleted_layers == {made.layers[0]}
    assert made.digest not in repository.revisions


def test_empty_folders_of_blobs_are_listed(registry: Registry) -> None:
    digest = registry.blob(b"gone")
    path = registry.blob_path(digest)
    path.unlink()
    (registry.path / V2 / "blobs/sha256/ff").mkdir()
    found = model(registry)
    assert sorted(found.empty_shards) == sorted([str(path.parent.relative_to(registry.path)), f"{V2}/blobs/sha256/ff"])
    assert not found.blobs


def test_an_upload_is_read_with_its_time_and_bytes(registry: Registry) -> None:
    registry.upload("app", UUID, b"12345", "2026-01-01T00:00:00Z")
    upload = model(registry).repositories["app"].uploads[UUID]
    assert (upload.size, upload.started, upload.started_problem) == (5, 1767225600 * 10**9, "")
    assert upload.known
    assert upload.changed


@pytest.mark.parametrize(
    ("started", "words"), [(None, "no startedat"), ("", "empty"), ("yesterday", "no time"), ("\xff", "no time")]
)
def test_an_upload_whose_start_is_unknown_says_why(registry: Registry, started: str | None, words: str) -> None:
    registry.upload("app", UUID, None, started)
    upload = model(registry).repositories["app"].uploads[UUID]
    assert upload.started is None
    assert words in upload.started_problem
    assert upload.size == 0


def test_an_upload_under_a_name_that_is_no_uuid_is_told_apart(registry: Registry) -> None:
    registry.upload("app", "not-one")
    assert not model(registry).repositories["app"].uploads["not-one"].known


def test_a_pull_through_cache_is_recognised(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.cache({f"app@{made.digest}": ("2026-11-28T04:52:04.744229326Z", True)})
    cache = model(registry).cache
    assert cache is not None
    assert cache.state is State.GOOD
    entry = cache.entries[0]
    assert (entry.repository, entry.digest, entry.manifest) == ("app", made.digest, True)
    assert entry.expires == 1795841524744229326


@pytest.mark.parametrize(("content", "state"), [(b"", State.EMPTY), (b"{", State.MALFORMED), (b"[]", State.MALFORMED)])
def test_a_damaged_record_of_a_cache_is_a_value(registry: Registry, content: bytes, state: State) -> None:
    registry.write(registry.path / "scheduler-state.json", content)
    cache = model(registry).cache
    assert cache is not None
    assert cache.state is state
    assert cache.why


def test_keys_of_a_cache_of_2_1_name_one_thing_only(registry: Registry) -> None:
    digest = "sha256:" + "a" * 64
    registry.cache({digest: ("2026-11-28T04:52:04Z", False), "library/app": ("2026-11-28T04:52:04Z", True)})
    cache = model(registry).cache
    assert cache is not None
    assert [(entry.repository, entry.digest) for entry in cache.entries] == [("library/app", ""), ("", digest)]


# --- links ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "state", "words"),
    [
        (b"", State.EMPTY, "empty"),
        (b"sha256:" + b"a" * 64 + b"\n", State.MALFORMED, "newline"),
        (b"sha256:" + b"a" * 63, State.MALFORMED, "one digest"),
        (b"sha256:" + b"A" * 64, State.MALFORMED, "one digest"),
        (b"md5:" + b"a" * 32, State.MALFORMED, "one digest"),
        (b"\0" * 71, State.MALFORMED, "zero bytes"),
        (b"\xff\xfe" * 30, State.MALFORMED, "one digest"),
        (b"x" * 5000, State.MALFORMED, "5000 bytes"),
    ],
)
@pytest.mark.parametrize("place", ["revision", "layer", "current", "history"])
def test_a_link_that_holds_anything_but_a_digest_says_what(
    registry: Registry, content: bytes, state: State, words: str, place: str
) -> None:
    made = registry.image("app", "v1")
    path = {
        "revision": registry.revision_link("app", made.digest),
        "layer": registry.layer_link("app", made.layers[0]),
        "current": registry.current_link("app", "v1"),
        "history": registry.index_link("app", "v1", made.digest),
    }[place]
    path.write_bytes(content)
    repository = model(registry).repositories["app"]
    link = {
        "revision": lambda: repository.revisions[made.digest],
        "layer": lambda: repository.layers[made.layers[0]],
        "current": lambda: repository.tags["v1"].current,
        "history": lambda: repository.tags["v1"].history[made.digest],
    }[place]()
    assert (link.state, link.target) == (state, None)
    assert words in link.why
    assert link.path == str(path.relative_to(registry.path))


def test_a_link_of_another_algorithm_is_a_good_one(registry: Registry) -> None:
    target = "sha512:" + "b" * 128
    registry.write(registry.revision_link("app", OTHER), target)
    assert model(registry).repositories["app"].revisions[OTHER].target == target


def _folder(path: Path) -> None:
    path.mkdir()


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # a socket's address has 108 bytes at most
        try:
            end.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


@pytest.mark.parametrize("put", [_folder, _symlink, _fifo, _socket])
def test_anything_in_the_place_of_a_link_is_not_opened(registry: Registry, put: Callable[[Path], None]) -> None:
    made = registry.image("app", "v1")
    for path in (registry.revision_link("app", made.digest), registry.current_link("app", "v1")):
        path.unlink()
        put(path)
    repository = model(registry).repositories["app"]
    assert repository.revisions[made.digest].state is State.WRONG_KIND
    assert repository.tags["v1"].current.state is State.WRONG_KIND


@pytest.mark.parametrize("put", [_folder, _symlink, _fifo])
def test_anything_in_the_place_of_a_blob_is_not_opened(registry: Registry, put: Callable[[Path], None]) -> None:
    made = registry.image("app", "v1")
    for digest in (made.digest, made.layers[0]):
        registry.blob_path(digest).unlink()
        put(registry.blob_path(digest))
    found = model(registry)
    assert found.blobs[made.layers[0]].state is State.WRONG_KIND
    assert found.manifests[made.digest].state is State.WRONG_KIND


def test_no_symbolic_link_in_the_tree_is_followed(registry: Registry, make_registry: Callable[[str], Registry]) -> None:
    elsewhere = make_registry("elsewhere")
    other = elsewhere.image("secret", "v1", layers=(b"not of this store",))
    registry.image("app", "v1")
    (registry.path / V2 / "repositories/linked").symlink_to(elsewhere.repository("secret"))
    shard = elsewhere.blob_path(other.layers[0]).parent.parent
    target = registry.path / V2 / "blobs/sha256" / shard.name
    if target.exists():
        pytest.skip("the blobs happen to share a shard")
    target.symlink_to(shard)
    found = model(registry)
    assert list(found.repositories) == ["app"]
    assert other.layers[0] not in found.blobs
    assert {item.kind for item in found.foreign} == {"link"}


# --- tags ------------------------------------------------------------------------


def test_a_tag_without_a_current_link_is_a_tag_that_means_nothing(registry: Registry) -> None:
    registry.image("app", "v1")
    registry.current_link("app", "v1").unlink()
    (registry.tag_path("app", "empty")).mkdir()
    tags = model(registry).repositories["app"].tags
    assert tags["v1"].current.state is State.MISSING
    assert tags["v1"].history
    assert tags["empty"].current.state is State.MISSING
    assert not tags["empty"].history


def test_a_file_among_the_tags_is_a_tag_and_foreign(registry: Registry) -> None:
    registry.image("app", "v1")
    registry.write(registry.tag_path("app", "stray"), b"hello")
    found = model(registry)
    assert found.repositories["app"].tags["stray"].problem
    assert [(item.where, item.kind, item.bytes > 0) for item in found.foreign] == [("tags", "file", True)]


def test_ten_thousand_tags_are_ten_thousand_tags(registry: Registry) -> None:
    registry.image("app", "v1")
    folder = registry.tag_path("app", "v1").parent
    for number in range(10_000):
        (folder / f"t{number}").mkdir()
    tags = model(registry).repositories["app"].tags
    assert len(tags) == 10_001


# --- blobs and manifests ----------------------------------------------------------


def test_the_blob_of_nothing_is_sound(registry: Registry) -> None:
    registry.blob(b"")
    assert model(registry).blobs[EMPTY].state is State.GOOD


def test_an_emptied_blob_is_told_apart_from_a_missing_one(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.layers[0]).write_bytes(b"")
    registry.blob_path(made.layers[1]).unlink()
    found = model(registry)
    assert found.blobs[made.layers[0]].state is State.EMPTY
    assert made.layers[1] not in found.blobs


@pytest.mark.parametrize(
    ("content", "state", "says"),
    [
        (b"", State.EMPTY, "unexpected end of JSON input"),
        (b"{", State.MALFORMED, "unexpected end of JSON input"),
        (b"\x1f\x8b\x08", State.MALFORMED, "invalid character '\\x1f'"),
        (b"{}", State.MALFORMED, "unrecognized manifest schema version 0"),
        (b'{"schemaVersion": 7}', State.MALFORMED, "unrecognized manifest schema version 7"),
        (b'{"schemaVersion": 2, "mediaType": "text/plain"}', State.MALFORMED, "content type text/plain"),
    ],
)
def test_a_blob_that_is_no_manifest_says_what_the_registry_says(
    registry: Registry, content: bytes, state: State, says: str
) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.digest).write_bytes(content)
    manifest = model(registry).manifests[made.digest]
    assert manifest.state is state
    assert says in manifest.engine_says
    assert manifest.why


def test_an_altered_manifest_still_says_what_it_needs(registry: Registry) -> None:
    made = registry.image("app", "v1")
    path = registry.blob_path(made.digest)
    path.write_bytes(path.read_bytes() + b" ")
    found = model(registry)
    assert found.manifests[made.digest].state is State.ALTERED
    assert "hash to" in found.manifests[made.digest].why
    assert found.users_of[made.layers[0]] == (made.digest,)


def test_a_manifest_of_fifty_megabytes_is_not_read(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with open(registry.blob_path(made.digest), "r+b") as file:
        file.truncate(50_000_000)
    manifest = model(registry).manifests[made.digest]
    assert (manifest.state, manifest.size) == (State.TOO_LARGE, 50_000_000)
    assert PARSE_LIMIT < 50_000_000


def test_a_config_of_fifty_megabytes_is_not_read(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with open(registry.blob_path(made.config), "r+b") as file:
        file.truncate(50_000_000)
    assert model(registry).configs[made.config].state is State.TOO_LARGE


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"rootfs": {"diff_ids": ["x"]}}', b'{"rootfs": {"diff_ids": 1}}']
)
def test_a_damaged_config_is_a_value(registry: Registry, content: bytes) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.config).write_bytes(content)
    config = model(registry).configs[made.config]
    assert config.state is (State.MALFORMED if content else State.EMPTY)
    assert config.why


def test_missing_manifests_and_configs_are_values(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.config).unlink()
    gone = registry.image("app", "v2", layers=(b"x",))
    registry.blob_path(gone.digest).unlink()
    found = model(registry)
    assert found.configs[made.config].state is State.MISSING
    assert found.manifests[gone.digest].state is State.MISSING
    assert found.manifests[gone.digest].engine_says == "manifest unknown"


def test_a_child_that_an_index_names_and_nobody_has_is_missing(registry: Registry) -> None:
    child = registry.image("app")
    index = registry.index("app", "v1", children=[child])
    registry.blob_path(child.digest).unlink()
    found = model(registry)
    assert found.manifests[child.digest].state is State.MISSING
    assert found.indexes_of[("app", child.digest)] == (index.digest,)


def test_children_without_a_revision_link_are_read_all_the_same(registry: Registry) -> None:
    inner = registry.image("app")
    middle = registry.index("app", children=[inner])
    registry.index("app", "v1", children=[middle])
    for digest in (inner.digest, middle.digest):
        registry.revision_link("app", digest).unlink()
    found = model(registry)
    assert found.manifests[inner.digest].state is State.GOOD
    assert found.configs[inner.config].state is State.GOOD


def test_indexes_that_name_each_other_end(registry: Registry) -> None:
    names = [f"sha256:{letter * 64}" for letter in "ab"]
    for here, other in (names, names[::-1]):
        content = json.dumps({"schemaVersion": 2, "manifests": [{"digest": other, "size": 1, "mediaType": ""}]})
        registry.write(registry.blob_path(here), content)
        registry.write(registry.revision_link("app", here), here)
    found = model(registry)
    assert {found.manifests[name].state for name in names} == {State.ALTERED}


def test_what_a_tag_once_meant_is_read_where_its_blob_is_there(registry: Registry) -> None:
    old = registry.image("app", "v1", layers=(b"old",))
    registry.image("app", "v1", layers=(b"new",))
    registry.revision_link("app", old.digest).unlink()
    gone = registry.image("app", "v1", layers=(b"gone",))
    registry.revision_link("app", gone.digest).unlink()
    registry.blob_path(gone.digest).unlink()
    registry.image("app", "v1", layers=(b"new",))
    found = model(registry)
    assert found.manifests[old.digest].state is State.GOOD
    assert gone.digest not in found.manifests


# --- what is no part of the layout ------------------------------------------------


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("blobs/README", "blobs"),
        ("blobs/md5", "blobs"),
        ("blobs/sha256/zz", "blobs"),
        ("blobs/sha256/ab/short", "blobs"),
        (f"blobs/sha256/ab/{'c' * 64}", "blobs"),
        ("repositories/file", "repositories"),
        ("repositories/app/notes.txt", "repositories"),
        ("repositories/app/_other", "repositories"),
        ("repositories/app/_layers/file", "layers"),
        ("repositories/app/_layers/sha256/short", "layers"),
        ("repositories/app/_manifests/file", "repositories"),
        ("repositories/app/_manifests/revisions/md5", "revisions"),
        ("repositories/app/_manifests/tags/v1/other", "tags"),
        ("repositories/app/_manifests/tags/v1/current/other", "tags"),
        ("repositories/app/_uploads/file", "uploads"),
        (f"repositories/app/_uploads/{UUID}/other", "uploads"),
        ("repositories/app/_manifests/tags/v1/current/link.0a1b.tmp", "temporary"),
        ("repositories/app/_manifests/tags/v1/current/.tmp-link0", "temporary"),
    ],
)
def test_a_stray_file_is_foreign_and_hides_nothing(registry: Registry, path: str, where: str) -> None:
    made = registry.image("app", "v1")
    registry.upload("app", UUID)
    (registry.path / V2 / "blobs/sha256/ab").mkdir(exist_ok=True)
    registry.write(registry.path / V2 / path, b"stray")
    found = model(registry)
    assert [(item.path, item.where, item.kind) for item in found.foreign] == [(f"{V2}/{path}", where, "file")]
    assert found.manifests[made.digest].state is State.GOOD
    assert found.repositories["app"].tags["v1"].current.target == made.digest


def test_a_foreign_folder_tells_all_that_is_in_it(registry: Registry) -> None:
    registry.write(registry.path / V2 / "blobs/backup/deep/file", b"x" * 10_000)
    item = model(registry).foreign[0]
    assert item.kind == "folder"
    assert item.bytes >= 10_000


def test_names_that_break_the_grammar_are_read(registry: Registry) -> None:
    registry.image("UPPER CASE", "v1")
    made = registry.image("app", "v1")
    os.mkdir(os.fsencode(registry.tag_path("app", "x").parent) + b"/-\xff\n")
    os.rename(
        os.fsencode(registry.repository("UPPER CASE")), os.fsencode(registry.path / V2) + b"/repositories/\xfe\x1b"
    )
    found = model(registry)
    assert sorted(found.repositories) == ["app", "\udcfe\x1b"]
    assert sorted(found.repositories["app"].tags) == ["-\udcff\n", "v1"]
    assert found.repositories_of[made.digest] == ("app", "\udcfe\x1b")


def test_folders_deeper_than_any_name_are_foreign(registry: Registry) -> None:
    path = registry.path / V2 / "repositories"
    for _ in range(DEEPEST + 3):
        path = path / "a"
    path.mkdir(parents=True)
    found = model(registry)
    assert not found.repositories
    assert [item.kind for item in found.foreign] == ["folder"]


@contextlib.contextmanager
def somebody(path: Path) -> Iterator[None]:
    """Be the owner of a store, and not root."""
    if os.geteuid() != 0:
        yield
        return
    for here, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            os.chown(os.path.join(here, name), NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    "path",
    [
        "blobs",
        "blobs/sha256",
        "repositories",
        "repositories/app",
        "repositories/app/_layers",
        "repositories/app/_manifests/tags",
        "repositories/app/_manifests/tags/v1/index",
    ],
)
def test_a_part_that_may_not_be_read_is_said_and_hides_nothing_else(registry: Registry, path: str) -> None:
    registry.image("app", "v1")
    registry.image("other", "v1")
    hidden = registry.path / V2 / path
    with Root.open(str(registry.path)) as root:
        hidden.chmod(0)
        try:
            with somebody(registry.path):
                found = read(root, V2, progress=Silent())
        finally:
            hidden.chmod(0o755)
    assert [part.path for part in found.unreadable] == [f"{V2}/{path}"]
    assert found.notes[0].unreadable
    assert found.unseen(f"{V2}/{path}/anything")
    if path != "repositories":
        assert "v1" in found.repositories["other"].tags


def test_a_link_that_may_not_be_read_is_no_missing_one(registry: Registry) -> None:
    made = registry.image("app", "v1")
    hidden = registry.revision_link("app", made.digest)
    with Root.open(str(registry.path)) as root:
        hidden.chmod(0)
        with somebody(registry.path):
            found = read(root, V2, progress=Silent())
    assert found.repositories["app"].revisions[made.digest].state is State.UNREADABLE
