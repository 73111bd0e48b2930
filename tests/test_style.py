"""Lint, format and types hold on every tracked file."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "tool",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        # A minute without its cache; `make lint` runs it too.
        pytest.param(["mypy"], marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_ruff_and_mypy_pass(tool: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
