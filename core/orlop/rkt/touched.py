"""Which parts of a store a set of changed paths names."""

from collections.abc import Iterable


class Touched:
    """Changed paths, relative to the store's folder; None: everything may have changed."""

    def __init__(self, hints: Iterable[str] | None) -> None:
        self._hints = None if hints is None else frozenset(hints)

    def below(self, path: str) -> frozenset[str] | None:
        """Names right below `path` that changed; None for all of them."""
        if self._hints is None:
            return None
        prefix = path + "/"
        names: set[str] = set()
        for hint in self._hints:
            if hint.startswith(prefix):
                names.add(hint[len(prefix) :].split("/", 1)[0])
            elif hint in ("", ".", path) or path.startswith(hint + "/"):
                return None
        return frozenset(names)

    def at(self, path: str) -> bool:
        """Whether `path` itself, something above or something below it changed."""
        names = self.below(path)
        return names is None or bool(names)
