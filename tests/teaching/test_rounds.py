import json
from pathlib import Path
from typing import Any

import pytest

from teaching.rounds import FROM_FAILURES, shares_for

SHARES = {"single_call": 0.4, "missing_argument": 0.4, "small_talk": 0.2, "call_sequence": 0.0}


def results(folder: Path, *verdicts: tuple[str, dict[str, Any]]) -> Path:
    rows = [
        {"id": f"synthetic-{behaviour}-00000{place}/1", "empty": False, **verdict}
        for place, (behaviour, verdict) in enumerate(verdicts)
    ]
    file = folder / "results.json"
    file.write_text(json.dumps({"verdicts": rows}))
    return file


RIGHT = {"verdict": True}
NEEDLESS_CALL = {"verdict": False, "should_call": False, "called": True}
NO_CALL = {
    **{"verdict": False, "should_call": True, "called": False},
    **{"text": "Which city?", "cut_off": False},
}


def test_what_fails_is_generated_more_and_nothing_is_dropped(tmp_path: Path):
    file = results(tmp_path, ("small_talk", NEEDLESS_CALL), ("single_call", RIGHT))
    shares = shares_for(file, SHARES)
    assert shares["small_talk"] == pytest.approx(FROM_FAILURES + (1 - FROM_FAILURES) * 0.2)
    assert shares["single_call"] == pytest.approx((1 - FROM_FAILURES) * 0.4)
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("cut_off", [False, True])
def test_asking_too_often_is_taught_with_plain_calls(tmp_path: Path, cut_off: bool):
    verdict = {**NO_CALL, "cut_off": cut_off}
    shares = shares_for(results(tmp_path, ("missing_argument", verdict)), SHARES)
    assert shares["single_call"] == pytest.approx(0.2 + FROM_FAILURES)
    assert shares["missing_argument"] == pytest.approx(0.2)


def test_without_failures_the_shares_stay(tmp_path: Path):
    assert shares_for(results(tmp_path, ("small_talk", RIGHT)), SHARES) == SHARES


def test_a_behaviour_that_the_tools_do_not_allow_stays_out(tmp_path: Path):
    file = results(tmp_path, ("call_sequence", NO_CALL), ("small_talk", NEEDLESS_CALL))
    assert shares_for(file, SHARES)["call_sequence"] == 0
