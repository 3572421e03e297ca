"""A docker-registry on one root, asked for everything it serves, and Orlop's changes of that root.

`Service` starts and stops the registry and speaks to it; `everything` is all that it
answers, byte for byte, so that two states of one root can be compared; `pulled` has
skopeo copy every manifest that it serves.
"""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import orlop.kinds
from orlop import apply as executor
from orlop.digest import Digest
from orlop.finding import Finding
from orlop.intent import Intent
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.store import Statement, Store
from tests.engines.conftest import Server, _answers, _free_port, environment

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
OFFLINE = Statement(offline=True)
V2 = "docker/registry/v2"
MANIFESTS, BLOBS = "manifests", "blobs"


class Question(NamedTuple):
    """What a client asks for."""

    repository: str
    what: str
    """`MANIFESTS` or `BLOBS`."""
    reference: str
    """A tag or a digest."""

    @property
    def is_tag(self) -> bool:
        return ":" not in self.reference


class Reply(NamedTuple):
    """What the registry answers, its bytes as their digest."""

    status: int
    media_type: str
    digest: str
    """What it says that the digest is."""
    content: str


Tags: TypeAlias = Mapping[str, frozenset[str] | None]
"""By repository; None where the registry knows no such repository."""
Files: TypeAlias = dict[str, str]
"""What lies at each path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry said to one request."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes

    @property
    def message(self) -> str:
        """The message of an error, and its details."""
        [error] = json.loads(self.body)["errors"]
        return f"{error['message']} {json.dumps(error.get('detail'), ensure_ascii=False)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """All that a registry answers of what was asked."""

    catalog: frozenset[str]
    tags: Tags
    replies: Mapping[Question, Reply]

    def served(self, *repositories: str) -> list[Question]:
        """The manifests that it has, of these repositories or of all."""
        return [
            question
            for question, reply in sorted(self.replies.items())
            if reply.status == 200
            and question.what == MANIFESTS
            and (not repositories or question.repository in repositories)
        ]


@dataclass(slots=True)
class Service:
    """A docker-registry over one root, started and stopped as a test needs it."""

    root: Path
    upstream: str = ""
    """Address of the registry that this one is a pull-through cache of."""
    spelled: str = ""
    """How its configuration names the root, where not by its path."""
    schema1: bool = False
    """Whether it takes manifests of the first form, which it refuses by default."""
    remembers: bool = False
    """Whether it keeps what it knows of blobs in memory, as the usual configuration of its container does."""
    room: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="orlop-registry-")))
    port: int = 0
    server: Server | None = None
    starts: int = 0
    requests: int = 0
    _wire: http.client.HTTPConnection | None = None

    # running it

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.server is not None
        return self.server.process.pid

    @property
    def config(self) -> Path:
        storage: dict[str, object] = {
            "filesystem": {"rootdirectory": self.spelled or str(self.root)},
            "delete": {"enabled": True},
        }
        settings: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": storage,
            "http": {"addr": self.host},
        }
        if self.remembers:
            storage["cache"] = {"blobdescriptor": "inmemory"}
        if self.schema1:
            settings["compatibility"] = {"schema1": {"enabled": True}}
        if self.upstream:
            settings["proxy"] = {"remoteurl": f"http://{self.upstream}"}
        path = self.room / "config.yml"
        path.write_text(json.dumps(settings))  # JSON is YAML
        return path

    def start(self) -> None:
        assert self.server is None, "it runs already"
        self.port = _free_port()
        self.starts += 1
        self.server = Server.start(["docker-registry", "serve", str(self.config)], self.room / "log")
        self.server.wait_until(lambda: _answers(self.port))

    def stop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self.server is not None:
            self.server.stop()
            self.server = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Service"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def log(self) -> str:
        """What it logged since the service was made."""
        path = self.room / "log"
        return _unescaped(path.read_text(errors="replace")) if path.exists() else ""

    def collect(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Its garbage collection over the root, by a process of its own."""
        command = ["docker-registry", "garbage-collect", *options, str(self.config)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        done.stderr = _unescaped(done.stderr)
        return done

    # asking it

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; a path is below ``/v2/`` unless it is a whole address of this registry."""
        target = path.removeprefix(f"http://{self.host}") if path.startswith("http:") else f"/v2/{path}"
        if self._wire is None:
            self._wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.requests += 1
        self._wire.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = self._wire.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def reply(self, question: Question) -> Reply:
        repository, what, reference = question
        answer = self.ask("GET", f"{repository}/{what}/{reference}", Accept=ACCEPT)
        if answer.status != 200:
            return Reply(answer.status, "", "", "")
        return Reply(
            200,
            answer.headers.get("content-type", ""),
            answer.headers.get("docker-content-digest", ""),
            Digest.of(answer.body),
        )

    def tags(self, repository: str) -> frozenset[str] | None:
        answer = self.ask("GET", f"{repository}/tags/list")
        return frozenset(json.loads(answer.body)["tags"] or ()) if answer.status == 200 else None

    def catalog(self) -> frozenset[str]:
        return frozenset(json.loads(self.ask("GET", "_catalog?n=1000").body)["repositories"] or ())

    def everything(self, questions: Iterable[Question]) -> Everything:
        """Its catalog, the tags of every repository that is asked about, and the reply to each question."""
        asked = sorted(questions)
        catalog = self.catalog()
        names = sorted({question.repository for question in asked} | catalog)
        return Everything(
            catalog=catalog,
            tags={name: self.tags(name) for name in names},
            replies={question: self.reply(question) for question in asked},
        )

    # pushing to it

    def upload(self, repository: str, content: bytes) -> str:
        """Upload a blob whole; its digest."""
        digest = Digest.of(content)
        begun = self.ask("POST", f"{repository}/blobs/uploads/", b"")
        done = self.ask("PUT", f"{begun.headers['location']}&digest={digest}", content)
        assert done.status == 201, done.body
        return digest

    def put(self, repository: str, reference: str, manifest: bytes, media_type: str) -> Answer:
        return self.ask("PUT", f"{repository}/manifests/{reference}", manifest, Content_Type=media_type)

    def push(self, source: Path, name: str, target: str, *options: str) -> None:
        """Let skopeo push an image of an OCI layout."""
        skopeo(
            "copy", "-q", "--dest-tls-verify=false", *options, f"oci:{source}:{name}", f"docker://{self.host}/{target}"
        )


def _unescaped(text: str) -> str:
    """A log's text with the quotes and escapes of its fields undone."""
    return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda found: _json_text(found[0]), text)


