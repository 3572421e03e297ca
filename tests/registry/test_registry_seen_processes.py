"""Registries of this host are found by what they were told, however their configuration is written."""

import json
from pathlib import Path

import pytest

from orlop.fs import Root
from orlop.registry import processes

BLOCK = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\nhttp:\n  addr: :5000\n"
WAYS = {
    "block": BLOCK,
    "quoted": BLOCK.replace("{root}", "'{root}'  # here"),
    "flow below storage": "storage:\n  filesystem: {rootdirectory: {root}, maxthreads: 50}\n",
    "flow": "version: 0.1\nstorage: {filesystem: {rootdirectory: '{root}'}, delete: {enabled: true}}\n",
    "an anchor": "root: &root {root}\nstorage:\n  filesystem:\n    rootdirectory: *root\n",
}
"""Texts of a configuration; ``{root}`` stands for the folder."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    return folder


class Proc:
    """The kernel's view of one process."""

    def __init__(self, folder: Path, config: str, cwd: Path, environ: bytes = b"") -> None:
        self.folder = folder / "proc"
        process = self.folder / "4711"
        process.mkdir(parents=True)
        path = folder / "config.yml"
        path.write_text(config)
        (process / "cmdline").write_bytes(b"/usr/bin/docker-registry\0serve\0%s\0" % str(path).encode())
        (process / "environ").write_bytes(environ)
        (process / "root").symlink_to("/")
        (process / "cwd").symlink_to(cwd)

    def find(self, store: Path) -> processes.Registry | None:
        root = Root.open(str(store))
        try:
            return processes.find(root, str(self.folder))
        finally:
            root.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spelled", ["path", "link", "relative"])
def test_a_registry_is_found_however_its_configuration_names_the_folder(
    tmp_path: Path, store: Path, way: str, spelled: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(store)
    root = {"path": str(store), "link": str(link), "relative": "registry"}[spelled]
    registry = Proc(tmp_path, WAYS[way].replace("{root}", root), tmp_path).find(store)
    assert registry is not None
    assert registry.holder == "docker-registry (process 4711)"
    assert registry.certain is (way in ("block", "quoted"))


def test_a_configuration_in_json_is_yaml_too(tmp_path: Path, store: Path) -> None:
    config = json.dumps({"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(store)}}})
    assert Proc(tmp_path, config, tmp_path).find(store) is not None


def test_a_configuration_that_names_another_folder_is_in_nobodys_way(tmp_path: Path, store: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    config = BLOCK.replace("{root}", str(other)) + f"# once it was {store}\n"
    assert Proc(tmp_path, config, tmp_path).find(store) is None


def test_a_configuration_in_json_that_names_another_folder_is_not_either(tmp_path: Path, store: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    config = json.dumps({"storage": {"filesystem": {"rootdirectory": str(other)}}})
    assert Proc(tmp_path, config, tmp_path).find(store) is None


def test_the_environment_wins_over_the_configuration(tmp_path: Path, store: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    environ = b"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=%s\0" % str(store).encode()
    found = Proc(tmp_path, BLOCK.replace("{root}", str(other)), tmp_path, environ)
    assert found.find(store) is not None
    assert found.find(other) is None
