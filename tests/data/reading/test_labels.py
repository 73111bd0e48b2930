"""Labels of turns and rows: what says that it is not to be learnt, and what says nothing of it."""

from typing import Any

import pytest

from data.reading.labels import is_trained, negative_mark


@pytest.mark.parametrize(
    "marks",
    [{"weight": 0}, {"weight": 0.0}, {"loss": False}, {"train": False}, {"training": "false"}],
)
def test_marks_of_a_turn_say_not_to_learn_it(marks: dict[str, Any]) -> None:
    assert not is_trained({"role": "assistant", **marks})


@pytest.mark.parametrize(
    "marks", [{}, {"weight": 1}, {"weight": None}, {"loss": True}, {"weight": 0.5}, {"train": ""}]
)
def test_other_marks_of_a_turn_say_nothing(marks: dict[str, Any]) -> None:
    assert is_trained({"role": "assistant", **marks})


@pytest.mark.parametrize(
    "marks",
    [
        *({"label": False}, {"label": "False"}, {"reward": 0}, {"reward": -1.0}, {"win": False}),
        {"kto_tag": False},
    ],
)
def test_rows_marked_as_bad_are_negatives(marks: dict[str, Any]) -> None:
    mark = negative_mark({"messages": [], **marks})
    assert mark is not None and mark.rule == "negative" and mark.pointer == f"/{next(iter(marks))}"


@pytest.mark.parametrize(
    "marks",
    [
        {},
        {"label": True},
        {"label": 0},
        {"label": "weather"},
        {"label": None, "reward": None, "win": None},
        {"reward": 0.2},
        {"reward": "high"},
        {"win": True},
    ],
)
def test_classes_and_successes_are_no_negatives(marks: dict[str, Any]) -> None:
    assert negative_mark({"messages": [], **marks}) is None
    assert negative_mark([marks]) is None
