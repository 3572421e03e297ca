"""Which parts of a registry's storage changed paths name."""

from collections.abc import Iterable

from orlop.registry import place
from orlop.registry.repositoryfolder import OWN


class Touched:
    """What a set of changed paths names."""

    def __init__(self, base: str, hints: Iterable[str]) -> None:
        self.everything = False
        self.blobs = False
        self.branches: set[str] = set()
        """Names of folders of the tree of repositories; what they lead to is listed, and read, again."""
        self.shards: set[str] = set()
        repositories, blobs = place.repositories(base), place.blobs(base)
        for hint in hints:
            if hint in ("", base) or base.startswith(f"{hint}/"):
                self.everything = True
            elif hint == repositories or hint.startswith(f"{repositories}/"):
                self._branch(hint[len(repositories) + 1 :])
            elif hint == blobs or hint.startswith(f"{blobs}/"):
                self.blobs = True
                self.shards.add("/".join(hint.split("/")[: blobs.count("/") + 3]))

    def _branch(self, below: str) -> None:
        """A path below ``repositories``: the repository that it is in, and all folders above it."""
        parts = below.split("/") if below else []
        own = next((number for number, part in enumerate(parts) if part in OWN), len(parts))
        self.branches.update("/".join(parts[:number]) for number in range(own + 1))
