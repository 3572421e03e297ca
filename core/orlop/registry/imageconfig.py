"""Image configs, as far as rows and mappings need them: hashed, and read leniently.

The registry itself never reads one.
"""

import hashlib
import re
from sys import intern

from orlop import jsonrules, times
from orlop.digest import Digest
from orlop.errors import Malformed
from orlop.registry.model import Config, State

_USUAL_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_USUAL = frozenset(
    (
        *("architecture", "author", "comment", "config", "container", "container_config", "created"),
        *("docker_version", "history", "id", "os", "os.features", "os.version", "parent", "rootfs", "variant"),
        *("type", "diff_ids"),
    )
)
"""Members of configs, and of what is in them, as nearly all are spelled; none differs from another by its case only."""


def parse(digest: str, data: bytes) -> Config:
    """What the bytes of a blob are as an image config; damage is a state."""
    if not data:
        return Config(digest=digest, state=State.EMPTY, why="the file is empty")
    algorithm = digest.partition(":")[0]
    actual = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    altered = "" if actual == digest else f"its bytes hash to {actual}"
    try:
        document = jsonrules.the_object(jsonrules.loads(data))
        diff_ids = _diff_ids(document)
    except Malformed as error:
        why = "; ".join(filter(None, (f"no image config: {error.why}", altered)))
        return Config(digest=digest, state=State.MALFORMED, why=why)
    return Config(
        digest=digest,
        state=State.ALTERED if altered else State.GOOD,
        created=_created(_member(document, "created")),
        platform=_platform(document),
        diff_ids=diff_ids,
        why=altered,
    )


def _member(value: object, name: str) -> object | None:
    """As `orlop.jsonrules.member`, quicker where the object is spelled as usual: all in lower case, each name once."""
    if type(value) is dict and value.keys() <= _USUAL:
        return value.get(name)
    return jsonrules.member(value, name)


def _diff_ids(document: object) -> tuple[str, ...]:
    listed = _member(_member(document, "rootfs"), "diff_ids")
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise Malformed("not a list", field="rootfs.diff_ids")
    return tuple(_diff_id(item, number) for number, item in enumerate(listed))


def _diff_id(item: object, number: int) -> str:
    if not isinstance(item, str):
        raise Malformed("not a text", field=f"rootfs.diff_ids[{number}]")
    if _USUAL_DIGEST.fullmatch(item) is not None:
        return intern(item)
    try:
        return intern(str(Digest.parse_any(item)))
    except Malformed as error:
        raise Malformed(error.why, field=f"rootfs.diff_ids[{number}]") from error


def _created(value: object) -> int | None:
    try:
        return times.parse(value) if isinstance(value, str) and value else None
    except Malformed:
        return None


def _platform(document: object) -> str:
    parts = (_member(document, name) for name in ("os", "architecture", "variant"))
    return intern("/".join(part for part in parts if isinstance(part, str) and part))
