"""Archives of images out of stores whose engine is stopped, judged by the engines that load them."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.conftest import PATH, Engine, environment
from tests.engines.registry_judge import Question, skopeo

if TYPE_CHECKING:
    from tests.engines.conftest import Made
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
Command = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def fresh(driver: str, folder: Path) -> Iterator[Engine]:
    """An engine with nothing in it, running."""
    room = Path(tempfile.mkdtemp(prefix="orlop-"))
    engine = Engine(folder / "fresh", driver, room)
    try:
        with engine.running():
            yield engine
    finally:
        engine.stop()
        shutil.rmtree(room, ignore_errors=True)
        shutil.rmtree(engine.data, ignore_errors=True)


def saved(command: Command, root: Path, target: Path, *images: str, form: str = "") -> list[dict[str, Any]]:
    """Save images with the command line; what it says of each."""
    options = ["--form", form] if form else []
    done = command("save", str(root), *images, "-o", str(target), "--json", *options)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(each["bytes"] for each in found) == target.stat().st_size
    return found


def tags(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name for name in names if "@" not in name)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# --- Docker --------------------------------------------------------------------


def test_every_image_is_loaded_with_its_id_and_tags_and_saves_alike(
    made: "Made", command: Command, tmp_path: Path, figure: Figure
) -> None:
    archive = tmp_path / "all.tar"
    saved(command, made.data, archive, *sorted(made.images))

    with fresh(made.driver, tmp_path) as engine:
        engine.docker("load", "--input", str(archive))
        loaded = engine.images()
        again = engine.saved()

    assert {id: image.names for id, image in loaded.items()} == {id: tags(names) for id, names in made.names.items()}
    assert again == made.saved
    assert {id: image.history for id, image in loaded.items()} == {id: one.history for id, one in made.images.items()}
    parents = {id: image.inspect["Parent"] for id, image in loaded.items()}
    assert parents == {id: image.inspect["Parent"] for id, image in made.images.items()}
    figure(f"save: {made.driver}: {len(loaded)} images, {archive.stat().st_size} bytes, loaded by docker")


def test_the_same_images_give_the_same_bytes(made: "Made", command: Command, tmp_path: Path) -> None:
    for form in ("docker-archive", "oci-archive"):
        first, second = tmp_path / f"1.{form}", tmp_path / f"2.{form}"
        saved(command, made.data, first, "app0:v2", "built:1", form=form)
        saved(command, made.data, second, "app0:v2", "built:1", form=form)

        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_copies_an_image_with_its_config(made: "Made", command: Command, form: str, tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    [one, other] = saved(command, made.data, archive, "app0:v2", "single:1", form=form)

    for image, name in ((one, "app0:v2"), (other, "single:1")):
        folder = tmp_path / name.partition(":")[0]
        skopeo("copy", "-q", f"{form}:{archive}:{name}", f"dir:{folder}")
        manifest = json.loads((folder / "manifest.json").read_bytes())
        assert manifest["config"]["digest"] == image["id"] == made.id_of(name)
        config = json.loads((folder / str(image["id"])[7:]).read_bytes())
        assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])


# --- a registry ----------------------------------------------------------------


def named(made: "MadeRegistry") -> list[str]:
    """Every tag that the registry serves."""
    return sorted(f"{each.repository}:{each.reference}" for each in made.answers.served() if each.is_tag)


def test_skopeo_copies_every_tag_with_its_digests(
    made_registry: "MadeRegistry", command: Command, tmp_path: Path, figure: Figure
) -> None:
    archive = tmp_path / "all.oci"
    names = named(made_registry)
    of_docker = [name for name in names if b"vnd.docker" in made_registry.manifest(made_registry.digest(name))]
    found = saved(command, made_registry.root, archive, *names)

    for number, name in enumerate(names):
        folder, source = tmp_path / f"copy{number}", f"{archive}:{name}"
        if name in of_docker:  # skopeo finds those by no name
            source = str(tmp_path / f"{number}.oci")
            saved(command, made_registry.root, Path(source), name)
        skopeo("copy", "-q", "--all", "--preserve-digests", f"oci-archive:{source}", f"dir:{folder}")
        assert digest((folder / "manifest.json").read_bytes()) == made_registry.digest(name)
    assert of_docker
    assert sum(any("skopeo" in remark for remark in each["remarks"]) for each in found) == len(
        {made_registry.digest(name) for name in of_docker}
    )
    figure(f"save: registry: {len(names)} tags in one archive, {archive.stat().st_size} bytes, copied by skopeo")


def test_docker_loads_an_image_of_a_registry_with_its_id(
    made_registry: "MadeRegistry", command: Command, tmp_path: Path
) -> None:
    archive = tmp_path / "app.tar"
    names = [name for name in named(made_registry) if name.startswith(("team/app:", "library/base:"))]
    found = saved(command, made_registry.root, archive, *names, form="docker-archive")

    with fresh("vfs", tmp_path) as engine:
        engine.docker("load", "--input", str(archive))
        listed = engine.listed()

    assert set(listed) == {each["id"] for each in found}
    assert {made_registry.needs(name)[0] for name in names} == set(listed)
    assert sorted(name for names in listed.values() for name in names) == sorted(
        name.removeprefix("library/") for name in names
    )


def test_a_registry_takes_its_own_archives_back_with_equal_digests(
    made_registry: "MadeRegistry", command: Command, tmp_path: Path
) -> None:
    root = tmp_path / "empty"
    (root / "docker/registry/v2/repositories").mkdir(parents=True)
    for number, name in enumerate(("team/app:latest", "team/multi:all")):
        archive = tmp_path / f"{number}.oci"
        saved(command, made_registry.root, archive, name)
        done = command("import", str(root), name, str(archive), "--offline", "--yes")
        assert done.returncode == 0, done.stderr

    from tests.engines.registry_judge import Service

    service = Service(root)
    try:
        service.start()
        for name in ("team/app:latest", "team/multi:all"):
            repository, _, tag = name.rpartition(":")
            reply = service.reply(Question(repository, "manifests", tag))
            assert reply.digest == made_registry.digest(name)
    finally:
        service.stop()
        shutil.rmtree(service.room)


@pytest.mark.skipif(shutil.which("podman", path=PATH) is None, reason="podman is not installed")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_an_image_with_its_id(made: "Made", command: Command, form: str, tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    saved(command, made.data, archive, "app0:v2", form=form)
    with tempfile.TemporaryDirectory(prefix="podman-", dir="/tmp") as run:  # its path may have 50 characters
        argv = ["podman", "--root", str(tmp_path / "root"), "--runroot", run, "--storage-driver", "vfs"]
        load = [*argv, "load", "-i", str(archive)]
        done = subprocess.run(load, env=environment(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        images = [*argv, "images", "-q", "--no-trunc"]
        listed = subprocess.run(images, env=environment(), capture_output=True, check=True)
    assert listed.stdout.decode().strip() == made.id_of("app0:v2")
