"""Which raise statements a test reached: they are marked, noted in any process, and listed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unreached import ROOT, sites_in, unreached


def test_the_statements_of_a_module_are_found() -> None:
    source = "def f(x):\n    if x:\n        raise ValueError(\n            x)\n    raise\n"
    assert list(sites_in("a.py", source)) == [("a.py:5", "raise"), ("a.py:3", "raise ValueError(")]


def test_what_was_not_noted_is_listed_in_order(tmp_path: Path) -> None:
    record = tmp_path / "reached"
    record.write_text("a.py:3\n")
    sites = [("b.py:1", "raise"), ("a.py:20", "raise"), ("a.py:3", "raise"), ("a.py:5", "raise")]
    assert [site for site, _ in unreached(record, sites)] == ["a.py:5", "a.py:20", "b.py:1"]


@pytest.mark.parametrize(
    ("command", "name", "line"),
    [
        (
            ["-c", "from chat.strict_json import read_json; read_json('[NaN]')"],
            "chat/strict_json.py",
            "raise ValueError",
        ),
        pytest.param(
            ["scripts/evaluate.py"],
            "scripts/evaluate.py",
            "raise UsageError",
            marks=pytest.mark.long,
        ),
    ],
    ids=["module", "script"],
)
def test_another_process_notes_what_it_reaches(
    command: list[str], name: str, line: str, tmp_path: Path
) -> None:
    pytest.importorskip("fire")
    record = tmp_path / "reached"
    paths = os.pathsep.join([str(ROOT / "tests/raise_sites"), str(ROOT)])
    subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "RAISE_SITES": str(record), "PYTHONPATH": paths},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    # An error passes a bare raise of the streams on its way.
    (noted,) = (site for site in record.read_text().split() if site.startswith(name))
    known = dict(sites_in(name, (ROOT / name).read_text(encoding="utf-8")))
    assert known[noted].startswith(line)