def _json_text(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


# --- what can be asked -------------------------------------------------------


def questions_of(root: Path) -> frozenset[Question]:
    """Every tag, manifest and blob that a root has a link for."""
    found: set[Question] = set()
    top = root / V2 / "repositories"
    for link in top.rglob("link"):
        parts = link.relative_to(top).parts
        at = next(n for n, part in enumerate(parts) if part in ("_layers", "_manifests"))
        name, rest = "/".join(parts[:at]), parts[at:]
        if rest[0] == "_layers" and len(rest) == 4:
            found.add(Question(name, BLOBS, f"{rest[1]}:{rest[2]}"))
        elif rest[1] == "revisions" and len(rest) == 5:
            found.add(Question(name, MANIFESTS, f"{rest[2]}:{rest[3]}"))
        elif rest[1] == "tags" and rest[3:] == ("current", "link"):
            found.add(Question(name, MANIFESTS, rest[2]))
    return frozenset(found)


# --- skopeo ------------------------------------------------------------------


def skopeo(*args: str) -> bytes:
    done = subprocess.run(["skopeo", "--insecure-policy", *args], env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, f"skopeo {' '.join(args)}: {done.stderr.decode(errors='replace')}"
    return done.stdout


def pulled(service: Service, wanted: Everything, questions: Collection[Question]) -> int:
    """Have skopeo copy some manifests with all that they need, in one go; how many.

    Each must be the bytes of `wanted`, and every blob must hash to the name that skopeo gives it.
    """
    images: dict[str, list[str]] = {}
    for question in questions:
        images.setdefault(question.repository, []).append(question.reference)
    folder = Path(tempfile.mkdtemp(prefix="orlop-pulled-"))
    try:
        listing = folder / "sync.yml"
        listing.write_text(json.dumps({service.host: {"tls-verify": False, "images": images}}))
        skopeo("sync", "--all", "--scoped", "--src", "yaml", "--dest", "dir", str(listing), str(folder / "all"))
        for question in questions:
            _expect_copy(folder / "all" / service.host, question, wanted)
    finally:
        shutil.rmtree(folder)
    return len(questions)


def pulled_one_by_one(service: Service, wanted: Everything, questions: Collection[Question]) -> int:
    """The same by a `skopeo copy` of each, and `skopeo inspect --raw` must say the same bytes; how many."""
    folder = Path(tempfile.mkdtemp(prefix="orlop-pulled-"))
    try:
        for question in questions:
            name = _name(question)
            (folder / question.repository).parent.mkdir(parents=True, exist_ok=True)
            image = f"docker://{service.host}/{name}"
            skopeo("copy", "-q", "--all", "--src-tls-verify=false", image, f"dir:{folder / name}")
            _expect_copy(folder, question, wanted)
            raw = skopeo("inspect", "--raw", "--tls-verify=false", image)
            assert Digest.of(raw) == wanted.replies[question].content, name
    finally:
        shutil.rmtree(folder)
    return len(questions)


def _name(question: Question) -> str:
    return f"{question.repository}{':' if question.is_tag else '@'}{question.reference}"


def _expect_copy(folder: Path, question: Question, wanted: Everything) -> None:
    copy = folder / _name(question)
    manifest = (copy / "manifest.json").read_bytes()
    assert Digest.of(manifest) == wanted.replies[question].content, question
    for path in copy.iterdir():
        name = path.name.removesuffix(".manifest.json")
        if name not in ("version", "manifest.json"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == name, (question, name)


def expect_answers(service: Service, wanted: Everything) -> Everything:
    """The running registry answers just that; all that it answers.

    What it knows beyond that must be blobs and manifests of the digests that they are asked by.
    """
    more = questions_of(service.root) - wanted.replies.keys()
    found = service.everything(wanted.replies.keys() | more)
    assert {question: found.replies[question] for question in wanted.replies} == wanted.replies
    for question in more:
        assert found.replies[question].content == question.reference, question
    assert found.catalog == wanted.catalog
    assert {name: found.tags[name] for name in wanted.tags} == wanted.tags
    return found


def expect_served(service: Service, wanted: Everything, *touched: str) -> tuple[int, int]:
    """As `expect_answers`, and skopeo takes it all; how many answers, how many manifests taken.

    Args:
        service: it runs.
        wanted: the answers.
        touched: repositories of which each tag is taken by a `skopeo copy` of its own.
    """
    found = expect_answers(service, wanted)
    taken = pulled(service, found, found.served())
    if touched:
        taken += pulled_one_by_one(service, found, [each for each in found.served(*touched) if each.is_tag])
    return len(found.replies), taken


# --- what lies on disk -------------------------------------------------------


def copy_of(root: Path, target: Path) -> Path:
    """A copy of a root that shares nothing with it: a registry writes in place."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(target)], check=True)
    return target


def state_of(root: Path) -> Files:
    """Every file and folder of a root by path: mode, owner and content, Orlop's own folder left out."""
    found: Files = {}
    for here, folders, files in os.walk(root):
        if ".orlop" in folders:
            folders.remove(".orlop")
        for name in (*folders, *files):
            path = Path(here, name)
            found[str(path.relative_to(root))] = _state(path)
    return found


def _state(path: Path) -> str:
    stat = path.lstat()
    line = f"{stat.st_mode:o} {stat.st_uid}:{stat.st_gid}"
    if path.is_symlink():
        return f"{line} -> {path.readlink()}"
    return f"{line} {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else line


def differences(found: Files, wanted: Files) -> dict[str, tuple[str | None, str | None]]:
    paths = sorted(found.keys() | wanted.keys())
    return {path: (found.get(path), wanted.get(path)) for path in paths if found.get(path) != wanted.get(path)}


def blob_file(root: Path, digest: str) -> Path:
    return root / V2 / BLOBS / "sha256" / digest[7:9] / digest[7:] / "data"


def repository_folder(root: Path, name: str) -> Path:
    return root / V2 / "repositories" / name


def layer_link(root: Path, name: str, digest: str) -> Path:
    return repository_folder(root, name) / "_layers" / "sha256" / digest[7:] / "link"


def revision_link(root: Path, name: str, digest: str) -> Path:
    return repository_folder(root, name) / "_manifests" / "revisions" / "sha256" / digest[7:] / "link"


def tag_link(root: Path, name: str, tag: str) -> Path:
    return repository_folder(root, name) / "_manifests" / "tags" / tag / "current" / "link"


# --- Orlop -------------------------------------------------------------------


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Store]:
    store = orlop.kinds.open(str(root))
    try:
        yield store
    finally:
        store.close()


def findings(root: Path, *, content: bool = False) -> list[Finding]:
    with opened(root) as store:
        return list(store.check(None, content=content, progress=Silent()))


def planned(store: Store, intent: Intent) -> Plan:
    plan = store.plan(intent)
    assert isinstance(plan, Plan), plan
    return plan


def change(root: Path, intent: Callable[[Store], Intent]) -> Plan:
    """Plan and apply; the plan must not do damage."""
    with opened(root) as store:
        plan = planned(store, intent(store))
        receipt = executor.apply(store, plan, Journal.of(store.root), statement=OFFLINE)
        assert receipt.findings == ()
        return plan


def undo(root: Path) -> None:
    with opened(root) as store:
        assert executor.undo(store, Journal.of(store.root), statement=OFFLINE).remarks == ()
