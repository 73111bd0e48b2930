import json
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.behaviours import (
    ALL_CALLS,
    ASKING,
    CALLS,
    KINDS,
    NO_CALL,
    ONE_CALL,
    VALID,
    behaviours_line,
    behaviours_table,
    figures_by_behaviour,
)

VERDICTS = (
    ("synthetic-single_call-000000/1", True, True),
    ("synthetic-single_call-000001/1", True, False),
    ("synthetic-parallel_calls-000002/1", True, True),
    ("synthetic-call_sequence-000003/3", True, False),
    ("synthetic-missing_argument-000004/1", False, True),
    ("synthetic-missing_argument-000004/3", True, True),
    ("synthetic-no_suitable_tool-000005/1", False, False),
    ("synthetic-small_talk-000006/1", False, True),
)


def write(folder: Path, verdicts: tuple[tuple[str, bool, bool], ...]) -> Path:
    file = folder / "results.json"
    names = ("id", "should_call", "verdict")
    records: list[dict[str, object]] = [
        dict(zip(names, verdict, strict=True)) for verdict in verdicts
    ]
    for record in records:
        record["called"] = record["should_call"] == record["verdict"]
    # Of the calls made, the first fits a schema, the second does not, and no other can be read.
    made = [record for record in records if record["called"]]
    for record, valid in zip(made, (True, False), strict=False):
        record["schema_valid"] = valid
    file.write_text(json.dumps({"verdicts": records}))
    return file


def test_each_verdict_counts_for_what_was_asked(tmp_path: Path):
    found = figures_by_behaviour(write(tmp_path, VERDICTS))
    assert found["balanced"].sides == ((3, 5), (2, 3))
    assert {name: (figure.hits, figure.count) for name, figure in found.items()} == {
        "balanced": (5, 8),
        ONE_CALL: (1, 2),
        CALLS["parallel_calls"]: (1, 1),
        CALLS["call_sequence"]: (0, 1),
        CALLS["missing_argument"]: (1, 1),
        ALL_CALLS: (3, 5),
        ASKING: (1, 1),
        NO_CALL: (1, 2),
        VALID: (1, 4),
    }
    assert found[ALL_CALLS].low < 0.6 < found[ALL_CALLS].high


def test_kinds_without_prompts_have_no_figure(tmp_path: Path):
    assert set(figures_by_behaviour(write(tmp_path, VERDICTS[-1:]))) == {NO_CALL}


def test_intervals_treat_turns_of_a_conversation_as_dependent(tmp_path: Path):
    """Twelve conversations of four turns each, half of them right in all."""
    turns = [
        (f"synthetic-call_sequence-{number:06}/{turn}", True, number % 2 == 0)
        for number in range(12)
        for turn in (1, 3, 5, 7)
    ]
    figure = figures_by_behaviour(write(tmp_path, tuple(turns)))[ALL_CALLS]
    assert (figure.hits, figure.count) == (24, 48)
    assert figure.high - figure.low > 0.45, "of 48 independent ones it would be 0.27"


@pytest.mark.parametrize("id", ["simple_3", "glaive-7/1", "synthetic-a-b-000001/1"])
def test_ids_not_from_the_generator_are_refused(id: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"{id} is no prompt of scripts/generate_dataset.py"):
        figures_by_behaviour(write(tmp_path, ((id, True, True),)))


def test_a_table_and_a_line_tell_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = figures_by_behaviour(write(tmp_path, VERDICTS))
    assert behaviours_line(found) == (
        "balanced 63.2% of 8, calls 60.0% of 5, asking 100.0% of 1, no call 50.0% of 2"
    )
    Console(width=80).print(behaviours_table("Some tools", {"base": found, "tuned": found}))
    printed = capsys.readouterr().out
    assert printed.count("60% (23-88)") == 2
    assert all(kind in printed for kind in ("balanced", *KINDS, VALID))
    never = figures_by_behaviour(write(tmp_path, VERDICTS[1:2]))
    Console(width=80).print(behaviours_table("Some tools", {"base": never, "tuned": found}))
    assert "none made" in capsys.readouterr().out
