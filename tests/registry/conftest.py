"""Registry storage to look at, made anew for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.registry.pushing import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry's storage."""
    return Registry(tmp_path / "registry")


@pytest.fixture
def make_registry(tmp_path: Path) -> Callable[[str], Registry]:
    """Makes further ones, by name."""
    return lambda name: Registry(tmp_path / name)
