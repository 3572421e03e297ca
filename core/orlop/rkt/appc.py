"""The grammar of appc: identifiers, versions, hashes, platforms, isolators; what rkt checks before it takes an image.

Each check raises `Malformed` with the words of the schema library in `engine`.

Facts: appc/spec v0.8.11 (as rkt v1.30.0 has it), schema/types/{acidentifier,acname,
semver,hash,labels,date,url,environment,isolator*}.go; coreos/go-semver v0.2.0;
quantities: kubernetes pkg/api/resource/quantity.go.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from orlop import jsonrules, times
from orlop.errors import Malformed

PLATFORMS: Mapping[str, tuple[str, ...]] = {
    "linux": (
        "amd64",
        "i386",
        "aarch64",
        "aarch64_be",
        "armv6l",
        "armv7l",
        "armv7b",
        "ppc64",
        "ppc64le",
        "s390x",
    ),
    "freebsd": ("amd64", "i386", "arm"),
    "darwin": ("x86_64", "i386"),
}
"""The architectures that each operating system may be paired with."""

_NAMES = {
    separators: re.compile(f"[a-z0-9](?:[a-z0-9{re.escape(separators)}]*[a-z0-9])?", re.ASCII)
    for separators in ("-._~/", "-")
}
"""Whole names, by what may separate their letters and digits."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z_0-9.\-]*", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_QUANTITY = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:|[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


# --- names -------------------------------------------------------------------


def check_identifier(text: str, field: str = "") -> str:
    """An AC identifier: of an image, a label, an annotation, an isolator.

    Lower-case letters, digits and ``-._~/``, a letter or digit at both ends; two
    separators may follow each other, as in the schema library and unlike in its text.
    """
    return _name(text, field, "ACIdentifier", "-._~/")


def check_name(text: str, field: str = "") -> str:
    """An AC name: of a port or a mount point; as an identifier, with ``-`` only."""
    return _name(text, field, "ACName", "-")


def _name(text: str, field: str, what: str, separators: str) -> str:
    if _NAMES[separators].fullmatch(text) is not None:
        return text
    if not text:
        raise Malformed("a name is empty", field=field, engine=f"{what} cannot be empty")
    allowed = re.escape(separators)
    if re.fullmatch(f"[a-z0-9{allowed}]+", text, re.ASCII) is None:
        raise Malformed(
            f"a name may hold lower-case letters, digits and {separators} only",
            field=field,
            engine=f'{what} must contain only lower case alphanumeric characters plus "{separators}"',
        )
    raise Malformed(
        "a name begins and ends with a lower-case letter or a digit",
        field=field,
        engine=f"{what} must start and end with only lower case alphanumeric characters",
    )


def version(text: str, field: str = "") -> str:
    """A semantic version as the schema library writes it again: leading zeros are dropped; ``0.0.0`` is refused."""
    rest, plus, metadata = text.partition("+")
    numbers, dash, before = rest.partition("-")
    parts = numbers.split(".", 2)
    if len(parts) != 3 or any(not _is_number(part) for part in parts):
        raise Malformed("not a version of three numbers", field=field, engine="SemVer is bad")
    written = ".".join(str(int(part)) for part in parts)
    if written == "0.0.0" and not before and not metadata:
        raise Malformed("the version is zero", field=field, engine="SemVer cannot be zero")
    return written + (dash + before if before else "") + (plus + metadata if metadata else "")


def _is_number(text: str) -> bool:
    return _WHOLE.fullmatch(text) is not None and len(text) <= 20 and -(1 << 63) <= int(text) < 1 << 63


def check_hash(text: str, field: str = "") -> str:
    """An image id: ``sha512-`` and something; that it is hex is not looked at."""
    kind, dash, value = text.partition("-")
    if not dash or "-" in value:
        raise Malformed("not a hash: a kind, a dash, a value", field=field, engine="badly formatted hash string")
    if kind != "sha512":
        words = f"unrecognized hash type: {kind}" if kind else "unexpected empty hash type"
        raise Malformed("the hash is not of kind sha512", field=field, engine=words)
    if not value:
        raise Malformed("the hash has no value", field=field, engine="unexpected empty hash value")
    return text


def check_variable(text: str, field: str = "") -> str:
    """The name of a variable of the environment."""
    if not text:
        words = "environment variable name must not be empty"
        raise Malformed("a variable has no name", field=field, engine=words)
    if _VARIABLE.fullmatch(text) is None:
        words = f'environment variable does not have valid identifier "{text}"'
        raise Malformed("not the name of a variable", field=field, engine=words)
    return text


def check_platform(labels: Mapping[str, str], field: str = "") -> None:
    """The pair of the labels ``os`` and ``arch``; without ``os`` any ``arch`` goes."""
    system = labels.get("os")
    if system is None:
        return
    if system not in PLATFORMS:
        raise Malformed(
            f"no operating system that is known: {', '.join(sorted(PLATFORMS))}",
            field=field,
            engine=f'bad os "{system}" (must be one of: [{" ".join(sorted(PLATFORMS))}])',
        )
    known = PLATFORMS[system]
    if "arch" in labels and labels["arch"] not in known:
        raise Malformed(
            f"no architecture that is known for {system}: {', '.join(known)}",
            field=field,
            engine=f'bad arch "{labels["arch"]}" for {system} (must be one of: [{" ".join(known)}])',
        )


def check_annotation(name: str, value: str, field: str = "") -> None:
    """The values of the annotations that have a form: ``created``, ``homepage``, ``documentation``."""
    if name == "created":
        try:
            times.parse(value)
        except Malformed as error:
            raise Malformed(error.why, field=field, engine=f"bad Date: {error.engine}") from error
    if name in ("homepage", "documentation") and not _is_web_address(value):
        raise Malformed("not a web address", field=field, engine="bad URL scheme, must be http/https")


def _is_web_address(text: str) -> bool:
    if _CONTROL.search(text):
        return False
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


# --- isolators ---------------------------------------------------------------


def check_isolator(name: str, value: object, field: str = "") -> None:
    """The value of an isolator, by its name.

    Raises:
        Malformed: no such isolator, or not a value of it.
    """
    check = _ISOLATORS.get(name)
    if check is None:
        raise Malformed(f"no isolator that is known: {name}", field=field, engine="invalid isolator")
    check(value, field)


def check_isolators_together(names: list[str], field: str = "") -> None:
    """Which isolators may be given twice, and which exclude each other."""
    seen: set[str] = set()
    for name in names:
        if name in seen and name in _SINGLE:
            words = f'isolators set contains too many instances of type {name}"'
            raise Malformed(f"the isolator {name} is given twice", field=field, engine=words)
        if _EXCLUDED.get(name) in seen:
            words = "isolators set contains incompatible types"
            raise Malformed(f"the isolator {name} excludes {_EXCLUDED[name]}", field=field, engine=words)
        seen.add(name)


def _limit(value: object, field: str, *, default: bool) -> None:
    holder = _object(value, field)
    if jsonrules.boolean(holder, "default", at=field) != default:
        word = "true" if default else "false"
        raise Malformed(f"default must be {word}", field=field, engine=f"default must be {word}")
    for member in ("request", "limit"):
        quantity = jsonrules.member(holder, member)
        if quantity is None:
            continue
        if default and member == "request":
            words = "request not supported by this resource, must be empty"
            raise Malformed("a request is not possible here", field=field, engine=words)
        if isinstance(quantity, bool) or _QUANTITY.fullmatch(str(quantity)) is None:
            raise Malformed(
                "not a quantity",
                field=f"{field}.{member}",
                engine="quantities must match the regular expression '^([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)$'",
            )


def _always(value: object, field: str) -> None:
    _limit(value, field, default=True)


def _sometimes(value: object, field: str) -> None:
    _limit(value, field, default=False)


def _set(value: object, field: str) -> None:
    if not jsonrules.texts(_object(value, field), "set", at=field):
        raise Malformed("the set is empty", field=field, engine="set must be non-empty")


def _system_calls(value: object, field: str) -> None:
    _set(value, field)
    number = jsonrules.text(value, "errno", at=field)
    if any(not character.isupper() for character in number):
        words = "errno must be an upper case string"
        raise Malformed("the errno is not in upper case", field=field, engine=words)


def _switch(value: object, field: str) -> None:
    if value is not None and not isinstance(value, bool):
        raise Malformed("neither true nor false", field=field)


def _number(least: int, greatest: int) -> Callable[[object, str], None]:
    def check(value: object, field: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
            raise Malformed(f"not a whole number from {least} to {greatest}", field=field)

    return check


def _context(value: object, field: str) -> None:
    holder = _object(value, field)
    for member in ("user", "role", "type", "level"):
        text = jsonrules.text(holder, member, at=field)
        if not text or (member != "level" and ":" in text):
            raise Malformed(f"no {member} of a security context", field=field)


def _parameters(value: object, field: str) -> None:
    jsonrules.text_map({"value": value}, "value", at=field)


def _object(value: object, field: str) -> dict[str, object]:
    try:
        return jsonrules.the_object(value)
    except Malformed as error:
        raise Malformed(error.why, field=field, engine=error.engine) from error


_RETAIN, _REMOVE = "os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"

_ISOLATORS: Mapping[str, Callable[[object, str], None]] = {
    "os/linux/capabilities-retain-set": _set,
    "os/linux/capabilities-remove-set": _set,
    "os/linux/cpu-shares": _number(2, 262_144),
    "os/linux/no-new-privileges": _switch,
    "os/linux/oom-score-adj": _number(-1000, 1000),
    _REMOVE: _system_calls,
    _RETAIN: _system_calls,
    "os/linux/selinux-context": _context,
    "os/unix/sysctl": _parameters,
    "resource/block-bandwidth": _always,
    "resource/block-iops": _always,
    "resource/cpu": _sometimes,
    "resource/memory": _sometimes,
    "resource/network-bandwidth": _always,
}

_SINGLE = frozenset(
    {_REMOVE, _RETAIN, "os/linux/cpu-shares", "os/linux/oom-score-adj", "os/linux/selinux-context", "os/unix/sysctl"}
)
_EXCLUDED = {_REMOVE: _RETAIN, _RETAIN: _REMOVE}
