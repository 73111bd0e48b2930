"""Whether twice the input takes twice the time: a reader of doubling.py in a process of its own."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("jsonschema")
pytest.importorskip("pydantic")
import doubling

READERS = list(doubling.READERS)
CHILD = Path(__file__).parent / "doubling.py"
MOST = 2.5
# Another process that uses the caches can slow down one try.
TRIES = 3


def growth(name: str) -> tuple[list[int], list[float]]:
    """Return the first size, and by how much each doubling of it takes longer."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, CHILD, name], env=environment, check=True, timeout=300, capture_output=True
    )
    found = json.loads(told.stdout)
    seconds = [median(runs) for runs in found["seconds"]]
    assert seconds[0] >= doubling.SHORTEST
    return found["sizes"], [twice / once for once, twice in pairwise(seconds)]


def assert_linear(name: str) -> None:
    """Fail where a reader's time more than doubles with its input, in every try."""
    found = []
    for _ in range(TRIES):
        found.append(growth(name))
        # A reader that takes more than linear time does so in every try.
        if all(min(tried) <= MOST for tried in zip(*(ratios for _, ratios in found), strict=True)):
            return
    pytest.fail(f"{name}: (sizes, growth at each doubling) {found}")
