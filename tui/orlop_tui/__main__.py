"""``orlop``: the screens without a command, else one command; and the one place that ends the program."""

import argparse
import difflib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from orlop.errors import NotFound, OrlopError
from orlop.text import visible
from orlop_tui import cli, format, settings
from orlop_tui.cli import exits, places
from orlop_tui.cli.arguments import COMMANDS, parser, screens_parser
from orlop_tui.cli.exits import Usage
from orlop_tui.cli.output import Output, print_error, say
from orlop_tui.settings import Settings


def main(argv: list[str] | None = None) -> int:
    """Run Orlop with these arguments (those of the process for None); the exit code."""
    words = sys.argv[1:] if argv is None else argv
    _make_streams_robust()
    try:
        arguments = _parse(words)
    except SystemExit as end:  # argparse ends after help, version and wrong usage
        return end.code if isinstance(end.code, int) else exits.USAGE
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except OrlopError as error:
        error.do = format.advice(error.do, getattr(arguments, "path", "PATH"))
        Output(json=getattr(arguments, "json", False)).error(error)
        return exits.of_error(error)
    except BrokenPipeError:
        _drop_output()
        return exits.BROKEN_PIPE
    except KeyboardInterrupt:
        say("stopped")
        return exits.INTERRUPTED
    except OSError as error:  # the core translates its own: what is left are the streams
        _drop_output()
        say(f"orlop: the output cannot be written: {visible(error.strerror or str(error))}")
        return exits.FAILED
    except Exception as error:  # noqa: BLE001 - the last place that can say what happened
        return _surprised(error, debug=arguments.debug)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments; ``command`` is None where the screens are meant."""
    first = next((word for word in words if not word.startswith("-")), None)
    if first in COMMANDS or {"-h", "--help", "--version"} & set(words):
        arguments, unknown = parser().parse_known_args(words)
        if unknown:
            print_error(Usage(f"unknown arguments: {' '.join(unknown)}", do=f"`orlop {arguments.command} -h`"))
            raise SystemExit(exits.USAGE)
        return arguments
    return argparse.Namespace(command=None, **vars(screens_parser().parse_args(words)))


def _dispatch(arguments: argparse.Namespace) -> int:
    if arguments.command is None:
        return _open_screens(arguments)
    if arguments.command == "demo":
        return _demo(arguments)
    if arguments.command == "config":
        return _config(arguments)
    return cli.run(arguments)


def _open_screens(arguments: argparse.Namespace) -> int:
    for path in arguments.paths:
        _check_path(path)
    _need_terminal(f"orlop ls {format.shell(arguments.paths or ['PATH'])}")
    for path in arguments.paths:
        places.check_store(path)
    paths = arguments.paths or places.stores_of_this_host()
    chosen = _settings(arguments)
    from orlop_tui.app import run

    return run(paths, chosen, unlocked=arguments.unlocked)


def _settings(arguments: argparse.Namespace) -> Settings:
    return settings.load(os.environ, theme=arguments.theme, mouse=False if arguments.no_mouse else None)


def _config(arguments: argparse.Namespace) -> int:
    found = settings.load(os.environ)
    from orlop_tui.app import check_settings
    from orlop_tui.cli.settings import Action, show
    from orlop_tui.screens.keymap import bindings, spelled

    check_settings(found)
    actions = {name: Action(keys=spelled(one.key), about=one.description) for name, one in bindings().items()}
    return show(arguments, found, actions)


def _check_path(path: str) -> None:
    """Catch a mistyped command or path before the screens open."""
    if os.path.lexists(path):
        return
    near = difflib.get_close_matches(path, COMMANDS, n=1)
    if near and "/" not in path:
        raise Usage(f"{path!r} is neither a command nor a folder", do=f"did you mean `orlop {near[0]}`?")
    raise NotFound("the store cannot be opened", path=path, why="no such file or folder", do=places.WHAT_TO_GIVE)


def _need_terminal(instead: str) -> None:
    """Refuse to open the screens where there is no terminal to draw on.

    Raises:
        Usage: stdin, stdout or stderr is none, or it is a dumb one. Textual draws on stderr.
    """
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise Usage("not a terminal, and the screens need one", do=f"`{instead}` prints the same without one")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise Usage("this terminal (TERM=dumb) cannot draw the screens", do=f"`{instead}` prints the same")


def _demo(arguments: argparse.Namespace) -> int:
    from orlop_tui.cli import demo

    _end_tidily()
    if arguments.check:
        return demo.check(arguments)
    _need_terminal("orlop demo --check")
    chosen = _settings(arguments)
    with demo.samples(arguments.keep) as made:
        from orlop_tui.app import run

        return run([sample.path for sample in made], chosen, unlocked=True, title="demo")


def _end_tidily() -> None:
    """Let SIGTERM and SIGHUP unwind, so that the sample's folder is removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def _make_streams_robust() -> None:
    """A character that the terminal's encoding lacks is spelled out instead of ending the program.

    A stream that was closed before the start (``>&-``, some service managers) goes nowhere.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what nobody can read any more (``| head``, a full disk) go nowhere when the interpreter flushes it."""
    with suppress(OSError, ValueError):  # a stream without a descriptor needs no care
        descriptor = sys.stdout.fileno()
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)


def _surprised(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    say(f"orlop: a fault of Orlop itself: {format.surprise(error)}")
    say("  do:    please report it" + ("" if debug else "; the same command with --debug prints where it happened"))
    return exits.FAILED


if __name__ == "__main__":
    sys.exit(main())
