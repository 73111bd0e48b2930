"""Verdicts on every official file of BFCL, equal to those of the benchmark's own runner.

The files are those of the installed package bfcl-eval; the verdicts were recorded from it by
tests/oracles/record_bfcl.py --all. The categories that the folder of real data holds are judged in
tests/evaluation/scoring/test_bfcl.py, letter by letter.
"""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from oracles.bfcl_official_cases import OFFICIAL, official_cases
from oracles.record_bfcl import OFFICIAL_VERDICTS, sha256_of

from evaluation.leaderboard import ROWS

RECORDED = json.loads(OFFICIAL_VERDICTS.read_text(encoding="utf-8"))


@pytest.fixture
def official() -> Path:
    spec = find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package bfcl-eval is not installed")
    return Path(spec.submodule_search_locations[0]) / "data"


@pytest.mark.long
@pytest.mark.parametrize("category", OFFICIAL)
def test_official_files_have_the_official_verdicts(category: str, official: Path) -> None:
    cases, recorded = official_cases(category, official), RECORDED[category]
    assert sha256_of([(case.task, case.said) for case in cases]) == recorded["cases"]
    assert len({case.task.id for case in cases}) == ROWS[category]
    letters = "".join(case.ours() for case in cases)
    assert letters.count("1") == recorded["counts"]["1"]
    assert hashlib.sha256(letters.encode()).hexdigest() == recorded["verdicts"]
