"""What is said of the results of own tools."""

import pytest

from synthesis.dice import Dice
from synthesis.results import say_result


@pytest.mark.parametrize(
    ("found", "told"), [(0, "0 issues were found."), (1, "1 issue was found.")]
)
def test_what_was_found_is_named(found: int, told: str) -> None:
    assert say_result("the issues", False, {"found": found}, Dice(3)) == told
    assert say_result("that", False, {"issues_found": found}, Dice(3)) == told


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([], "there are no events."),
        (["Launch talk"], "the event is Launch talk."),
        (["Launch talk", "Sales sync"], "the events are Launch talk and Sales sync."),
    ],
)
def test_a_list_is_told_by_how_much_it_holds(events: list[str], told: str) -> None:
    assert say_result("the events", False, {"events": events}, Dice(3)) == told
