"""Bases that the tests of PEFT's layout share; they are read only."""

from collections.abc import Callable
from functools import cache

import pytest
from peft_adapters import Base, write_base


@pytest.fixture(scope="session")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Base]:
    """Return the base of a name in SHAPES, made once."""
    return cache(lambda name: write_base(tmp_path_factory.mktemp(name), name))
