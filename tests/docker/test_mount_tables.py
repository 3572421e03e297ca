"""What mount tables say of a data root: which file system it lies on, and layers that are mounted."""

import os
from pathlib import Path

import pytest

from orlop.mounttables import bind_mounted, file_system, in_use, is_network

HOST = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
FOLDERS = ("overlay2", "vfs/dir")


class Proc:
    """A process folder of the kernel's shape."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.add("self", HOST)

    def add(self, name: str, table: str, *, namespace: str = "mnt:[1]", command: str = "sh") -> None:
        folder = Path(self.path, name)
        (folder / "ns").mkdir(parents=True, exist_ok=True)
        (folder / "mountinfo").write_bytes(os.fsencode(table))
        (folder / "comm").write_text(command + "\n")
        (folder / "ns" / "mnt").unlink(missing_ok=True)
        (folder / "ns" / "mnt").symlink_to(namespace)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def overlay(at: str, options: str) -> str:
    return f"90 22 0:55 / {at} rw,relatime - overlay overlay rw,{options}\n"


@pytest.mark.parametrize(
    "options",
    [
        "lowerdir=/var/lib/docker/overlay2/l/AAAA:/var/lib/docker/overlay2/l/BBBB,upperdir=/x,workdir=/y",
        "lowerdir=/elsewhere:/var/lib/docker/overlay2/abc/diff",
        "lowerdir=/e,upperdir=/var/lib/docker/overlay2/abc/diff,workdir=/var/lib/docker/overlay2/abc/work",
        "lowerdir+=/var/lib/docker/overlay2/abc/diff,lowerdir+=/e",
    ],
)
def test_an_overlay_on_layers_of_the_root_is_in_use(proc: Proc, options: str) -> None:
    proc.add("41", HOST + overlay("/", options), command="nginx")
    found = in_use("/var/lib/docker", FOLDERS, proc.path)
    assert found is not None
    assert found.path.startswith("/var/lib/docker/overlay2/")
    assert (found.pid, found.command, found.at) == (41, "nginx", "/")


@pytest.mark.parametrize(
    "options",
    [
        "lowerdir=/var/lib/docker2/overlay2/abc/diff",
        "lowerdir=/var/lib/docker/overlay2x/abc/diff",
        "lowerdir=/mnt/var/lib/docker/overlay2/abc/diff",
        "lowerdir=l/AAAA",
        "",
    ],
)
def test_an_overlay_elsewhere_is_not(proc: Proc, options: str) -> None:
    proc.add("41", HOST + overlay("/merged", options))
    assert in_use("/var/lib/docker", FOLDERS, proc.path) is None


def test_a_mount_point_inside_a_layer_is_in_use_whatever_its_options_say(proc: Proc) -> None:
    proc.add("1", HOST + overlay("/var/lib/docker/overlay2/abc/merged", "lowerdir=l/AAAA,upperdir=abc/diff"))
    found = in_use("/var/lib/docker", FOLDERS, proc.path)
    assert found is not None
    assert found.at == "/var/lib/docker/overlay2/abc/merged"


def test_the_process_inside_the_container_is_named_before_others(proc: Proc) -> None:
    options = "upperdir=/var/lib/docker/overlay2/abc/diff"
    proc.add("1", HOST + overlay("/var/lib/docker/overlay2/abc/merged", options))
    proc.add("9", HOST)
    proc.add("77", overlay("/", options), namespace="mnt:[2]", command="redis")
    found = in_use("/var/lib/docker", FOLDERS, proc.path)
    assert found is not None
    assert found.pid == 77


def test_one_process_of_a_namespace_speaks_for_all(proc: Proc) -> None:
    proc.add("5", HOST)
    proc.add("6", overlay("/", "upperdir=/var/lib/docker/overlay2/abc/diff"))
    assert in_use("/var/lib/docker", FOLDERS, proc.path) is None


def test_a_bind_mount_of_a_vfs_folder_is_in_use(proc: Proc) -> None:
    proc.add("self", HOST + "30 22 254:1 /data /var/lib rw - ext4 /dev/vdb rw\n")
    proc.add("8", "40 22 254:1 /data/docker/vfs/dir/abc / rw - ext4 /dev/vdb rw\n", namespace="mnt:[2]")
    assert in_use("/var/lib/docker", FOLDERS, proc.path) is not None
    assert in_use("/var/lib/other", FOLDERS, proc.path) is None


def test_a_root_that_is_mounted_on_itself_is_not_in_use(proc: Proc) -> None:
    line = "40 22 254:0 /var/lib/docker /var/lib/docker rw - ext4 /dev/vda rw\n"
    proc.add("self", HOST + line)
    proc.add("1", HOST + line)
    assert in_use("/var/lib/docker", FOLDERS, proc.path) is None


def test_names_with_blanks_and_bytes_that_are_no_text_are_found(proc: Proc) -> None:
    table = overlay("/", r"upperdir=/srv/my\040docker" + "\udcff" + "/overlay2/abc/diff")
    proc.add("4", table)
    assert in_use("/srv/my docker\udcff", FOLDERS, proc.path) is not None


def test_lines_of_an_unknown_shape_and_processes_that_ended_are_passed_over(proc: Proc, tmp_path: Path) -> None:
    proc.add("4", "nonsense\n\n1 2 3 - \n" + HOST)
    (tmp_path / "5").mkdir()
    (tmp_path / "uptime").write_text("1")
    assert in_use("/var/lib/docker", FOLDERS, proc.path) is None


def test_the_file_system_is_that_of_the_longest_mount_point_and_of_several_the_last(proc: Proc) -> None:
    nfs = "30 22 0:44 / /var/lib/docker rw - nfs4 host:/x rw\n"
    proc.add("self", HOST + nfs + "31 22 0:45 / /var/lib/dock rw - tmpfs tmpfs rw\n")
    assert file_system("/var/lib/docker", proc.path) == "nfs4"
    assert file_system("/var/lib/docker/image", proc.path) == "nfs4"
    assert file_system("/var/lib", proc.path) == "ext4"
    proc.add("self", HOST + nfs + "32 30 254:3 / /var/lib/docker rw - xfs /dev/vdc rw\n")
    assert file_system("/var/lib/docker", proc.path) == "xfs"


def test_a_mount_table_that_cannot_be_read_gives_no_answer(tmp_path: Path) -> None:
    assert file_system("/var", str(tmp_path)) == ""
    assert in_use("/var", FOLDERS, str(tmp_path)) is None


def test_this_machine_answers() -> None:
    assert file_system("/")
    assert in_use("/nowhere/at/all", FOLDERS) is None


@pytest.mark.parametrize(("kind", "network"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False)])
def test_network_file_systems_are_known_by_their_names(kind: str, network: bool) -> None:
    assert is_network(kind) is network


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("50 22 254:0 /srv/my\\040docker /srv/my\\040docker rw - ext4 /dev/vda rw\n", True),
        ("50 22 254:1 /my\\040docker /srv/my\\040docker rw - ext4 /dev/vdb rw\n", True),  # below a mount of its own
        ("50 22 254:1 / /srv/my\\040docker rw - ext4 /dev/vdb rw\n", False),  # a file system of its own
        ("50 22 254:0 /elsewhere /srv/my\\040docker rw - ext4 /dev/vda rw\n", False),
        ("50 22 254:0 /srv/other /srv/other rw - ext4 /dev/vda rw\n", False),
        ("garbage\n", False),
    ],
)
def test_a_root_that_is_mounted_on_itself_is_told_from_other_mounts(proc: Proc, line: str, is_one: bool) -> None:
    proc.add("self", HOST + line)
    assert bind_mounted("/srv/my docker", proc.path) is is_one
