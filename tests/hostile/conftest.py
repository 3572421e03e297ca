"""Stores that somebody made to harm whoever looks at them, and the walk that looks everywhere.

Beside every store lies a folder ``outside`` with a secret in it. Nothing that Orlop
says may hold the secret, and no plan may name a path that leads there.
"""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orlop import kinds, samples
from orlop.docker import layout
from orlop.errors import OrlopError
from orlop.finding import Finding
from orlop.intent import Intent, Remove, Tag, Unmap, Untag
from orlop.plan import Plan, Quarantine
from orlop.progress import Silent
from orlop.records import Condition, Detail, EngineState, Facet, Flag, Key, Mapping, Row, Snapshot, Trust
from orlop.store import Store
from orlop.text import visible

CANARY = "canary-in-the-coal-mine-4711"


@dataclass(slots=True)
class Small:
    """A sound store of three images, a container and mappings, with a secret beside it."""

    root: samples.DataRoot
    base: samples.Image
    app: samples.Image
    child: samples.Image
    container: str
    blob: str
    outside: Path

    @property
    def path(self) -> str:
        return self.root.path

    def at(self, path: str) -> Path:
        return Path(self.root.at(path))

    def record(self, image: samples.Image) -> str:
        """The layer record of an image's top layer."""
        return layout.layer("overlay2", image.layers[-1].chain_id)

    def data(self, image: samples.Image) -> str:
        """The driver's folder of an image's top layer."""
        return f"overlay2/{image.layers[-1].cache_id}"

    def rewrite_config(self, data: bytes, *names: str) -> str:
        """Another image, with these bytes as its config; gives its id."""
        made = self.root.config(data)
        for name in names or ("hostile:1",):
            self.root.tag(name, made.id)
        return made.id


