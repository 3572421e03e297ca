"""Names of images by the engine's grammar, in the engine's familiar spelling.

Source: moby v1.12 ``reference`` and docker/distribution ``reference/regexp.go``.
Familiar means: the default domain ``docker.io`` (alias ``index.docker.io``) and
then the prefix ``library/`` are left out.
"""

import re
from dataclasses import dataclass, replace

from orlop.digest import Digest
from orlop.errors import Malformed

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
NAME_LIMIT = 255
"""Characters of a whole name, domain included, tag and digest not."""

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"

_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_HOST_PART}(?:\.{_HOST_PART})*(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OTHER_DIGEST = re.compile(r"sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name that parsed; never both a tag and a digest."""

    domain: str
    """Registry host with its port: ``docker.io`` where none was written."""
    path: str
    """The name within the registry: ``library/busybox``."""
    tag: str | None
    digest: Digest | None

    @property
    def repository(self) -> str:
        """The familiar name without tag and digest: ``busybox``, ``org/app``, ``localhost:5000/app``."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The whole familiar text, as repositories.json has it.

        It reads back as this reference, save where the path begins like a host
        (``docker.io/a.b/c`` is written ``a.b/c``): the engine confuses those too.
        """
        return self.repository + self._suffix

    @property
    def full(self) -> str:
        """The whole text with its domain: ``docker.io/library/busybox:latest``."""
        return f"{self.domain}/{self.path}{self._suffix}"

    @property
    def _suffix(self) -> str:
        if self.digest is not None:
            return f"@{self.digest}"
        return "" if self.tag is None else f":{self.tag}"


def parse(text: str) -> Reference:
    """Read a name in any spelling; no tag is added.

    Of a text with both a tag and a digest the digest counts (moby ≥ 1.10).

    Raises:
        Malformed: not a name; a digest of another algorithm than sha256; a name of exactly
            64 hex digits, which would read as an id.
    """
    name, digest = _cut_digest(text)
    name, tag = _cut_tag(name, text)
    if len(name) > NAME_LIMIT:  # first, so that matching is never long
        raise _invalid(text, f"the name has {len(name)} characters, where {NAME_LIMIT} are allowed")
    if _NAME.fullmatch(name) is None:
        raise _invalid(text, _why_no_name(name))
    domain, path = _split_domain(name)
    if path.lower() != path:
        raise _invalid(text, "the repository must be lower case")
    familiar = Reference(domain=domain, path=path, tag=None, digest=None).repository
    if _HEX.fullmatch(familiar) is not None:
        raise Malformed(
            "a name of exactly 64 hex digits would read as an image id",
            engine=f"Invalid repository name ({familiar}), cannot specify 64-byte hexadecimal strings",
        )
    return Reference(domain=domain, path=path, tag=None if digest else tag, digest=digest)


def with_default_tag(reference: Reference) -> Reference:
    """The same with ``:latest`` where it has neither tag nor digest."""
    if reference.tag is not None or reference.digest is not None:
        return reference
    return replace(reference, tag=DEFAULT_TAG)


def check_new(reference: Reference) -> None:
    """Refuse a name that the engine does not let anyone add.

    Raises:
        Malformed: the repository is named ``sha256``: its tags would read as digests.
    """
    if reference.repository == "sha256":
        raise Malformed(
            "a repository named sha256 would make its tags read as digests",
            engine="refusing to create an ambiguous tag using digest algorithm as name",
        )


def split(text: str) -> tuple[str, str]:
    """Any key as (repository part, tag or digest part), for showing; never fails.

    What follows the first ``@``, else the last ``:`` after the last ``/``; empty where there is neither.
    """
    name, at, digest = text.partition("@")
    if at:
        return name, digest
    colon = text.rfind(":")
    if colon <= text.rfind("/"):
        return text, ""
    return text[:colon], text[colon + 1 :]


def _cut_digest(text: str) -> tuple[str, Digest | None]:
    name, at, digest = text.partition("@")
    if not at:
        return name, None
    if _OTHER_DIGEST.fullmatch(digest) is not None:
        raise Malformed("only sha256 digests are known here")
    try:
        return name, Digest.parse(digest)
    except Malformed as error:
        raise _invalid(text, "after the @ there must be sha256: and 64 lower-case hex digits") from error


def _cut_tag(name: str, text: str) -> tuple[str, str | None]:
    colon = name.rfind(":")
    if colon <= name.rfind("/"):
        return name, None
    tag = name[colon + 1 :]
    if _TAG.fullmatch(tag) is None:
        raise _invalid(text, "a tag is 1 to 128 letters, digits, _ . - and starts with none of . -")
    return name[:colon], tag


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = first, rest
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def _why_no_name(name: str) -> str:
    if not name:
        return "there is no name"
    if name.lower() != name and _NAME.fullmatch(name.lower()) is not None:
        return "the repository must be lower case"
    return "a name is lower-case letters and digits, with single . _ __ or any number of - and / between them"


def _invalid(text: str, why: str) -> Malformed:
    return Malformed(why, engine=f'Error parsing reference: "{text}" is not a valid repository/tag')
