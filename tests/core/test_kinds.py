"""Which store a folder holds: any folder that a person would name leads to it, and nothing else is taken for one."""

import os
from pathlib import Path

import pytest

from orlop import kinds
from orlop.errors import Ambiguous, NotAStore, OrlopError, Unsupported
from orlop.samples import DataRoot
from orlop.samples.registry import RegistryRoot


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    root = RegistryRoot.create(str(tmp_path / "registry-root"))
    root.image("team/app", {"srv/app": b"app"}, tags=["v1"])
    return Path(root.path)


@pytest.mark.parametrize("inside", ["", "docker", "docker/registry", "docker/registry/v2"])
def test_any_folder_of_a_registry_leads_to_its_root(registry: Path, inside: str) -> None:
    store = kinds.open(str(registry / inside))
    assert (store.identity.kind, store.root.path) == ("registry", str(registry))
    assert [row.key.name for row in store.rows().rows] == ["team/app:v1"]
    store.close()


@pytest.mark.parametrize("kept", ["docker/registry/v2", "docker/registry", "docker"])
def test_a_copy_of_a_part_of_a_registry_is_a_store_of_its_own(registry: Path, tmp_path: Path, kept: str) -> None:
    copy = tmp_path / "copy"
    os.rename(registry / kept, copy)
    store = kinds.open(str(copy))
    assert store.root.path == str(copy)
    assert [row.key.name for row in store.rows().rows] == ["team/app:v1"]
    store.close()


@pytest.mark.parametrize("inside", ["", "cas"])
@pytest.mark.parametrize("signs", [("db/ql.db",), ("db/orlop.sqlite3",), ("blob/sha512/", "imageManifest/sha512/")])
def test_the_data_directory_of_rkt_and_its_cas_lead_to_the_store(
    tmp_path: Path, inside: str, signs: tuple[str, ...]
) -> None:
    for sign in signs:
        path = tmp_path / "rkt" / "cas" / sign
        (path if sign.endswith("/") else path.parent).mkdir(parents=True)
        if not sign.endswith("/"):
            path.write_bytes(b"")
    store = kinds.open(str(tmp_path / "rkt" / inside))
    assert (store.identity.kind, store.root.path) == ("rkt", str(tmp_path / "rkt" / "cas"))
    store.close()


def test_a_folder_that_holds_two_stores_asks_which(tmp_path: Path) -> None:
    for driver in ("overlay2", "vfs"):
        DataRoot.create(str(tmp_path / driver), driver=driver).settle()
    os.rename(tmp_path / "vfs/image/vfs", tmp_path / "overlay2/image/vfs")
    with pytest.raises(Ambiguous, match="image/vfs"):
        kinds.open(str(tmp_path / "overlay2"))
    store = kinds.open(str(tmp_path / "overlay2"), scope="vfs")
    assert store.identity.scope == "vfs"
    store.close()


@pytest.mark.parametrize("folders", [["blobs/sha256"], ["cas"], ["blob"], ["docker/registry"], ["repositories.d"]])
def test_a_folder_that_only_looks_a_little_like_a_store_is_none(tmp_path: Path, folders: list[str]) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(NotAStore):
        kinds.open_all(str(tmp_path))


def test_a_kind_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(Unsupported, match="OCI image layout"):
        kinds.open_all(str(tmp_path))


def test_what_leads_out_of_a_folder_is_not_followed(tmp_path: Path, registry: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "docker").symlink_to(registry / "docker")
    with pytest.raises(OrlopError):
        kinds.open_all(str(tmp_path / "linked"))


def test_the_rules_of_all_kinds_have_ids_of_their_own() -> None:
    found = [rule.id for rule in kinds.rules()]
    assert len(found) == len(set(found))
    assert {rule[:2] for rule in found} == {"DK", "RG", "RK"}
