"""`make gpu-test` on a GPU image, which has torch and numpy but not all of our libraries."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BARE = """
import sys
for name in "fire pydantic jsonschema".split():
    sys.modules[name] = None
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.long
def test_gpu_tests_are_collected_without_fire_pydantic_and_jsonschema() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BARE, "-p", "no:cacheprovider", "-m", "cuda", "--co", "tests"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tests/model/test_attention.py" in ended.stdout
    assert "tests/training/test_backends.py" in ended.stdout
    found = re.search(r"(\d+)/\d+ tests collected", ended.stdout)
    assert found and int(found[1]) >= 10
