"""The command line: what can be said, and what each part means."""

import argparse
from functools import cache
from typing import NoReturn

from orlop import __version__
from orlop_tui.cli.exits import USAGE

_ABOUT = """\
Open a container image store on disk, without its engine: see every image in it,
the broken ones too, learn what is wrong, and change it safely, with undo.
Looking never changes anything."""

_EXAMPLES = """\
without a command, the screens open:
  orlop                                the stores of this host
  orlop /var/lib/docker                one store
  orlop ./ls                           a folder that has the name of a command
  orlop demo                           sample stores to try everything on

the first five minutes on a store:
  orlop ls /var/lib/docker             what is there
  orlop check /var/lib/docker          what is wrong, and what to do
  orlop show /var/lib/docker app:v1    one image whole
  orlop rm /var/lib/docker app:v1 --dry-run

exit codes:
  0 clean or done   1 findings, no damage   2 damage   3 could not read or do it
  4 refused (engine running, read-only, changed since, or you said no)
  64 wrong usage, or not a terminal

PATH is Docker's data root (or image/<driver> in it), a registry's rootdirectory,
rkt's data directory, or a file that `orlop snapshot` wrote. An IMAGE is a full id,
an exact name, or the first digits of an id. --json prints one object a line."""

_SCREENS = """\
options of the screens:
  --unlocked      begin with writing unlocked
  --theme NAME    colours, as the palette (:) lists them; NO_COLOR is kept to
  --no-mouse      leave the mouse to the terminal"""


class Parser(argparse.ArgumentParser):
    """A parser that ends with the exit code for wrong usage, and says where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n  try: {self.prog} -h\n")


def screens_parser() -> Parser:
    """The command line without a command: ``orlop [PATH…]``."""
    parser = Parser(prog="orlop", add_help=False, allow_abbrev=False)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--unlocked", action="store_true")
    parser.add_argument("--theme", metavar="NAME")
    parser.add_argument("--no-mouse", action="store_true")
    parser.add_argument("--debug", action="store_true")
    return parser


@cache
def parser() -> Parser:
    """The command line with a command; made once, for whoever runs several in one process."""
    whole = Parser(
        prog="orlop",
        usage="orlop [PATH…]\n       orlop COMMAND …",
        description=_ABOUT,
        epilog=f"{_SCREENS}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"orlop {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True, prog="orlop")
    _add_looking(commands)
    _add_judging(commands)
    _add_saving(commands)
    _add_changing(commands)
    _add_history(commands)
    _add_demo(commands)
    _add_config(commands)
    return whole


COMMANDS = (
    "ls",
    "show",
    "mappings",
    "remotes",
    "uploads",
    "check",
    "explain",
    "why",
    "df",
    "save",
    "snapshot",
    "rm",
    "tag",
    "untag",
    "unmap",
    "latest",
    "forget",
    "clean",
    "repair",
    "import",
    "fetch",
    "apply",
    "undo",
    "journal",
    "purge",
    "demo",
    "config",
)
"""Every command; a folder with such a name is given as ``./ls``."""


def _add(commands: "argparse._SubParsersAction[Parser]", name: str, about: str, examples: str) -> Parser:
    made = commands.add_parser(
        name,
        help=about,
        description=about[:1].upper() + about[1:] + ".",
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    made.add_argument("--debug", action="store_true", help="print the traceback of a fault of Orlop itself")
    return made


def _count(text: str) -> int:
    """A number of things.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a number of lines: {text!r}")
    return int(text)


def _add_store(made: Parser) -> None:
    made.add_argument("path", metavar="PATH", help="the store: the folder that its engine was given")
    made.add_argument("--driver", metavar="NAME", help="the storage driver, where the root holds several stores")
    made.add_argument("--no-trunc", action="store_true", help="print ids and digests whole, cut nothing")


