"""scripts/doctor.py, run once for real, and where packages are missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from machine.findings import WIDTH
from machine.requirements import ROOT, read_requirements


def run_doctor(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command, after some Python if that is given."""
    script = str(ROOT / "scripts" / "doctor.py")
    command = [script]
    if before:
        main = f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
        command = ["-c", f"{before}; {main}"]
    return subprocess.run(
        [sys.executable, *command, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
def test_the_doctor_tries_everything_and_writes_what_it_printed(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    ended = run_doctor("--json-file", str(file))
    assert ended.stderr == ""
    report = json.loads(file.read_text())
    assert ended.returncode == (0 if report["ready"] else 1) == bool(report["todo"])
    states = {f["name"]: f["state"] for part in report["found"].values() for f in part}
    for name in ("attention, float32", "NF4", "AdamW, fused", "import", "group, gloo"):
        assert states[name] == "ok", name
    assert {requirement.name for requirement in read_requirements()} <= set(states)
    # A path is not broken.
    long = [line for line in ended.stdout.splitlines() if len(line) > WIDTH]
    assert all(len(line.split()[-1]) > 40 for line in long)
    assert ended.stdout.rstrip().splitlines()[-1].strip() == (report["todo"] or ["Ready."])[-1]


def test_a_missing_project_or_reader_of_flags_is_no_traceback() -> None:
    # No part is run: what is left of the command is what reads its flags.
    bare = "import sys; sys.modules['fire'] = sys.modules['rich'] = None"
    empty = "import machine.doctor as d; d.examine.__defaults__ = ({},)"
    ended = run_doctor(before=f"{bare}; {empty}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Ready.\n", "")
    ended = run_doctor("--quiet", before=empty)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Ready.\n", "")
    ended = run_doctor(before="import sys; sys.modules['machine.doctor'] = None")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: machine.doctor is not installed: python -m pip")
