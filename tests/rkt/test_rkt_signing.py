"""Signatures of fetched images, made by a real GnuPG: what is trusted for which name, and what is refused."""

import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orlop import incoming
from orlop.errors import FetchFailed, Malformed
from orlop.fs import Root
from orlop.intent import Import
from orlop.progress import Silent
from orlop.rkt import signing
from orlop.rkt.door import RktStore
from orlop.rkt.fetching import fetch
from orlop.rkt.signing import Check, Judgement, Keys, Signature
from orlop.rkt.transfer import Bounds
from orlop.samples.rkt import NOW, AciRoot
from orlop.store import Fetched
from tests.rkt.conftest import aci
from tests.rkt.loopback import Answer, file, redirect, serving
from tests.rkt.rkt_stores import settled

IMAGE = gzip.compress(aci("example.com/signed/app"))

pytestmark = pytest.mark.skipif(
    shutil.which("gpg") is None or signing.program() is None, reason="gpg or gpgv is not installed"
)


class Signer:
    """A key of its own, in a folder of its own."""

    def __init__(self, home: str, name: str) -> None:
        self._home = home
        self._run("--quick-generate-key", name, "ed25519", "sign", "never")
        listed = self._run("--with-colons", "--list-keys").decode().splitlines()
        self.fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr")).lower()
        self.public = self._run("--armor", "--export")

    def sign(self, data: bytes, *more: str) -> bytes:
        return self._run("--detach-sign", *(more or ("--armor",)), input=data)

    def _run(self, *arguments: str, input: bytes = b"") -> bytes:
        quiet = ("--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
        command = ["gpg", "--homedir", self._home, *quiet, *arguments]
        return subprocess.run(command, input=input, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def signers() -> Iterator[tuple[Signer, Signer]]:
    """Two people; the folders have short names, for the agent's socket."""
    homes = [tempfile.mkdtemp(prefix="orlop-gpg-") for _ in range(2)]
    yield Signer(homes[0], "Ann <ann@example.com>"), Signer(homes[1], "Ben <ben@example.com>")
    for home in homes:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """rkt's folders of keys: that of the system, and that of the host."""
    return tmp_path / "usr" / "trustedkeys", tmp_path / "etc" / "trustedkeys"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RktStore]:
    opened = RktStore(Root.open(settled(AciRoot.create(str(tmp_path / "rkt")))))
    yield opened
    opened.close()


def trust(folder: Path, signer: Signer, prefix: str = "", data: bytes | None = None) -> Path:
    path = folder / (f"prefix.d/{prefix}" if prefix else "root.d") / signer.fingerprint
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(signer.public if data is None else data)
    return path


def fetched(store: RktStore, folders: tuple[Path, Path], answers: dict[str, Answer], path: str = "/app.aci") -> Fetched:
    with serving(answers) as server:
        bounds = Bounds(connect=2, idle=2, answer=2, total=5)
        keys = [str(folder) for folder in folders]
        return fetch(
            store.root,
            store.model,
            server.url + path,
            at=NOW,
            progress=Silent(),
            trusted_keys=keys,
            bounds=bounds,
        )


def test_a_good_signature_by_a_trusted_key_is_told(
    store: RktStore, folders: tuple[Path, Path], signers: tuple[Signer, Signer]
) -> None:
    ann, _ = signers
    trust(folders[1], ann)
    found = fetched(store, folders, {"/app.aci": file(IMAGE), "/app.aci.asc": file(ann.sign(IMAGE))})
    assert f"the signature was checked: good, by Ann <ann@example.com> {ann.fingerprint}" in found.remarks
    assert isinstance(found.intent, Import)
    assert found.intent.remote is not None
    assert found.intent.remote.signature_url.endswith("/app.aci.asc")


@pytest.mark.parametrize("how", ["binary", "labelled gzip", "compressed on the way", "elsewhere", "redirected"])
def test_it_is_found_and_checked_however_it_is_served(
    store: RktStore, folders: tuple[Path, Path], signers: tuple[Signer, Signer], how: str
) -> None:
    ann, _ = signers
    trust(folders[1], ann, "example.com/signed")
    signature = ann.sign(IMAGE, "--no-armor") if how == "binary" else ann.sign(IMAGE)
    answers = {"/app.aci": file(IMAGE), "/app.aci.asc": file(signature)}
    path = "/app.aci"
    match how:
        case "labelled gzip":
            answers["/app.aci"] = file(IMAGE, Content_Encoding="gzip")
        case "compressed on the way":
            answers["/app.aci"] = file(gzip.compress(IMAGE), Content_Encoding="gzip")
        case "elsewhere":
            answers, path = {"/app?v=1": file(IMAGE), "/app.asc?v=1": file(signature)}, "/app?v=1"
        case "redirected":
            answers |= {"/app.aci.asc": redirect("/real.asc"), "/real.asc": file(signature)}
    found = fetched(store, folders, answers, path)
    assert any("good, by Ann" in remark for remark in found.remarks)


@pytest.mark.parametrize("how", ["other bytes", "a bad signature of a name without keys"])
def test_a_bad_signature_is_refused_and_nothing_waits(
    store: RktStore, folders: tuple[Path, Path], signers: tuple[Signer, Signer], how: str
) -> None:
    ann, _ = signers
    trust(folders[1], ann, "" if how == "other bytes" else "example.org")
    answers = {"/app.aci": file(IMAGE), "/app.aci.asc": file(ann.sign(IMAGE + b"x"))}
    with pytest.raises(FetchFailed, match="not a signature of what the server sent"):
        fetched(store, folders, answers)
    assert incoming.waiting(store.root) == ()


@pytest.mark.parametrize("how", ["another's", "none", "rubbish", "too much"])
def test_where_rkt_trusts_keys_for_the_name_it_must_be_one_of_theirs(
    store: RktStore, folders: tuple[Path, Path], signers: tuple[Signer, Signer], how: str
) -> None:
    ann, ben = signers
    trust(folders[1], ann, "example.com")
    answers = {"/app.aci": file(IMAGE)}
    match how:
        case "another's":
            answers["/app.aci.asc"] = file(ben.sign(IMAGE))
        case "rubbish":
            answers["/app.aci.asc"] = file(b"\x1b[2J no signature")
        case "too much":
            answers["/app.aci.asc"] = file(b"x" * (1 << 21))
    with pytest.raises(FetchFailed, match=r"rkt trusts keys for example\.com/signed/app"):
        fetched(store, folders, answers)
    assert incoming.waiting(store.root) == ()


def test_a_key_for_other_names_does_not_count(
    store: RktStore, folders: tuple[Path, Path], signers: tuple[Signer, Signer]
) -> None:
    ann, ben = signers
    trust(folders[1], ann, "example.com/signed/app")
    trust(folders[1], ben, "example.com/signed/ap")
    with pytest.raises(FetchFailed, match="key that is not trusted for"):
        fetched(store, folders, {"/app.aci": file(IMAGE), "/app.aci.asc": file(ben.sign(IMAGE))})


@pytest.mark.parametrize("how", ["no keys", "keys for other names", "no signature", "no program"])
def test_what_was_not_checked_is_said(
    store: RktStore,
    folders: tuple[Path, Path],
    signers: tuple[Signer, Signer],
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann, ben = signers
    answers = {"/app.aci": file(IMAGE), "/app.aci.asc": file(ann.sign(IMAGE))}
    match how:
        case "keys for other names":
            trust(folders[1], ben, "example.org")
        case "no signature":
            del answers["/app.aci.asc"]
        case "no program":
            trust(folders[1], ann)
            monkeypatch.setattr(signing, "PROGRAMS", ("/nowhere/gpgv",))
    found = fetched(store, folders, answers)
    [remark] = [remark for remark in found.remarks if "signature" in remark]
    why = {"keys for other names": "is not trusted", "no program": "gpgv is not installed"}.get(how, "trusts no keys")
    assert remark.startswith("the signature was not checked: ")
    assert why in remark


def test_the_hosts_folder_takes_the_trust_in_a_key_away(
    folders: tuple[Path, Path], signers: tuple[Signer, Signer]
) -> None:
    ann, ben = signers
    trust(folders[0], ann)
    trust(folders[0], ben, "example.com")
    paths = [str(folder) for folder in folders]
    keys = Keys.read(paths)
    assert keys.trusted_for("example.com/app") == {ann.fingerprint, ben.fingerprint}
    assert keys.trusted_for("example.community/app") == {ann.fingerprint}
    trust(folders[1], ann, data=b"")
    trust(folders[1], ben, "example.com/app", data=b"")
    keys = Keys.read(paths)
    assert keys.trusted_for("example.com/app/x") == frozenset()
    assert keys.trusted_for("example.com/other") == {ben.fingerprint}


def test_a_file_that_is_no_key_is_named(folders: tuple[Path, Path], signers: tuple[Signer, Signer]) -> None:
    path = trust(folders[1], signers[0], data=b"no key")
    with pytest.raises(Malformed) as error:
        Keys.read([str(folder) for folder in folders])
    assert error.value.path == str(path)
    path.unlink()
    path.symlink_to("/etc/passwd")
    (path.parent / "notes.txt").write_bytes(b"no key either")
    assert Keys.read([str(folder) for folder in folders]).trusted_for("a") == frozenset()


def test_of_two_signatures_one_by_a_trusted_key_is_enough(signers: tuple[Signer, Signer]) -> None:
    ann, ben = signers
    both = ann.sign(b"data", "--no-armor") + ben.sign(b"data", "--no-armor")
    found = _checked(_ring(ann), both, b"data")
    assert (found.judgement, found.signers) == (Judgement.GOOD, (ann.fingerprint,))
    assert _checked(_ring(ann), both, b"date").judgement is Judgement.BAD


def test_a_check_that_is_given_up_leaves_no_process(signers: tuple[Signer, Signer]) -> None:
    ann, _ = signers
    before = set(os.listdir("/proc/self/fd"))
    gpgv = signing.program()
    assert gpgv is not None
    with Check(gpgv, _ring(ann), ann.sign(b"data")) as check:
        check.feed(b"da")
    assert set(os.listdir("/proc/self/fd")) == before


def test_much_data_after_a_signature_that_is_none_is_no_failure(signers: tuple[Signer, Signer]) -> None:
    assert _checked(_ring(signers[0]), b"rubbish", b"x" * (4 << 20)).judgement is Judgement.UNKNOWN


def _ring(*signers: Signer) -> bytes:
    return b"".join(signing.dearmored(signer.public, "key") for signer in signers)


def _checked(ring: bytes, signature: bytes, data: bytes) -> Signature:
    gpgv: Any = signing.program()
    with Check(gpgv, ring, signature) as check:
        for at in range(0, len(data), 65536):
            check.feed(data[at : at + 65536])
        return check.result()
