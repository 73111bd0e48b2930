"""How a conversation of each behaviour goes: its turns, and what makes it that behaviour."""

import json

import pytest

from chat.conversation import Conversation
from chat.schemas.validation import validate_arguments
from synthesis.behaviours import BEHAVIOURS
from synthesis.catalogue import select
from synthesis.generation import Settings, generate
from synthesis.mixtures import MIXTURES

NAMES = tuple(BEHAVIOURS)
CALL = ("assistant", "tool")


def played(behaviour: str, count: int = 60) -> list[Conversation]:
    settings = Settings(count=count, seed=5, quotas={behaviour: 1}, mixture="plain")
    return [made.conversation for made in generate(settings, workers=1)]


def roles(conversation: Conversation) -> tuple[str, ...]:
    return tuple(message.role for message in conversation.messages)


def calls(conversation: Conversation) -> list[tuple[str, dict[str, object]]]:
    messages = conversation.messages
    return [(call.name, dict(call.arguments)) for m in messages for call in m.tool_calls]


def results(conversation: Conversation) -> list[object]:
    return [json.loads(m.content) for m in conversation.messages if m.role == "tool"]


@pytest.mark.parametrize("name", NAMES)
def test_calls_fit_their_tools_and_results_their_calls(name: str) -> None:
    for conversation in played(name, 25):
        tools = {tool.name: tool for tool in conversation.tools}
        awaited: list[tuple[str, str | None]] = []
        for message in conversation.messages:
            if message.role == "tool":
                assert awaited.pop(0) == (message.name, message.tool_call_id)
                continue
            assert awaited == []
            assert message.content.strip() or message.tool_calls
            for call in message.tool_calls:
                assert validate_arguments(tools[call.name], call.arguments) == []
                awaited.append((call.name, call.id))
        assert conversation.messages[-1].role == "assistant"
        assert not conversation.messages[-1].tool_calls


def test_a_single_call_is_asked_for_made_and_answered() -> None:
    for conversation in played("single_call"):
        assert roles(conversation) == ("user", *CALL, "assistant")
        assert "error" not in results(conversation)[0]  # type: ignore[operator]


def test_parallel_calls_stand_in_one_turn_and_differ() -> None:
    kinds = set()
    for conversation in played("parallel_calls"):
        made = calls(conversation)
        assert len(conversation.messages[1].tool_calls) == len(made) in (2, 3)
        assert len({json.dumps(call) for call in made}) == len(made)
        kinds.add((len({name for name, _ in made}) == 1, len(made)))
    assert kinds == {(True, 2), (True, 3), (False, 2), (False, 3)}


def test_a_sequence_takes_an_argument_from_an_earlier_result() -> None:
    for conversation in played("call_sequence"):
        assert roles(conversation) == ("user", *CALL, *CALL, "assistant")
        (first, _), (then, arguments) = calls(conversation)
        assert first != then
        asked = conversation.messages[0].content
        found = json.dumps(results(conversation)[0])
        taken = [v for v in arguments.values() if json.dumps(v) in found and str(v) not in asked]
        assert taken, (asked, found, arguments)


def test_a_missing_argument_is_asked_for_before_the_call() -> None:
    for conversation in played("missing_argument"):
        assert roles(conversation) == ("user", "assistant", "user", *CALL, "assistant")


def test_an_impossible_value_is_never_sent_to_the_tool() -> None:
    for conversation in played("invalid_value"):
        assert roles(conversation) == ("user", "assistant", "user", *CALL, "assistant")
        assert "error" not in json.dumps(results(conversation)[0])


def test_a_failed_call_is_made_again_with_one_argument_changed() -> None:
    shapes = set()
    for conversation in played("tool_error"):
        (name, before), (again, after) = calls(conversation)
        assert name == again
        assert len([key for key in after if after[key] != before[key]]) == 1
        failed, worked = results(conversation)
        assert list(failed) == ["error"] and "error" not in worked  # type: ignore[call-overload,operator]
        shapes.add(roles(conversation))
    assert shapes == {
        ("user", *CALL, *CALL, "assistant"),
        ("user", *CALL, "assistant", "user", *CALL, "assistant"),
    }


@pytest.mark.parametrize("name", ["no_suitable_tool", "small_talk"])
def test_no_tool_is_called_where_none_helps(name: str) -> None:
    for conversation in played(name):
        assert calls(conversation) == []
        assert conversation.tools


def test_tools_of_similar_domains_are_not_offered() -> None:
    domain = {tool.name: tool.domain for tool in select().tools}
    for conversation in played("no_suitable_tool", 150) + played("single_call", 150):
        offered = {domain[tool.name] for tool in conversation.tools}
        called = {domain[name] for name, _ in calls(conversation)}
        assert not ("messages" in called and "work" in offered)
        assert not ("work" in called and "calendar" in offered)


def test_a_later_question_is_answered_without_another_call() -> None:
    for conversation in played("answer_from_result"):
        assert roles(conversation)[:4] == ("user", *CALL, "assistant")
        assert set(roles(conversation)[4::2]) == {"user"}
        assert len(calls(conversation)) == 1


def test_shares_sum_to_one_and_every_behaviour_has_a_meaning() -> None:
    for mixture in MIXTURES.values():
        assert sum(mixture.shares.values()) == pytest.approx(1)
        assert set(mixture.shares) <= set(BEHAVIOURS)
    assert all(behaviour.meaning for behaviour in BEHAVIOURS.values())