def _add_looking(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(commands, "ls", "list every image, those an engine would hide too", "  orlop ls /var/lib/docker")
    _add_store(made)

    made = _add(
        commands,
        "show",
        "print one image whole: config, history, layers, who uses it, what is wrong",
        "  orlop show /var/lib/docker app:v1\n  orlop show /var/lib/docker 77c0de --json",
    )
    _add_store(made)
    made.add_argument("image", metavar="IMAGE", help="a full id, an exact name, or the first digits of an id")
    made.add_argument("--reveal", action="store_true", help="print values that look like secrets")

    for name, about in (
        ("mappings", "list V2 digest mappings: which registry blob each layer is known as"),
        ("remotes", "list where images are known remotely"),
    ):
        made = _add(commands, name, about, f"  orlop {name} /var/lib/docker\n  orlop {name} /var/lib/docker app:v1")
        _add_store(made)
        made.add_argument("image", metavar="IMAGE", nargs="?", help="only those of this image")

    made = _add(
        commands,
        "uploads",
        "list what clients began to send to a registry and have not finished",
        "  orlop uploads /var/lib/registry",
    )
    _add_store(made)

    made = _add(
        commands,
        "why",
        "say what a digest or folder is, and what keeps it",
        "  orlop why /var/lib/docker sha256:77c0…\n  orlop why /var/lib/docker overlay2/0f3c…",
    )
    _add_store(made)
    made.add_argument("subject", metavar="DIGEST-OR-FOLDER", help="a digest, id, name, or a folder of the store")

    made = _add(
        commands,
        "df",
        "show where the bytes are: what each use and each image takes, what nothing needs",
        "  orlop df /var/lib/docker\n  orlop df /var/lib/docker --images\n  orlop df /var/lib/registry --json",
    )
    _add_store(made)
    made.add_argument("--images", action="store_true", help="only the images, every one of them")
    made.add_argument("--limit", metavar="N", type=_count, help="list at most so many parts, and so many images")


def _add_judging(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(
        commands,
        "check",
        "find what is wrong, worst first, with the file, the images affected and the cure",
        "  orlop check /var/lib/docker\n  orlop check /var/lib/docker app:v1 --json\n"
        "  orlop check /var/lib/registry --content --for 30m",
    )
    _add_store(made)
    made.add_argument("images", metavar="IMAGE", nargs="*", help="only what affects these images")
    made.add_argument("--content", action="store_true", help="hash every byte of every blob, too")
    made.add_argument("--again", action="store_true", help="with --content: also what was hashed before, for rot")
    made.add_argument("--for", dest="seconds", metavar="TIME", help="with --content: begin nothing after 30s, 30m, 2h")
    made.add_argument("--bytes", metavar="SIZE", help="with --content: begin nothing after 500M, 50G")
    made.add_argument("--rate", metavar="SIZE", help="with --content: at most so many bytes a second: 100M")
    made.add_argument("--all", action="store_true", help="print every finding of mere information")

    made = _add(commands, "explain", "say what a rule means and what to do", "  orlop explain\n  orlop explain DK05")
    made.add_argument("rule", metavar="RULE", nargs="?", help="id or title of a rule; none lists them all")


def _add_saving(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(
        commands,
        "save",
        "take images out of a store, as an archive that an engine loads; every byte is verified",
        "  orlop save /var/lib/docker app:v1 -o app.tar\n  orlop save /var/lib/docker app:v1 db:16 -o - | docker load\n"
        "  orlop save /var/lib/registry team/app:v1 -o app.tar --form docker-archive",
    )
    _add_store(made)
    made.add_argument("images", metavar="IMAGE", nargs="+", help="names, ids, or first digits of ids")
    made.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="a new file outside the store; - for stdout"
    )
    made.add_argument(
        "--form",
        choices=("docker-archive", "oci-archive", "aci"),
        help="as which archive; else as suits: docker-archive of Docker, oci-archive of a registry, aci of rkt",
    )
    made.add_argument("--force", action="store_true", help="FILE may be replaced, once the new one is whole")

    made = _add(
        commands,
        "snapshot",
        "write all that is known of a store into one file, which opens in a store's place on any machine",
        "  orlop snapshot /var/lib/docker -o host1.gz\n  orlop ls host1.gz\n  orlop host1.gz",
    )
    _add_store(made)
    made.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="a new file, packed if it ends in .gz; - for stdout"
    )
    made.add_argument("--df", action="store_true", help="also where the bytes are: looks at every file's size")
    made.add_argument("--force", action="store_true", help="FILE may be replaced, once the new one is whole")


def _add_change(made: Parser) -> None:
    made.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    made.add_argument("--yes", action="store_true", help="do not ask")
    made.add_argument(
        "--offline", action="store_true", help="you state: no engine works on this store, where nothing can prove it"
    )


def _add_plan(made: Parser) -> None:
    _add_change(made)
    made.add_argument("--plan", metavar="FILE", help="write the plan to a new file and stop; with --yes go on")


def _add_changing(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(
        commands,
        "rm",
        "remove names; an image goes with its last name, or whole by its id",
        "  orlop rm /var/lib/docker app:v1 --dry-run\n  orlop rm /var/lib/docker app:v1 app:v2\n"
        "  orlop rm /var/lib/docker 77c0de11 --plan later.json\n"
        "  orlop rm /var/lib/registry --repository team/old --offline",
    )
    _add_store(made)
    made.add_argument("images", metavar="IMAGE", nargs="*", help="names, ids, or first digits of ids")
    made.add_argument(
        "--repository", metavar="NAME", nargs="+", help="whole repositories of a registry; nested ones stay"
    )
    _add_plan(made)

    made = _add(commands, "tag", "give an image a name", "  orlop tag /var/lib/docker 77c0de11 app:stable")
    _add_store(made)
    made.add_argument("image", metavar="IMAGE", help="a full id, an exact name, or the first digits of an id")
    made.add_argument("name", metavar="NAME", help="the new name; one that exists moves to this image")
    _add_plan(made)

    made = _add(commands, "untag", "take names away; the image stays", "  orlop untag /var/lib/docker app:old")
    _add_store(made)
    made.add_argument("names", metavar="NAME", nargs="+", help="exact names")
    _add_plan(made)

    made = _add(
        commands,
        "unmap",
        "remove V2 digest mappings",
        "  orlop unmap /var/lib/docker sha256:5d20…\n  orlop unmap /var/lib/docker --stale",
    )
    _add_store(made)
    made.add_argument(
        "digests", metavar="DIGEST-OR-DIFFID", nargs="*", help="blob digest or diff id, or its first digits"
    )
    made.add_argument("--source", metavar="REPO", help="of those, only the mappings of this repository")
    made.add_argument("--stale", action="store_true", help="all mappings that are stale")
    _add_plan(made)

    _add_upkeep(commands)

    made = _add(
        commands,
        "apply",
        "apply a saved plan, or complete a change that was cut off",
        "  orlop apply /var/lib/docker later.json\n  orlop apply /var/lib/docker --finish",
    )
    _add_store(made)
    made.add_argument("file", metavar="FILE", nargs="?", help="a plan that --plan wrote")
    made.add_argument("--finish", action="store_true", help="complete a change that was cut off")
    _add_change(made)


def _add_upkeep(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(
        commands,
        "latest",
        "say which image of a name is the newest (rkt)",
        "  orlop latest /var/lib/rkt sha512-33b880dc\n  orlop latest /var/lib/rkt sha512-33b880dc --clear",
    )
    _add_store(made)
    made.add_argument("image", metavar="IMAGE", help="a key, the first digits of one, or a name")
    made.add_argument("--clear", action="store_true", help="say that it is not")
    _add_plan(made)

    made = _add(
        commands,
        "forget",
        "forget remote records; the images stay (rkt)",
        "  orlop forget /var/lib/rkt https://example.com/app.aci\n  orlop forget /var/lib/rkt --lost",
    )
    _add_store(made)
    made.add_argument("urls", metavar="URL", nargs="*", help="as `orlop remotes` lists them")
    made.add_argument("--lost", action="store_true", help="all that lead to no image")
    _add_plan(made)

    made = _add(
        commands,
        "clean",
        "remove what nothing needs: layers, blobs, uploads, trees, debris",
        "  orlop clean /var/lib/docker --dry-run\n"
        "  orlop clean /var/lib/registry --offline --untagged --older 30d\n"
        "  orlop clean /var/lib/registry --offline --uploads --older 7d",
    )
    _add_store(made)
    made.add_argument(
        "--uploads", metavar="REPOSITORY/ID", nargs="*", help="uploads and nothing else: these, or every abandoned one"
    )
    made.add_argument("--untagged", action="store_true", help="images without a name too, where nothing needs them")
    made.add_argument(
        "--only",
        metavar="PART",
        nargs="+",
        help="only these parts: layers, blobs, trees, debris …; an unknown one lists them",
    )
    made.add_argument("--older", metavar="AGE", help="only what nobody touched for so long: 24h (as if not given), 7d")
    made.add_argument("--before", metavar="TIME", help="the same as a time: 2026-08-29T10:14:07Z")
    _add_plan(made)

    made = _add(
        commands,
        "repair",
        "put right what can be derived, and move aside what an engine must fetch again",
        "  orlop repair /var/lib/docker --dry-run\n  orlop repair /var/lib/docker DK07\n"
        "  orlop repair /var/lib/registry RG11 --offline",
    )
    _add_store(made)
    made.add_argument(
        "findings",
        metavar="FINDING",
        nargs="*",
        help="a rule, or RULE:PATH or RULE:NAME of one finding; none means all that is rebuilt with proof",
    )
    made.add_argument(
        "--content", action="store_true", help="find what is wrong in the bytes too: hash what was not yet"
    )
    made.set_defaults(again=False, seconds=None, bytes=None, rate=None)
    made.add_argument("--guess", action="store_true", help="you consent to what is likely and cannot be proved")
    _add_plan(made)

    made = _add(
        commands,
        "import",
        "take an image in from an archive",
        "  orlop import /var/lib/registry team/app:v1 app.tar --offline\n  orlop import /var/lib/rkt app.aci",
    )
    _add_store(made)
    made.add_argument("name", metavar="REPOSITORY[:TAG]", nargs="?", help="its name in a registry")
    made.add_argument("archive", metavar="ARCHIVE", help="an OCI or docker archive; an ACI for rkt")
    made.add_argument("--latest", action="store_true", help="say that it is the newest of its name (rkt)")
    _add_plan(made)

    made = _add(
        commands,
        "fetch",
        "ask a URL for its image again, and take it in if it changed (rkt)",
        "  orlop fetch /var/lib/rkt https://example.com/app.aci",
    )
    _add_store(made)
    made.add_argument("url", metavar="URL", help="of a remote record, or a new one; https or http")
    _add_plan(made)


def _add_history(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(commands, "undo", "take the last change back", "  orlop undo /var/lib/docker")
    _add_store(made)
    made.add_argument("change", metavar="CHANGE", nargs="?", help="id of a change; none means the last one")
    _add_change(made)

    made = _add(commands, "journal", "list what was changed, and what can be undone", "  orlop journal /var/lib/docker")
    _add_store(made)

    made = _add(
        commands,
        "purge",
        "empty the quarantine for good: space is freed, undo ends",
        "  orlop purge /var/lib/docker --dry-run\n  orlop purge /var/lib/docker --older 7d",
    )
    _add_store(made)
    made.add_argument("changes", metavar="CHANGE", nargs="*", help="ids of changes; none means all of them")
    made.add_argument("--older", metavar="AGE", help="only changes older than this: 12h, 7d, 4w")
    _add_change(made)


def _add_demo(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(
        commands,
        "demo",
        "open sample stores of every kind, unlocked, to try everything on",
        "  orlop demo\n  orlop demo --check\n  orlop demo --keep sample",
    )
    made.add_argument(
        "--check", action="store_true", help="no screens: check that exactly the planted faults are found"
    )
    made.add_argument("--keep", metavar="DIR", help="make them in this new or empty folder, and leave them there")
    made.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    made.add_argument("--theme", metavar="NAME", help="colours, as the palette (:) lists them")


def _add_config(commands: "argparse._SubParsersAction[Parser]") -> None:
    made = _add(
        commands,
        "config",
        "print every setting of the screens, and the file that holds them",
        "  orlop config show\n  orlop config show --origin\n  orlop config show > ~/.config/orlop/config.toml",
    )
    made.add_argument("what", metavar="show", choices=("show",), help="print them as the file would have them")
    made.add_argument("--origin", action="store_true", help="say of each where it was set")
