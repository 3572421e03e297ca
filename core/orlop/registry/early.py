"""The layout of January 2015: no underscores, layers named by what they unpack to.

Source: distribution at commit 83d62628fc, ``storage/paths.go``, ``digest/digest.go``
and ``common/tarsum.go``; the underscores came with 43b36970f, before 2.0::

    docker/registry/v2/
      blobs/tarsum/v1/sha256/<first two hex>/<hex>/data       layers
      blobs/sha256/<first two hex>/<hex>/data                 manifests, their signatures
      repositories/<name>/
        layers/tarsum/v1/sha256/<hex>/link
        manifests/revisions/<alg>/<hex>/link, …/signatures/<alg>/<hex>/link
        manifests/tags/<tag>/current/link, …/index/<alg>/<hex>/link
        uploads/<uuid>/data, startedat

Digests were found by a pattern anywhere in a text, and put into paths as they were, so
``..`` in one reached other repositories. Here the texts are the same, but a part that
is more than the name of one folder is refused before anything is touched.
"""

import re
from dataclasses import dataclass
from typing import Self

from orlop.errors import Escapes, Malformed, Unsupported
from orlop.registry.layout import Layout

ALGORITHMS = ("md5", "sha1", "sha256")
"""Besides TarSum; what follows them is not looked at."""

_TARSUM = re.compile(r"tarsum(?:.([a-z0-9]+))?\+([a-zA-Z0-9]+):([A-Fa-f0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarSumText:
    """What the pattern found of a TarSum in a text."""

    version: str
    """Empty for version 0."""
    algorithm: str
    digest: str
    """The hex digits that the pattern took; the text may go on behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyDigest:
    """A digest's text as that commit took it: neither hex nor length are sure."""

    text: str
    tarsum: TarSumText | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check a text.

        Raises:
            Malformed: none of a TarSum anywhere in it, nor one of the three algorithms before its first colon.
        """
        found = _TARSUM.search(text)
        if found is not None:
            return cls(
                text=text,
                tarsum=TarSumText(version=found[1] or "", algorithm=found[2], digest=found[3]),
            )
        algorithm, _, rest = text.partition(":")
        if not rest:
            raise Malformed("a digest is an algorithm, a colon and digits", engine="invalid checksum digest format")
        if algorithm not in ALGORITHMS:
            raise Malformed("not an algorithm of digests", engine="unsupported digest algorithm")
        return cls(text=text, tarsum=None)

    @property
    def algorithm(self) -> str:
        """All before the first colon."""
        return self.text.partition(":")[0]

    @property
    def hex(self) -> str:
        """All behind the first colon, whatever it is."""
        return self.text.partition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyLayout(Layout):
    """The tree of that commit. Which characters a path may have is its driver's to say (`EarlyDriver`)."""

    layers: str = "layers"
    manifests: str = "manifests"
    uploads: str = "uploads"

    def digest_path(self, digest: str, *, sharded: bool = False) -> str:
        """``tarsum/<version>/<alg>/<hex>`` or ``<alg>/<hex>``, with a folder of the first two digits if `sharded`.

        Raises:
            Malformed: no digest, or too short for a shard.
            Escapes: its digits would be more than one folder.
        """
        parsed = EarlyDigest.parse(digest)
        above = parsed.algorithm
        if parsed.tarsum is not None:
            above = f"tarsum/{parsed.tarsum.version or 'v0'}/{parsed.tarsum.algorithm}"
        if sharded and len(parsed.hex) < 2:
            raise Malformed(f"a digest of one digit: {digest!r}")
        shard = f"{parsed.hex[:2]}/" if sharded else ""
        return f"{above}/{shard}{_single(parsed.hex)}"

    def repository(self, name: str) -> str:
        """The folder of a repository.

        Raises:
            Escapes: a part of the name is empty, ``.`` or ``..``: two names would be one repository.
        """
        for part in name.split("/"):
            _single(part, whole=name)
        return f"{self.repositories}/{name}"

    def layer_link(self, name: str, digest: str) -> str:
        """The file that lets a repository serve a layer.

        Raises:
            Unsupported: a digest that is no TarSum.
            Malformed, Escapes
        """
        if EarlyDigest.parse(digest).tarsum is None:
            words = f"unsupported content digest: {digest}"
            raise Unsupported("layers of this layout have TarSums only", why=f"not one: {digest!r}", engine=words)
        return Layout.layer_link(self, name, digest)

    def tag(self, name: str, tag: str) -> str:
        """The folder of a tag.

        Raises:
            Escapes: more or less than the name of one folder.
        """
        return f"{self.tags(name)}/{_single(tag)}"

    def upload(self, name: str, uuid: str) -> str:
        """The folder of an upload in progress.

        Raises:
            Escapes: more or less than the name of one folder.
        """
        return f"{self.uploads_of(name)}/{_single(uuid)}"


EARLY = EarlyLayout()
"""The layout of January 2015."""


def _single(part: str, *, whole: str | None = None) -> str:
    """A text that is the name of one folder."""
    if part in ("", ".", "..") or "/" in part:
        raise Escapes(part if whole is None else whole, "more or less than the name of one folder")
    return part
