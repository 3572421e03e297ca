"""Rules of the code that no linter keeps: what a fresh interpreter loads, and what the core never does."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
CORE = sorted((TOP / "core").rglob("*.py"))
SCREENS = {"textual", "rich", "watchfiles"}
OUTSIDE = SCREENS | {"humanize", "platformdirs"}


def loaded_after(code: str, *argv: str, cwd: Path) -> set[str]:
    """The packages that a new interpreter has loaded when some code is done."""
    paths = os.pathsep.join([str(TOP / "core"), str(TOP / "tui")])
    text = f"import sys\n{code}\nimport json\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", text, *argv],
        env=os.environ | {"PYTHONPATH": paths, "HOME": str(cwd), "XDG_STATE_HOME": str(cwd)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_the_core_loads_nothing_of_the_screens(tmp_path: Path) -> None:
    code = "import orlop.kinds, orlop.apply, orlop.journal, orlop.samples"

    assert loaded_after(code, cwd=tmp_path) & (OUTSIDE | {"orlop_tui"}) == set()


@pytest.mark.parametrize(
    "command",
    [["ls"], ["check"], ["mappings"], ["remotes"], ["rm", "IMAGE", "--dry-run"], ["journal"], ["--version"]],
    ids=lambda command: command[0],
)
def test_a_command_loads_nothing_of_the_screens(tmp_path: Path, command: list[str]) -> None:
    from orlop import kinds, samples

    store = tmp_path / "store"
    store.mkdir()
    samples.make(str(store))
    opened = kinds.open(str(store))
    image = opened.rows().rows[0].id
    opened.close()
    argv = [image if word == "IMAGE" else word for word in command]
    if not command[0].startswith("-"):
        argv.insert(1, str(store))
    code = "from orlop_tui.__main__ import main\ntry:\n    main()\nexcept SystemExit:\n    pass"

    loaded = loaded_after(code, *argv, cwd=tmp_path)

    assert "orlop_tui" in loaded
    assert loaded & SCREENS == set()


def calls_and_names(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names that a module uses, with their lines."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield f"{node.func.id}()", node.lineno
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno
        if isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{name.name}", node.lineno) for name in node.names)


FORBIDDEN = {
    "print()": "the core never prints",
    "input()": "the core asks nobody",
    "sys.stdout": "the core never prints",
    "sys.stderr": "the core never prints",
    "os.environ": "the environment is the program's, which passes on what the core needs",
    "os.environb": "as os.environ",
    "os.getenv": "as os.environ",
    "os.getenvb": "as os.environ",
    "os.path.expanduser": "folders of the user are passed in",
    "os.chdir": "paths are relative to a store's root, never to the process",
    "os.umask": "it belongs to the whole process",
}


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(TOP / "core")))
def test_the_core_neither_prints_nor_reads_the_environment(path: Path) -> None:
    found = [f"line {line}: {name}: {FORBIDDEN[name]}" for name, line in calls_and_names(path) if name in FORBIDDEN]

    assert found == []


def test_nothing_is_called_a_manager_or_a_helper() -> None:
    modules = [*CORE, *(TOP / "tui").rglob("*.py")]

    classes = [
        f"{path.name}: {node.name}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Utils"))
    ]
    assert classes == []
    assert [path for path in modules if path.stem in ("utils", "util", "helpers", "misc", "common")] == []
