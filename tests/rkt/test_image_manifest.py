"""Image manifests are read and checked as rkt does, and written in its order."""

import json
from collections.abc import Mapping

import pytest

from orlop.errors import Malformed
from orlop.rkt import appc, manifest

SMALLEST: Mapping[str, object] = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app"}
APP: Mapping[str, object] = {"exec": ["/bin/app"], "user": "0", "group": "0"}


def _parsed(**members: object) -> manifest.ImageManifest:
    return manifest.parse(json.dumps({**SMALLEST, **members}).encode())


def _refused(field: str, engine: str, **members: object) -> None:
    with pytest.raises(Malformed) as refusal:
        _parsed(**members)
    assert refusal.value.field == field
    assert refusal.value.engine == engine


def test_members_are_written_in_a_fixed_order_and_empty_ones_left_out() -> None:
    backwards = dict(reversed([*SMALLEST.items(), ("labels", []), ("unknown", {"x": 1}), ("pathWhitelist", ["/a"])]))

    written = manifest.parse(json.dumps(backwards).encode()).marshal()

    assert written == (
        b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app","pathWhitelist":["/a"]}'
    )


def test_a_manifest_that_was_written_reads_the_same() -> None:
    parsed = _parsed(
        labels=[{"name": "os", "value": "linux"}, {"name": "version", "value": "<&>"}],
        app={
            **APP,
            "environment": [{"name": "A", "value": ""}],
            "eventHandlers": [{"name": "post-stop"}],
            "supplementaryGIDs": [1, 0],
            "mountPoints": [{"name": "data", "path": "/data", "readOnly": True}],
            "ports": [{"name": "http", "protocol": "tcp", "port": 80}],
            "isolators": [{"name": "resource/cpu", "value": {"limit": "250m"}}],
            "userLabels": {"b": "1", "a": "2"},
        },
        annotations=[{"name": "created", "value": "2016-01-02T03:04:05Z"}],
        dependencies=[{"imageName": "a", "labels": [{"name": "x", "value": "y"}], "size": 3}],
    )

    assert manifest.parse(parsed.marshal()) == parsed
    assert parsed.app is not None
    assert parsed.app.ports[0].count == 1
    assert parsed.label("os") == "linux"
    assert parsed.label("arch") is None


def test_names_of_members_match_in_any_case_and_the_last_one_counts() -> None:
    text = b'{"ACKIND":"ImageManifest","acversion":"01.2.3-a.b+c","Name":"old","name":"new","LABELS":null}'

    parsed = manifest.parse(text)

    assert parsed.name == "new"
    assert parsed.ac_version == "1.2.3-a.b+c"


def test_the_value_of_an_isolator_keeps_its_spelling() -> None:
    text = (
        b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a","App":{"user":"0","group":"0","ISOLATORS":'
        b'[ {"value": {"z" : "<", "default":false, "limit" : "1.50" }, "name":"resource/memory"},'
        b' {"name":"os/linux/oom-score-adj", "value": -7} ]}}'
    )

    parsed = manifest.parse(text)

    assert parsed.app is not None
    assert [isolator.value for isolator in parsed.app.isolators] == [
        rb'{"z":"\u003c","default":false,"limit":"1.50"}',
        b"-7",
    ]
    assert parsed.marshal().startswith(
        b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a","app":{"exec":null,"user":"0","group":"0",'
        b'"isolators":[{"name":"resource/memory","value":{"z"'
    )


def test_each_refusal_names_the_member_and_has_the_words_of_the_schema_library() -> None:
    empty = "ACIdentifier cannot be empty"
    _refused("name", empty, name="")
    _refused("acVersion", "SemVer is bad", acVersion="1.2")
    _refused("acVersion", "SemVer cannot be zero", acVersion="0.0.0")
    _refused("acKind", 'missing or bad ACKind (must be "ImageManifest")', acKind="PodManifest")
    _refused("labels[0]", 'invalid label name: "name"', labels=[{"name": "name", "value": ""}])
    _refused("labels[0].name", empty, labels=[{}])
    _refused("dependencies[1]", "imageName cannot be empty", dependencies=[{"imageName": "a"}, None])
    _refused(
        "dependencies[0].imageID",
        "unrecognized hash type: sha256",
        dependencies=[{"imageName": "a", "imageID": "sha256-00"}],
    )
    _refused("app.user", "user is required", app={"group": "0"})
    _refused("app.workingDirectory", "workingDirectory must be an absolute path", app={**APP, "workingDirectory": "w"})
    _refused(
        "app.ports[0].port",
        "port must be in 1-65535 range",
        app={**APP, "ports": [{"name": "a", "protocol": "tcp", "port": 70000}]},
    )
    _refused(
        "annotations[0]",
        "bad URL scheme, must be http/https",
        annotations=[{"name": "homepage", "value": "javascript:x"}],
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource/memory", {"limit": "1X"}),
        ("resource/memory", {"default": True}),
        ("resource/block-iops", {"limit": "1"}),
        ("resource/block-iops", {"default": True, "request": "1"}),
        ("os/linux/capabilities-retain-set", {"set": []}),
        ("os/linux/seccomp-retain-set", {"set": ["x"], "errno": "eperm"}),
        ("os/linux/no-new-privileges", "yes"),
        ("os/linux/oom-score-adj", 5000),
        ("os/unix/sysctl", {"a": 1}),
        ("os/linux/selinux-context", {"user": "u", "role": "r:r", "type": "t", "level": "l"}),
        ("no/such-isolator", {}),
        ("resource/memory", 7),
    ],
)
def test_an_isolator_that_means_nothing_is_refused(name: str, value: object) -> None:
    with pytest.raises(Malformed, match="isolators"):
        _parsed(app={**APP, "isolators": [{"name": name, "value": value}]})


def test_isolators_that_exclude_each_other_are_refused() -> None:
    both = [{"name": f"os/linux/seccomp-{which}-set", "value": {"set": ["x"]}} for which in ("retain", "remove")]

    with pytest.raises(Malformed, match="excludes"):
        _parsed(app={**APP, "isolators": both})
    with pytest.raises(Malformed, match="twice"):
        _parsed(app={**APP, "isolators": both[:1] * 2})


@pytest.mark.parametrize("text", [b"", b"null", b"[1]", b'{"name":', b"\xff", b'{"acKind":1}', b'"ImageManifest"'])
def test_what_is_no_manifest_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        manifest.parse(text)


def test_an_architecture_needs_an_operating_system_to_be_judged() -> None:
    appc.check_platform({"arch": "z80"})
    with pytest.raises(Malformed, match="linux"):
        appc.check_platform({"os": "linux", "arch": "arm64"})