@pytest.fixture
def small(tmp_path: Path) -> Small:
    root = samples.DataRoot.create(str(tmp_path / "docker"))
    base = root.image({"bin/sh": b"#!", "etc/motd": b"hello\n"}, names=["base:1"])
    app = root.image({"srv/app": b"app"}, on=base, names=["app:1"], local=True)
    child = root.image({"srv/child": b"child"}, on=app, names=["child:1"], local=True)
    blob = root.mapping(app.layers[-1], "ghcr.io/acme/app", pushed=True)
    container = root.container("app-1", app, image_name="app:1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / CANARY).write_text(CANARY)
    (outside / "diff").write_text(CANARY)
    return Small(root, base, app, child, container, blob, outside)


# --- looking everywhere ----------------------------------------------------


@dataclass(slots=True)
class Seen:
    """Everything that a walk through a store met."""

    snapshots: list[Snapshot] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    errors: list[OrlopError] = field(default_factory=list)
    opening: OrlopError | None = None
    said: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        return [row for snapshot in self.snapshots for row in snapshot.rows]

    @property
    def rules(self) -> set[str]:
        return {finding.rule for finding in self.findings}

    def complaints(self) -> list[str]:
        """What tells a person that something is wrong; empty for a sound store."""
        found = [f"{one.rule} {one.path} {one.detail}" for one in self.findings if one.severity != "S5"]
        for row in self.rows:
            if row.condition is not Condition.SOUND or row.trust is Trust.LISTED or Flag.ODD_NAME in row.flags:
                found.append(f"{row.key} {row.condition} {row.trust}")
        found += [s.engine_text for s in self.snapshots if s.engine is EngineState.UNKNOWN]
        found += [f"note {note.text} {note.path}" for snapshot in self.snapshots for note in snapshot.notes]
        if self.opening is not None:
            found.append(f"opening: {self.opening}")
        return found


def _ask(seen: Seen, question: Callable[[], object]) -> object:
    """One question to a store: an answer or an error of Orlop, and nothing else."""
    try:
        answer = question()
    except OrlopError as error:
        seen.errors.append(error)
        seen.said.append(f"{error!r} {error} {error.do}")
        return None
    try:
        seen.said.append(repr(answer))
    except RecursionError:  # a config may be nested as deep as the engine reads it
        assert isinstance(answer, Detail)
        seen.said.append(repr(answer.config_raw))
    return answer


def _plan(seen: Seen, store: Store, intent: Intent) -> None:
    plan = _ask(seen, lambda: store.plan(intent))
    if isinstance(plan, Plan):
        seen.plans.append(plan)
        assert repr(plan.to_json())


def _walk_store(seen: Seen, store: Store) -> None:
    snapshot = store.rows()
    seen.snapshots.append(snapshot)
    seen.said.append(repr(snapshot))
    checked = _ask(seen, lambda: list(store.check(None, content=False, progress=Silent())))
    if isinstance(checked, list):
        seen.findings += checked
    for facet in Facet:
        _ask(seen, lambda facet=facet: store.facet(facet, None))  # type: ignore[misc]
    for row in snapshot.rows[:8]:
        _walk_image(seen, store, row.key)
    for row in snapshot.rows[:2]:
        _ask(seen, lambda row=row: list(store.check([row.key], content=False, progress=Silent())))  # type: ignore[misc]
    mapped = _ask(seen, lambda: store.facet(Facet.MAPPINGS, None))
    for one in (mapped if isinstance(mapped, tuple) else ())[:12]:
        assert isinstance(one, Mapping)
        _plan(seen, store, Unmap(mappings=((one.diff_id, one.digest, one.source),)))
    for subject in ("overlay2", "image/overlay2/layerdb", layout.CONTAINERS, "../outside", "/", "."):
        _ask(seen, lambda subject=subject: store.why(subject))  # type: ignore[misc]
    assert not _ask(seen, lambda: store.refresh(None)), "nothing changed, and a re-read says that something did"
    _ask(seen, store.watched)


def _walk_image(seen: Seen, store: Store, key: Key) -> None:
    whole = Key(key.scope, key.id, None)
    for one in (key, whole):
        _ask(seen, lambda one=one: store.detail(one))  # type: ignore[misc]
        _plan(seen, store, Remove(keys=(one,)))
    for facet in Facet:
        _ask(seen, lambda facet=facet: store.facet(facet, key))  # type: ignore[misc]
    for text in (key.id, key.id[7:19], key.name or ""):
        _ask(seen, lambda text=text: store.find(text))  # type: ignore[misc]
        _ask(seen, lambda text=text: store.why(text))  # type: ignore[misc]
    if key.name is not None:
        _plan(seen, store, Untag(names=(key.name,)))
    _plan(seen, store, Tag(image=key.id, name="fresh:1"))


def _stays_inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


Walk = Callable[[str], Seen]


@pytest.fixture
def walk() -> Walk:
    """Ask a store everything, and judge what no answer may ever hold."""

    def walked(path: str) -> Seen:
        seen = Seen()
        try:
            stores = kinds.open_all(path)
        except OrlopError as error:
            seen.opening = error
            seen.said.append(f"{error!r} {error} {error.do}")
            stores = ()
        for store in stores:
            _walk_store(seen, store)
            store.close()
        for text in seen.said:
            assert CANARY not in text
        for plan in seen.plans:
            for step in plan.steps:
                assert _stays_inside(step.path), step
                assert not (isinstance(step, Quarantine) and step.path.split("/")[0] in ("volumes", ".orlop")), step
        return seen

    return walked


# --- commands --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Run a command, and judge what no command may ever print."""
    from orlop_tui.__main__ import main

    def run(*words: str) -> Ran:
        capfdbinary.readouterr()
        code = main(list(words))
        out, err = (stream.decode("utf-8") for stream in capfdbinary.readouterr())
        assert "fault of Orlop" not in err, err
        assert CANARY not in out + err
        for line in (out + err).split("\n"):
            assert visible(line) == line, f"{words}: {line!r}"
        return Ran(code, out, err)

    return run


@pytest.fixture
def reading_commands(command: Command) -> Callable[..., list[Ran]]:
    """Every command that reads, for people and for programs, on a store of which nothing is known."""

    def run(path: str, *, briefly: bool = False) -> list[Ran]:
        first = [("check", path, "--all"), ("show", path, "app:1"), ("rm", path, "app:1", "--dry-run")]
        others = [
            ("ls", path),
            ("mappings", path),
            ("remotes", path),
            ("journal", path),
            ("why", path, "app:1"),
            ("untag", path, "app:1", "--dry-run"),
            ("tag", path, "app:1", "fresh:1", "--dry-run"),
            ("unmap", path, "--stale", "--dry-run"),
        ]
        if briefly:
            return [command(*words) for words in first]
        return [command(*words, *json) for words in first + others for json in ((), ("--json",))]

    return run


# --- things in the place of others -----------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """One path of the format, and whether a wrong thing there must be told."""

    name: str
    path: Callable[[Small], str]
    told: bool = True


PLACES = (
    Place("config", lambda s: layout.config("overlay2", s.app.id)),
    Place("tag file", lambda s: layout.tag_file("overlay2")),
    Place("metadata folder", lambda s: layout.metadata("overlay2", s.app.id)),
    Place("parent key", lambda s: layout.metadata("overlay2", s.app.id) + "/parent"),
    Place("lastUpdated", lambda s: layout.metadata("overlay2", s.app.id) + "/lastUpdated", told=False),
    Place("layer record", lambda s: s.record(s.app)),
    Place("diff", lambda s: s.record(s.app) + "/diff"),
    Place("size", lambda s: s.record(s.app) + "/size"),
    Place("cache-id", lambda s: s.record(s.app) + "/cache-id"),
    Place("layer parent", lambda s: s.record(s.app) + "/parent"),
    Place("tar-split", lambda s: s.record(s.app) + "/tar-split.json.gz"),
    Place("mount record", lambda s: f"{layout.mounts('overlay2')}/{s.container}"),
    Place("mount-id", lambda s: f"{layout.mounts('overlay2')}/{s.container}/mount-id"),
    Place("init-id", lambda s: f"{layout.mounts('overlay2')}/{s.container}/init-id"),
    Place("mount parent", lambda s: f"{layout.mounts('overlay2')}/{s.container}/parent"),
    Place("v2 list", lambda s: layout.v2_list("overlay2", s.app.layers[-1].diff_id)),
    Place("v2 reverse", lambda s: layout.v2_reverse("overlay2", s.blob)),
    Place("container folder", lambda s: layout.container(s.container)),
    Place("config.v2.json", lambda s: f"{layout.container(s.container)}/config.v2.json"),
    Place("hostconfig.json", lambda s: f"{layout.container(s.container)}/hostconfig.json", told=False),
    Place("layer data", lambda s: s.data(s.app)),
    Place("overlay link", lambda s: s.data(s.app) + "/link", told=False),
    Place("overlay lower", lambda s: s.data(s.app) + "/lower", told=False),
    Place("overlay diff", lambda s: s.data(s.app) + "/diff", told=False),
    Place("overlay l", lambda s: "overlay2/l", told=False),
    Place("engine lock", lambda s: layout.LOCK),
    Place("configs", lambda s: layout.configs("overlay2")),
    Place("metadata folders", lambda s: layout.metadata_folders("overlay2")),
    Place("layer records", lambda s: layout.layers("overlay2")),
    Place("mounts", lambda s: layout.mounts("overlay2")),
    Place("transactions", lambda s: layout.transactions("overlay2")),
    Place("v2 lists", lambda s: layout.v2_lists("overlay2")),
    Place("v2 reverses", lambda s: layout.v2_reverses("overlay2")),
    Place("containers", lambda s: layout.CONTAINERS),
    Place("image root", lambda s: layout.image_root("overlay2")),
    Place("image", lambda s: layout.IMAGE),
    Place("layer data folder", lambda s: "overlay2"),
    Place("journal", lambda s: ".orlop", told=False),
)


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param
    return found


@pytest.fixture(params=[one for one in PLACES if one.name in ("config", "diff", "engine lock", "v2 list", "image")])
def notable_place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param
    return found


def _outward(path: Path, small: Small) -> None:
    """A link to a whole copy of what was there, outside: following it would look as if nothing had happened."""
    copy = small.outside / "copy"
    if path.is_dir():
        shutil.copytree(path, copy, symlinks=True)
        (copy / CANARY).write_text(CANARY)
    elif path.exists():
        shutil.copy2(path, copy)
    else:
        copy = small.outside
    _clear(path)
    path.symlink_to(copy)


def _loop(path: Path, _small: Small) -> None:
    _clear(path)
    path.symlink_to(path.name)


def _nowhere(path: Path, _small: Small) -> None:
    _clear(path)
    path.symlink_to("../../nowhere-at-all")


def _fifo(path: Path, _small: Small) -> None:
    _clear(path)
    os.mkfifo(path)


def _socket(path: Path, _small: Small) -> None:
    _clear(path)
    before = os.getcwd()
    os.chdir(path.parent)  # the path of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name[:100])
        os.rename(path.name[:100], path.name)
    finally:
        os.chdir(before)


def _device(path: Path, _small: Small) -> None:
    _clear(path)
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero never ends
    except PermissionError:
        pytest.skip("only root makes device nodes")


def _swapped(path: Path, _small: Small) -> None:
    """A folder where a file was, and a file where a folder was."""
    is_folder = path.is_dir()
    _clear(path)
    if is_folder:
        path.write_bytes(b"no folder")
    else:
        path.mkdir()
        (path / "inside").write_bytes(b"")


COMMON_THINGS = {"a link outward": _outward, "a pipe": _fifo, "a folder or file": _swapped}
RARE_THINGS = {"a link to itself": _loop, "a link to nothing": _nowhere, "a socket": _socket, "a device": _device}

Put = Callable[[Small, str], None]


@pytest.fixture(params=list(COMMON_THINGS))
def put(request: pytest.FixtureRequest) -> Put:
    """Put a wrong thing in a place."""
    return lambda small, path: COMMON_THINGS[request.param](small.at(path), small)


@pytest.fixture(params=list(RARE_THINGS))
def put_rare(request: pytest.FixtureRequest) -> Put:
    return lambda small, path: RARE_THINGS[request.param](small.at(path), small)


@pytest.fixture
def put_link_outward() -> Put:
    return lambda small, path: _outward(small.at(path), small)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# --- texts -----------------------------------------------------------------

TEXTS = {
    "osc 52": "a\x1b]52;c;b3Jsb3A=\x07z",
    "osc 52 with st": "a\x1b]52;c;b3Jsb3A=\x1b\\z",
    "title": "a\x1b]0;owned\x07z",
    "clear screen": "a\x1b[2J\x1b[Hz",
    "c1 csi": "a\u009b31mz",
    "c1 osc": "a\u009d52;c;b3Jsb3A=\u009cz",
    "nul and del": "a\x00\x7f\x08\x0e\x0fz",
    "newline and tab": "a\nb\tc\r\nd\u2028e\u0085z",
    "bidi": "a\u202egnp.exe\u2066\u2069\u200fz",
    "zero width": "a\u200b\u200d\ufeff\u2060\u00ad\u3164z",
    "tags": "a\U000e0041\U000e0042\ufff9z",
    "markup": "[bold]x[/nope][@click=app.quit]y[/][$primary]\\[z]",
    "invalid utf-8": "a\udcff\udcfe\udc80z",
    "combining": "a" + "\u0301" * 40 + "z",
    "braces": "{0}{name}%s%(x)d${HOME}`id`$(id);rm -rf /",
    "long": "x" * 20_000,
    "empty": "",
    "wide": "漢字🇩🇪👩\u200d👩\u200d👧カ\uff9e",
}


SHORT_TEXTS = [text for name, text in TEXTS.items() if name not in ("long", "empty")]

FOR_COMMANDS = {"everything": "~".join(SHORT_TEXTS), "long": TEXTS["long"], "empty": "", "markup": TEXTS["markup"]}
"""Commands print line by line, so that one text with everything in it shows as much as many."""


@pytest.fixture(params=list(TEXTS))
def text(request: pytest.FixtureRequest) -> str:
    return TEXTS[request.param]


@pytest.fixture(params=list(FOR_COMMANDS))
def command_text(request: pytest.FixtureRequest) -> str:
    return FOR_COMMANDS[request.param]


@pytest.fixture
def joined_text() -> str:
    return FOR_COMMANDS["everything"]
