"""The commands: everything that the screens can do, for scripts, pipes and rescue shells.

They import neither Textual nor Rich nor watchfiles, and each one only what it
needs, so that they start at once and run where nothing else does.
"""

import argparse
import gc
from collections.abc import Callable
from importlib import import_module
from keyword import iskeyword
from typing import cast

_WHERE = {
    "ls": "show",
    "show": "show",
    "mappings": "facets",
    "remotes": "facets",
    "uploads": "facets",
    "why": "facets",
    "df": "space",
    "check": "check",
    "explain": "check",
    "save": "saving",
    "snapshot": "snapshot",
    "rm": "change",
    "tag": "change",
    "untag": "change",
    "unmap": "change",
    "latest": "change",
    "forget": "change",
    "clean": "upkeep",
    "repair": "upkeep",
    "import": "receiving",
    "fetch": "receiving",
    "apply": "change",
    "undo": "history",
    "journal": "history",
    "purge": "history",
}


def run(arguments: argparse.Namespace) -> int:
    """Run one command; the exit code.

    Raises:
        OrlopError: it could not be done.
    """
    name: str = arguments.command
    # What a command reads lives until it ends, and hardly anything in it is a cycle: looking for
    # cycles took a sixth of the time of reading a large store.
    gc.disable()
    module = import_module(f"orlop_tui.cli.{_WHERE[name]}")
    command = getattr(module, f"{name}_" if iskeyword(name) else name)
    return cast("Callable[[argparse.Namespace], int]", command)(arguments)
