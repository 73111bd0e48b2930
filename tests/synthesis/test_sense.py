"""What conversations must not say, over many generated rows: each test is a kind of fault."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation
from synthesis.custom import read_tools_file
from synthesis.dates import day_number, days_later
from synthesis.declaration import Domain, is_error
from synthesis.dice import Dice
from synthesis.domains import work
from synthesis.generation import Settings, generate
from synthesis.phrasing import describe
from synthesis.pools import FIRST_NAMES
from synthesis.results import say_result


def rows(behaviour: str, count: int = 600, **more: Any) -> list[Conversation]:
    settings = Settings(count, seed=21, quotas={behaviour: 1}, **{"mixture": "plain", **more})
    return [made.conversation for made in generate(settings, workers=1)]


def called(tool: str, count: int = 300) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the arguments and the results of calls that worked."""
    for row in rows("single_call", count, only_tools=(tool,)):
        asked, found = row.messages[1:3]
        result = json.loads(found.content)
        if not is_error(result):
            yield dict(asked.tool_calls[0].arguments), result


def test_small_talk_names_nobody_that_the_user_did_not() -> None:
    for row in rows("small_talk", 1500):
        said = ""
        for message in row.messages:
            named = {name for name in FIRST_NAMES if re.search(rf"\b{name}\b", message.content)}
            if message.role == "assistant":
                assert all(name in said for name in named), message.content
            said += message.content


def test_a_taxi_comes_to_the_address_where_it_picks_up() -> None:
    for row in rows("single_call", only_tools=("order_taxi",)):
        pickup = row.messages[1].tool_calls[0].arguments["pickup"]
        assert f"up at {pickup}" in row.messages[0].content


def test_no_user_wants_today_what_has_another_date() -> None:
    for row in rows("single_call") + rows("missing_argument"):
        for message in row.messages:
            assert not re.search(r"\b(it's|this is) for today", message.content, re.IGNORECASE)


def test_questions_and_reports_print_no_names_of_a_schema() -> None:
    for behaviour in ("missing_argument", "invalid_value", "tool_error"):
        for row in rows(behaviour):
            names = {name for tool in row.tools for name in tool.parameters["properties"]}
            written = "|".join(re.escape(name) for name in names if "_" in name) or "(?!)"
            letters = r"(coefficient|value|number) [a-z]\b"
            for message in row.messages:
                if message.role == "assistant" and message.content.endswith("?"):
                    assert not re.search(f"{written}|{letters}", message.content), message.content


def test_a_converted_amount_follows_from_the_rate_that_is_shown() -> None:
    for arguments, result in called("convert_currency"):
        exact = arguments["amount"] * result["rate"]
        assert abs(exact - result["converted"]) <= 0.005 + 1e-9


def test_granted_leave_is_never_longer_than_what_is_left() -> None:
    found = list(called("request_leave"))
    assert len(found) > 200
    for arguments, _ in found:
        days = day_number(arguments["end_date"]) - day_number(arguments["start_date"]) + 1
        assert 1 <= days <= work.get_leave_balance()["days_left"]


def test_longer_leave_than_is_left_is_refused() -> None:
    with pytest.raises(ValueError, match="that makes 18 days, and only 17 days of leave are left"):
        work.request_leave("2024-02-20", "2024-03-08")


@pytest.mark.parametrize("start", ["2024-02-28", "2023-02-28", "2026-12-31", "2024-05-01"])
def test_a_later_date_is_as_many_days_later(start: str) -> None:
    for days in (0, 1, 2, 31, 366):
        assert day_number(days_later(start, days)) == day_number(start) + days


def test_parameters_named_by_a_letter_are_a_first_and_a_second(tmp_path: Path) -> None:
    file = tmp_path / "letters.py"
    file.write_text(
        "EXAMPLES = {'a': [1, 2], 'b': [3, 4]}\n"
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b\n'
    )
    domain: Domain = read_tools_file(file)[0]
    nouns = [parameter.kind.noun for parameter in domain.tools[0].parameters]
    assert nouns == ["first value", "second value"]


