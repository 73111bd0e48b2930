"""Scores of calls, names and arguments, and the effect of each fault on them."""

import pytest

from chat.conversation import Tool, ToolCall
from chat.formats.call_syntax import Reply
from evaluation.scoring.calls import ExpectedCall, same_value, score, wanted

TOOLS = [
    Tool(
        "weather",
        "",
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    ),
    Tool("time", "", {"type": "object", "properties": {}}),
]
LYON = ToolCall("weather", {"city": "Lyon", "days": 2})
OSLO = ToolCall("weather", {"city": "Oslo", "days": 2})
TIME = ToolCall("time", {})


def test_wanted_call_is_right_by_every_figure() -> None:
    verdict = score([LYON], [LYON], TOOLS)
    assert verdict.correct and verdict.exact_match and verdict.json_equal and verdict.names_right
    assert verdict.readable and verdict.schema_valid and verdict.decided_right
    assert not verdict.parallel
    counts = (verdict.arguments_wanted, verdict.arguments_found, verdict.arguments_right)
    assert counts == (2, 2, 2)
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("one", "other", "equal", "literally"),
    [
        (5, 5.0, True, False),
        (1, True, False, False),
        (0, False, False, False),
        ("Lyon", "lyon", False, False),
        ("Lyon", "Lyon ", False, False),
        ("5", 5, False, False),
        ([1, 2], [2, 1], False, False),
        ([1, [2.0]], [1, [2]], True, False),
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1}, True, True),
        ({"a": 1}, {"a": 1, "b": None}, False, False),
        (None, None, True, True),
        (None, False, False, False),
        ([], {}, False, False),
        (10**20, 1e20, True, False),
    ],
)
def test_same_value_follows_the_stated_rules(
    one: object, other: object, equal: bool, literally: bool
) -> None:
    assert same_value(one, other) is same_value(other, one) is equal
    assert same_value(one, other, strictly=True) is literally


def test_order_of_calls_matters_only_for_json_equality() -> None:
    turned = ToolCall("weather", {"days": 2.0, "city": "Lyon"})
    verdict = score([LYON, OSLO], [OSLO, turned])
    assert verdict.correct and verdict.exact_match and verdict.parallel
    assert not verdict.json_equal
    assert score([LYON], [ToolCall("weather", {"days": 2, "city": "Lyon"})]).json_equal


def test_repeated_call_does_not_match_two_wanted_calls() -> None:
    verdict = score([LYON, OSLO], [LYON, LYON], TOOLS)
    assert not verdict.correct
    assert verdict.names_right
    assert (verdict.arguments_wanted, verdict.arguments_found, verdict.arguments_right) == (4, 4, 3)
    assert verdict.reasons == ('weather: city may not be "Lyon"',)


def test_calls_are_paired_to_maximise_right_arguments() -> None:
    """In the order they come, the first would take what only the second can be."""
    near = ToolCall("weather", {"city": "Lyon", "days": 9})
    verdict = score([LYON, OSLO], [near, ToolCall("weather", {"city": "Lyon", "days": 2})])
    assert verdict.arguments_right == 2
    verdict = score([OSLO, LYON], [near, OSLO])
    assert verdict.arguments_right == 3


@pytest.mark.parametrize(
    ("found", "names", "arguments", "reason"),
    [
        ([], False, (2, 0, 0), "weather is not called"),
        ([TIME], False, (2, 0, 0), "time is called too often"),
        ([LYON, TIME], False, (2, 2, 2), "time is called too often"),
        ([ToolCall("weather", {"city": "Lyon"})], True, (2, 1, 1), "weather: days is missing"),
        ([ToolCall("weather", {"city": "Nice", "days": 2})], True, (2, 2, 1), "city may not be"),
        ([ToolCall("weather", {**LYON.arguments, "x": 1})], True, (2, 3, 2), "x may not be 1"),
        ([ToolCall("Weather", LYON.arguments)], False, (2, 2, 0), "Weather is not among the tools"),
    ],
)
def test_each_fault_is_counted_and_given_a_reason(
    found: list[ToolCall], names: bool, arguments: tuple[int, int, int], reason: str
) -> None:
    verdict = score([LYON], found, TOOLS)
    assert not verdict.correct and not verdict.exact_match and not verdict.json_equal
    assert verdict.names_right is names
    counts = (verdict.arguments_wanted, verdict.arguments_found, verdict.arguments_right)
    assert counts == arguments
    assert any(reason in told for told in verdict.reasons)


def test_schema_is_checked_independently_of_the_wanted_call() -> None:
    assert score([LYON], [OSLO], TOOLS).schema_valid
    text = score([LYON], [ToolCall("weather", {"city": "Lyon", "days": "2"})], TOOLS)
    assert text.schema_valid is False
    assert any("/days: '2' is not of type 'integer'" in reason for reason in text.reasons)
    assert score([LYON], [], TOOLS).schema_valid is None


def test_text_is_right_where_no_call_is_wanted() -> None:
    verdict = score([], Reply("Good morning"), TOOLS)
    assert verdict.correct and verdict.decided_right and not verdict.should_call
    assert verdict.names_right is verdict.exact_match is verdict.readable is None
    wrong = score([], [TIME], TOOLS)
    assert not wrong.correct and not wrong.decided_right
    assert wrong.reasons == ("calls time, and no tool is wanted",)


def test_unreadable_call_counts_as_called_but_never_correct() -> None:
    broken = Reply('{"tool_uses": [', problem="the call is no JSON")
    verdict = score([LYON], broken, TOOLS)
    assert verdict.called and verdict.decided_right and verdict.readable is False
    assert not verdict.correct and verdict.schema_valid is None
    assert verdict.reasons[0] == "not read as a call: the call is no JSON"
    assert not score([], broken, TOOLS).correct


def test_any_call_is_right_where_expected_is_none() -> None:
    assert score(None, [TIME], TOOLS).correct
    assert score(None, Reply("no"), TOOLS).reasons == ("no tool is called",)


def test_optional_argument_counts_only_where_given() -> None:
    plain = wanted(ToolCall("weather", {"city": "Lyon", "days": 2}))
    lenient = ExpectedCall("weather", frozenset({"city"}), plain.accepts, plain.equals)
    short = score([lenient], [ToolCall("weather", {"city": "Lyon"})])
    assert short.correct and short.arguments_wanted == short.arguments_right == 1
    assert score([lenient], [LYON]).arguments_wanted == 2
    wrong = score([lenient], [ToolCall("weather", {"city": "Lyon", "days": 3})])
    assert not wrong.correct
    assert (wrong.arguments_wanted, wrong.arguments_found, wrong.arguments_right) == (1, 2, 1)


def test_arguments_are_marked_as_wanted_found_and_right() -> None:
    """The second call of one function has no partner, nor has the time that was wanted."""
    verdict = score([LYON, TIME], [ToolCall("weather", {"city": "Lyon", "wind": True}), OSLO])
    told = {
        (argument.name, argument.wanted, argument.found, argument.right)
        for argument in verdict.arguments
    }
    assert told == {
        ("city", True, True, True),
        ("wind", False, True, False),
        ("days", True, False, False),
        ("city", False, True, False),
        ("days", False, True, False),
    }
    twice = score([LYON, LYON], [LYON, LYON])
    assert twice.correct and twice.arguments_right == twice.arguments_wanted == 4
