"""The examples in the library's docstrings do what they say."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["orlop.kv", "orlop.docker.metadata", "orlop.docker.referencestore"])
def test_the_examples_of_a_module_hold(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted
    assert not failed