ISSUES = [
    {
        "name": "move_meeting",
        "description": "Moves a meeting to a day, for a colleague.",
        "parameters": {
            "type": "object",
            "properties": {
                "meeting_id": {"type": "string"},
                "date": {"type": "string", "format": "date"},
                "assignee": {"type": "string"},
                "minutes": {"type": "integer", "minimum": 1, "maximum": 90},
                "notify_guests": {"type": "boolean"},
                "is_private": {"type": "boolean", "default": True},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["meeting_id", "date"],
        },
        "examples": {
            "meeting_id": ["M-10", "M-20", "M-30"],
            "date": ["2026-05-05", "2026-12-24"],
            "assignee": ["Ada Costa", "Omar Weber"],
            "tags": [[]],
        },
        "results": [{"status": "done"}, {"status": "confirmed", "free_rooms": 3}],
    }
]


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(ISSUES), encoding="utf-8")
    return {"tools_file": str(file), "domains": ("custom",)}


def test_yes_or_no_is_given_exactly_when_it_was_said(own: dict[str, Any]) -> None:
    words = {
        "notify_guests": ("and notify guests", r"but (do not|don't) notify guests"),
        "is_private": ("it is private", "it is not private"),
    }
    seen = set()
    for row in rows("single_call", 200, **own):
        request, (call,) = row.messages[0].content, row.messages[1].tool_calls
        assert "tags" not in call.arguments
        for name, (yes, no) in words.items():
            given = call.arguments.get(name)
            assert (re.search(no, request) is not None) == (given is False), request
            assert (yes in request) == (given is True), request
            seen.add((name, given))
    assert {("notify_guests", False), ("notify_guests", None), ("is_private", False)} <= seen


def test_arguments_stand_in_the_words_of_a_description(own: dict[str, Any]) -> None:
    for row in rows("single_call", 60, **own):
        request, call = row.messages[0].content, row.messages[1].tool_calls[0]
        assert re.search(
            rf"move meeting {call.arguments['meeting_id']} to [\w ,-]+, for ", request, re.I
        )
        if "minutes" in call.arguments:
            assert f"for {call.arguments['minutes']} minute" in request


def test_a_place_that_is_no_name_has_its_article(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}
    light = {
        "name": "turn_on_light",
        "description": "Turn on the light in a room.",
        "parameters": schema,
        "examples": {"room": ["kitchen", "hall", "upstairs", "Blue Salon"]},
        "results": [{"status": "on"}],
    }
    file = tmp_path / "tools.json"
    file.write_text(json.dumps([light]), encoding="utf-8")
    said = set()
    for row in rows("single_call", 60, tools_file=str(file), domains=("custom",)):
        told = re.search(
            r"turn on the light in ([\w ]+?)(?=[.,?]|$)", row.messages[0].content, re.I
        )
        assert told, row.messages[0].content
        said.add(told[1])
        assert "on light" not in row.messages[-1].content
    assert {"the kitchen", "the hall"} <= said
    assert not {"kitchen", "the upstairs", "the Blue Salon"} & said


def test_a_state_is_told_in_plain_words(own: dict[str, Any]) -> None:
    for row in rows("single_call", 60, **own):
        assert "the status is" not in row.messages[-1].content


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"found": 34}, "34 were found."),
        ({"free_rooms": 3}, "the number of free rooms is 3."),
        ({"depth_cm": 14}, "the depth is 14 cm."),
        ({"is_open": False}, "it is not open."),
        ({"ready_at": "15:00"}, "it is ready at 15:00."),
        ({"text": "Please bring the notes before 3"}, "it says 'Please bring the notes before 3'."),
    ],
)
def test_an_entry_of_a_result_is_a_sentence(entry: dict[str, Any], said: str) -> None:
    assert say_result("the room", False, entry, Dice("said")) == said


def test_no_message_begins_in_a_capital_after_a_comma() -> None:
    for row in rows("single_call", 300, mixture="broad"):
        begun = re.match(
            r"(Okay|Right|So|Sorry|Excuse me), (My|The|We|You)", row.messages[0].content
        )
        assert begun is None


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([], "(The result is empty|Nothing was found|There is nothing)\\."),
        ({"guests": []}, ".*: there are no guests\\."),
        ({"open_rooms": ["a", "b"], "n": 3}, ".*: the n is 3 and the open rooms are a and b\\."),
        ([1, 2], "The result is 1 and 2\\."),
    ],
)
def test_lists_and_empty_results_are_described(result: Any, said: str) -> None:
    assert re.fullmatch(said, describe(result, Dice("described")))
