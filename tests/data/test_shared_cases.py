"""The cases of the shared folder, run as a user types them: what comes is what their table says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_every_case_of_data_comes_out_right(shared: Path) -> None:
    cases = shared.parent / "cases"
    if not (cases / "run_cases.py").is_file():
        pytest.skip(f"no cases at {cases}; they are a folder beside the real rows")
    command = [sys.executable, cases / "run_cases.py", cases / "data"]
    flags = ["--project", ROOT, "--python", sys.executable]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("0 of ")
