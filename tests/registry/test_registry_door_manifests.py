"""Manifests and configs read from bytes: which kind they are, what they name, and never an error."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.registry import imageconfig, manifest, scheduler
from orlop.registry.linkfolders import meaning
from orlop.registry.manifest import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_ARTIFACT,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from orlop.registry.model import Config, Manifest, State, What
from orlop.registry.processes import root_directory
from tests.examples import examples

DIGEST = "sha256:" + "a" * 64
OTHER = "sha512:" + "b" * 128
LAYER = "application/vnd.oci.image.layer.v1.tar"


def read(document: object) -> Manifest:
    """A document as the manifest that its bytes hash to."""
    return read_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())


def read_bytes(data: bytes) -> Manifest:
    return manifest.parse("sha256:" + hashlib.sha256(data).hexdigest(), data)


def entry(digest: str = DIGEST, media_type: str = LAYER, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "size": 7, "digest": digest, **more}


def image(media_type: str = OCI_MANIFEST, config: str = OCI_CONFIG, **more: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": entry(media_type=config),
        "layers": [entry(), entry(OTHER)],
        **more,
    }


# --- which kind -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "what", "media_type"),
    [
        (image(), What.IMAGE, OCI_MANIFEST),
        (image(DOCKER_MANIFEST, DOCKER_CONFIG), What.IMAGE, DOCKER_MANIFEST),
        ({k: v for k, v in image().items() if k != "mediaType"}, What.IMAGE, OCI_MANIFEST),
        (image(config="application/vnd.cncf.helm.config.v1+json"), What.ARTIFACT, OCI_MANIFEST),
        (image(DOCKER_MANIFEST, "application/vnd.docker.plugin.v1+json"), What.ARTIFACT, DOCKER_MANIFEST),
        ({"schemaVersion": 2, "mediaType": OCI_ARTIFACT, "blobs": [entry()]}, What.ARTIFACT, OCI_ARTIFACT),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, What.INDEX, OCI_INDEX),
        ({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": []}, What.INDEX, DOCKER_LIST),
        ({"schemaVersion": 2, "manifests": []}, What.INDEX, OCI_INDEX),
        ({"schemaVersion": 1, "fsLayers": []}, What.SCHEMA_1, manifest.SCHEMA_1),
        ({"schemaVersion": 1, "fsLayers": [], "signatures": []}, What.SCHEMA_1, manifest.SCHEMA_1_SIGNED),
    ],
)
def test_the_manifest_itself_says_what_it_is(document: object, what: What, media_type: str) -> None:
    found = read(document)
    assert (found.what, found.media_type, found.state) == (what, media_type, State.GOOD)


def test_a_null_list_of_manifests_makes_no_index(  # as the registry decides
) -> None:
    assert read({**image(), "mediaType": "", "manifests": None}).what is What.IMAGE


def test_names_in_another_case_are_the_same_names() -> None:
    found = read({"SCHEMAVERSION": 2, "Manifests": [{"DIGEST": DIGEST, "Platform": {"OS": "linux"}}]})
    assert found.what is What.INDEX
    assert [(child.digest, child.platform) for child in found.children] == [(DIGEST, "linux")]


def test_an_image_names_config_then_layers() -> None:
    found = read(image(subject=entry(OTHER), annotations={"a": "b"}, artifactType="x/y"))
    assert found.config is not None
    assert [needed.digest for needed in found.needs] == [DIGEST, DIGEST, OTHER]
    assert found.subject is not None
    assert (found.subject.digest, found.annotations, found.artifact_type) == (OTHER, {"a": "b"}, "x/y")


def test_an_index_names_its_children_with_their_platforms() -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7"}
    found = read({"schemaVersion": 2, "manifests": [entry(platform=platform, annotations={"k": "v"}), entry(OTHER)]})
    assert [(child.platform, child.annotations) for child in found.children] == [("linux/arm/v7", {"k": "v"}), ("", {})]
    assert found.needs == ()


def test_schema_1_names_its_layers_bottom_first() -> None:
    history = [{"v1Compatibility": json.dumps({"created": "2015-03-04T05:06:07Z", "os": "windows"})}]
    layers = [{"blobSum": OTHER}, {"blobSum": DIGEST}]
    found = read({"schemaVersion": 1, "architecture": "amd64", "fsLayers": layers, "history": history})
    assert [layer.digest for layer in found.layers] == [DIGEST, OTHER]
    assert (found.platform, found.created) == ("windows/amd64", 1425445567 * 10**9)


@pytest.mark.parametrize(
    "more",
    [{"urls": ["https://example.com"]}, {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}],
)
def test_layers_that_lie_elsewhere_say_so(more: Mapping[str, object]) -> None:
    found = read(image(layers=[{**entry(), **more}]))
    assert [layer.foreign for layer in found.layers] == [True]


# --- what is wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "json: cannot unmarshal array"),
        ({"schemaVersion": "2"}, "json: cannot unmarshal string"),
        (image(layers={}), "json: cannot unmarshal object"),
        (image() | {"config": 7}, "json: cannot unmarshal number"),
        ({"schemaVersion": 2.5}, "json: cannot unmarshal number"),
        ({"schemaVersion": 3}, "unrecognized manifest schema version 3"),
        ({"schemaVersion": 2, "mediaType": "a/b"}, "unrecognized manifest content type a/b"),
        (image() | {"layers": [entry() | {"size": "7"}]}, "json: cannot unmarshal string"),
    ],
)
def test_what_the_registry_refuses_is_refused_in_its_words(document: object, says: str) -> None:
    found = read(document)
    assert found.state is State.MALFORMED
    assert says in found.engine_says


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "sha256:" + "A" * 64, "sha256:abc", 7, None])
def test_what_is_no_digest_is_left_out_and_said(digest: object) -> None:
    document = image(layers=[entry(), {**entry(), "digest": digest}, entry(OTHER)])
    found = read(document)
    assert [layer.digest for layer in found.layers] == [DIGEST, OTHER]
    assert found.state is State.MALFORMED


def test_an_altered_one_that_is_no_json_says_both() -> None:
    found = manifest.parse(DIGEST, b"{")
    assert found.state is State.MALFORMED
    assert "hash to" in found.why


def test_sizes_that_are_none_are_unknown() -> None:
    found = read(image(layers=[entry() | {"size": -1}, {"mediaType": LAYER, "digest": DIGEST}]))
    assert [layer.size for layer in found.layers] == [None, None]


# --- anything ---------------------------------------------------------------------

TEXTS = st.text(max_size=20) | st.sampled_from(["sha256:" + "a" * 64, OCI_MANIFEST, OCI_INDEX, "2026-01-02T03:04:05Z"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "schemaVersion",
                        "mediaType",
                        "config",
                        "layers",
                        "manifests",
                        "digest",
                        "size",
                        "subject",
                        "urls",
                    ),
                    *("platform", "os", "annotations", "fsLayers", "blobSum", "history", "v1Compatibility", "created"),
                    *("rootfs", "diff_ids", "Key", "ExpiryData", "EntryType", "ConfiG"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=examples(1.5), deadline=None)
@given(VALUES)
def test_no_document_is_an_error(value: object) -> None:
    data = json.dumps(value).encode()
    found = read_bytes(data)
    assert (found.state is State.GOOD) == (not found.why)
    assert isinstance(imageconfig.parse(DIGEST, data), Config)
    assert scheduler.parse(data).state in (State.GOOD, State.MALFORMED)


@settings(max_examples=examples(3), deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_an_error(data: bytes) -> None:
    assert read_bytes(data).state in (State.MALFORMED, State.EMPTY, State.GOOD)
    assert imageconfig.parse(DIGEST, data).why
    scheduler.parse(data)
    state, target, why = meaning(data)
    assert (state is State.GOOD) == (target is not None) == (not why)


@settings(max_examples=examples(2), deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "digest": st.sampled_from([DIGEST, OTHER, "sha256:x"]),
                "size": st.integers(-1, 2**64),
                "mediaType": st.sampled_from([LAYER, "application/vnd.docker.image.rootfs.foreign.diff.tar"]),
            }
        ),
        max_size=3,
    ),
    st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, ""]),
    st.sampled_from([OCI_CONFIG, "x/y"]),
    st.sampled_from([2, 1, 2.0, True]),
)
def test_the_quick_way_says_what_the_thorough_one_says(
    layers: list[object], media_type: str, config: str, version: object
) -> None:
    document = {**image(media_type, config), "layers": layers, "schemaVersion": version}
    quick = read(document)
    thorough = read({**document, "unknown member": 1})  # which the quick way does not take
    assert quick.why == thorough.why
    assert replace(quick, digest="", size=0, engine_says="") == replace(thorough, digest="", size=0, engine_says="")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"created": "2026-01-02T03:04:05Z", "os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"OS": "linux", "Architecture": "amd64", "Created": "never"}, "linux/amd64"),
        ({}, ""),
    ],
)
def test_configs_are_read_leniently(document: object, expected: str) -> None:
    data = json.dumps(document).encode()
    found = imageconfig.parse("sha256:" + hashlib.sha256(data).hexdigest(), data)
    assert (found.state, found.platform) == (State.GOOD, expected)


# --- a registry's configuration -----------------------------------------------------


@settings(max_examples=examples(3), deadline=None)
@given(st.text(alphabet="storagefilesystem:rootdirectory/ \n\t'\"#{}[]&*|>-%\\", max_size=120) | st.text())
def test_no_configuration_is_an_error(text: str) -> None:
    found = root_directory(text)
    assert found.driver or not found.folder


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("storage:\n  filesystem:\n    rootdirectory: /srv/registry\n", "/srv/registry"),
        (
            "storage:\n    filesystem:\n        maxthreads: 100\n        rootdirectory: '/srv/a b'   # here\n",
            "/srv/a b",
        ),
        ("version: 0.1\nlog:\n  level: debug\nstorage:\n  filesystem:\n", ""),
        ("storage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: /a#b\n", "/a#b"),
        ("http:\n  rootdirectory: /no\nstorage:\n  delete:\n    enabled: true\n  filesystem: {}\n", ""),
        ("storage: filesystem\n", ""),
    ],
)
def test_a_configuration_in_blocks_is_understood(text: str, folder: str) -> None:
    found = root_directory(text)
    assert found.driver
    assert found.folder == folder


@pytest.mark.parametrize(
    "text", ["storage:\n  s3:\n    bucket: x\n", "storage: {filesystem: {}}\n", "storage:\n  inmemory:\n", "", "a: b"]
)
def test_of_other_configurations_nothing_is_claimed(text: str) -> None:
    assert not root_directory(text).driver
