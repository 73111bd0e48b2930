"""The broad mixture: what it brings, and that what it says is true and right."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from chat.conversation import Conversation, Message, ToolCall
from data.conversations import json_line
from synthesis.catalogue import select
from synthesis.facts import check_facts, numbers_in, problems
from synthesis.generation import Made, Settings, generate
from synthesis.mixtures import BROAD
from synthesis.quotas import apportion, read_shares
from synthesis.replay import replay_file

COUNT = 900


def broad(count: int, **more: object) -> list[Made]:
    return list(generate(Settings(count, mixture="broad", **more), workers=1))  # type: ignore[arg-type]


def rows(behaviour: str, count: int = 150) -> list[Conversation]:
    return [made.conversation for made in broad(count, quotas={behaviour: 1})]


@pytest.fixture(
    scope="module",
    params=[COUNT, pytest.param(5000, marks=pytest.mark.long)],
)
def all_made(request: pytest.FixtureRequest) -> list[Made]:
    return broad(request.param)


@pytest.fixture(scope="module")
def conversations(all_made: list[Made]) -> list[Conversation]:
    return [made.conversation for made in all_made]


def test_quotas_are_exact(all_made: list[Made]) -> None:
    counts = Counter(made.task.behaviour for made in all_made)
    assert counts == apportion(read_shares({}, BROAD), len(all_made))


def test_every_call_gives_the_stored_result_again(all_made: list[Made], tmp_path: Path) -> None:
    file = tmp_path / "broad.jsonl"
    file.write_text("".join(made.line for made in all_made), encoding="utf-8")
    assert replay_file(file).conversations == len(all_made)


def test_nothing_is_said_that_was_not_said_or_found(conversations: list[Conversation]) -> None:
    assert [line for row in conversations for line in problems(row)] == []


def test_users_hardly_repeat_themselves(all_made: list[Made]) -> None:
    said = [text for made in all_made for text in made.said]
    skeletons = [text for made in all_made for text in made.skeletons]
    assert len(set(said)) == len(said)
    # The plain mixture's 8% of 5,000 conversations is the measure.
    assert len(set(skeletons)) > 0.92 * len(skeletons)


def test_rows_have_system_texts_many_tools_and_calls(conversations: list[Conversation]) -> None:
    systems = sum(row.messages[0].role == "system" for row in conversations)
    assert 0.5 < systems / len(conversations) < 0.75
    assert {len(row.tools) for row in conversations} == set(range(2, 31))
    at_once = {len(m.tool_calls) for row in conversations for m in row.messages}
    assert at_once == set(range(6))
    calling = {sum(bool(m.tool_calls) for m in row.messages) for row in conversations}
    assert calling >= set(range(6))
    beside = [bool(m.content) for row in conversations for m in row.messages if m.tool_calls]
    assert 0.15 < sum(beside) / len(beside) < 0.35


def test_the_plain_mixture_stays_what_the_demo_was_trained_on() -> None:
    settings = Settings(
        150, 3, "demo/tools/everyday.py", ("custom",), most_tools=3, mixture="plain"
    )
    text = "".join(json_line(made.conversation) for made in generate(settings, workers=1))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "a7b398108cf17c83"


def test_questions_without_a_tool_are_of_many_kinds() -> None:
    asked = [row.messages[-2].content for row in rows("no_suitable_tool", 500)]
    for words in ("plus", "capital", "opposite", "alphabet", "days", "what is meant by"):
        assert 2 < sum(words in text.lower() for text in asked) < 150


def test_mathematics_alone_leaves_other_questions() -> None:
    settings = Settings(30, domains=("mathematics",), quotas={"no_suitable_tool": 1})
    for made in generate(settings, workers=1):
        assert "plus" not in made.conversation.messages[-1].content


def system(row: Conversation) -> str:
    assert row.messages[0].role == "system"
    return row.messages[0].content


def ruled(row: Conversation) -> str:
    """Return the name of the tool that the system text has a rule about."""
    found = [name for name in select().by_name if re.search(rf"\b{name}\b", system(row))]
    assert len(found) == 1
    return found[0]


def calls(row: Conversation) -> list[tuple[int, str, dict[str, object]]]:
    return [
        (place, call.name, dict(call.arguments))
        for place, message in enumerate(row.messages)
        for call in message.tool_calls
    ]


def test_a_call_to_confirm_comes_after_a_question_and_a_yes() -> None:
    outcomes = Counter[str]()
    for row in rows("confirm_first"):
        tool, asked = ruled(row), 0
        for place, name, _ in calls(row):
            if name == tool:
                before: Message = row.messages[place - 2]
                assert before.role == "assistant" and "?" in before.content
                asked += 1
        outcomes["confirmed" if asked else "other tool" if calls(row) else "rejected"] += 1
    assert set(outcomes) == {"confirmed", "other tool", "rejected"}


def test_no_call_goes_above_a_limit() -> None:
    outcomes = Counter[int]()
    for row in rows("limit", 400):
        tool = ruled(row)
        rule = next(part for part in re.split(r"\n|(?<=[.]) ", system(row)) if tool in part)
        most = max(numbers_in(re.sub(r"^\d+\. ", "", rule)))
        refused = row.messages[2].role == "assistant" and not row.messages[2].tool_calls
        for _, name, arguments in calls(row):
            assert name == tool
            slots = [slot for slot in select().by_name[tool].parameters if slot.required]
            limited = [arguments[slot.name] for slot in slots if f" {slot.kind.noun} " in rule]
            assert limited and all(value <= most for value in limited)  # type: ignore[operator]
        outcomes[2 * refused + bool(calls(row))] += 1
    assert set(outcomes) == {1, 2, 3}


def test_a_preset_value_is_given_unless_the_user_names_another() -> None:
    given = 0
    for row in rows("preset"):
        tool = ruled(row)
        ((_, name, arguments),) = calls(row)
        assert name == tool
        rule = next(part for part in re.split(r"\n|(?<=[.]) ", system(row)) if tool in part)
        said = (json.dumps(value).strip('"') for value in arguments.values())
        given += any(value in rule.partition(tool)[2] or value in rule for value in said)
    assert given > 0.6 * 150


def test_a_forbidden_tool_is_never_called_but_offered() -> None:
    answered = 0
    for row in rows("forbidden_tool"):
        tool = ruled(row)
        assert tool in {offered.name for offered in row.tools}
        assert tool not in {name for _, name, _ in calls(row)}
        answered += bool(calls(row))
    assert 20 < answered < 100


def test_a_harmful_request_is_refused_though_the_tool_is_there() -> None:
    for row in rows("harmful_request"):
        assert calls(row) == []
        assert row.tools


def test_steps_in_order_take_three_different_calls(tmp_path: Path) -> None:
    file = tmp_path / "bell.py"
    file.write_text('def ring_bell() -> int:\n    """Ring the bell."""\n    return 3\n')
    with pytest.raises(ValueError, match="of step_by_step are wanted, which takes three different"):
        broad(5, tools_file=str(file), domains=("custom",), quotas={"step_by_step": 1})


def test_a_demanded_last_sentence_ends_every_answer() -> None:
    ended = 0
    for row in rows("single_call", 400):
        found = re.search(
            r'(every answer to the user with|every answer is:) "(.+?)"', system_of(row)
        )
        if found:
            ended += 1
            assert row.messages[-1].content.endswith(found[2])
    assert ended > 10


def system_of(row: Conversation) -> str:
    return row.messages[0].content if row.messages[0].role == "system" else ""


def test_chat_language_leaves_values_as_they_are() -> None:
    chatty = spelled = 0
    for row in rows("single_call", 300):
        said = next(message.content for message in row.messages if message.role == "user")
        if re.search(r"\b(u|pls|plz|thx|ur)\b", said):
            chatty += 1
            assert list(problems(row)) == []
            values = [v for _, _, arguments in calls(row) for v in arguments.values()]
            texts = [v for v in values if isinstance(v, str) and v.lower() in said.lower()]
            assert all(text in said for text in texts)
            spelled += sum(text != text.lower() for text in texts)
    assert chatty > 20 and spelled > 20


def test_a_reply_with_a_fact_from_nowhere_is_found() -> None:
    row = rows("single_call", 1)[0]
    for reply, problem in (
        ("Zeynep is there.", "the name Zeynep"),
        ("It costs 98765.", "the number 98765.0"),
        ("It is on 3 March 2041.", "the date 2041-03-03"),
        ("It is at 3:59 am.", "the time 03:59"),
    ):
        invented = Conversation((*row.messages, Message("assistant", reply)), row.tools, row.id)
        assert [line.partition(" in ")[0] for line in problems(invented)] == [problem]


@pytest.mark.parametrize(
    ("value", "is_known"), [(41, True), (-41, True), (42, False), (True, True), ([42], False)]
)
def test_a_number_that_nobody_said_is_found_in_a_call(value: object, is_known: bool) -> None:
    said = Message("user", "Set the lamp to 41.")
    call = Message("assistant", tool_calls=(ToolCall("set_lamp", {"level": value}),))
    expected = [] if is_known else ["set_lamp is called with 42, which was not said"]
    assert list(problems(Conversation((said, call)))) == expected


def test_an_argument_from_nowhere_names_its_row_and_value(tmp_path: Path) -> None:
    row = rows("single_call", 1)[0]
    call = ToolCall("get_current_weather", {"city": "Atlantis"})
    told = Conversation((*row.messages, Message("assistant", tool_calls=(call,))), id=row.id)
    file = tmp_path / "rows.jsonl"
    file.write_text(json_line(told), encoding="utf-8")
    with pytest.raises(
        ValueError, match=f"{row.id}: get_current_weather is called with 'Atlantis'"
    ):
        check_facts(file)
