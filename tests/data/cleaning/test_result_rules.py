"""Results are linked to their calls by id, name or place, or the row is rejected."""

import pytest

from chat.conversation import Conversation, Message, ToolCall
from data.cleaning.result_rules import linked_results
from data.outcomes import Draft, Rejected

USER, END = Message("user", "hello"), Message("assistant", "done")


def calls(*named: tuple[str, str | None]) -> Message:
    return Message("assistant", "", tuple(ToolCall(name, {}, id) for name, id in named))


def result(content: str, id: str | None = None, name: str | None = None) -> Message:
    return Message("tool", content, name=name, tool_call_id=id)


def linked(*messages: Message) -> Draft:
    return linked_results(Conversation((USER, *messages)))


@pytest.mark.parametrize(
    "messages",
    [
        (calls(("f", None), ("g", None)), result("1"), result("2"), END),
        (calls(("f", None), ("g", None)), result("both"), END),
        (calls(("f", "a"), ("g", "b")), result("1", "a"), result("2", "b"), END),
        (calls(("f", None), ("g", None)), result("1", name="f"), result("2", name="g"), END),
        (calls(("f", None), ("f", None)), result("1", name="f"), result("2", name="f"), END),
        (calls(("f", "a")), result("1", "a", "functions.f"), END),
        (calls(("f", "call_id")),),
        (calls(("f", "a")), result("1", "a"), calls(("f", "b")), result("2", "b"), END),
    ],
)
def test_results_in_the_order_of_calls_are_unchanged(messages: tuple[Message, ...]) -> None:
    said = Conversation((USER, *messages))
    assert linked_results(said) == Draft(said)


@pytest.mark.parametrize("by", ["id", "name"])
def test_results_are_put_in_the_order_of_their_calls(by: str) -> None:
    caller = calls(("f", "a" if by == "id" else None), ("g", "b" if by == "id" else None))
    first = result("1", "a" if by == "id" else None, "f" if by == "name" else None)
    second = result("2", "b" if by == "id" else None, "g" if by == "name" else None)
    draft = linked(caller, second, first, END)
    assert draft.conversation.messages == (USER, caller, first, second, END)
    (change,) = draft.changes
    assert (change.rule, change.pointer) == ("result-order", "/messages/2")
    assert change.before == change.after[::-1]


@pytest.mark.parametrize(
    "messages",
    [
        (calls(("f", "c"), ("g", "c")), result("1", "c"), result("2", "c"), END),
        (calls(("f", None), ("g", None)), result("1", "x"), result("2", "y"), END),
        (calls(("f", "a"), ("g", "b")), result("1"), result("2"), END),
        (calls(("f", "a"), ("g", "b")), result("1", "a"), result("2", "x"), END),
        (calls(("f", ""), ("g", "b")), result("1", "a"), result("2", "b"), END),
    ],
)
def test_constant_missing_and_dangling_ids_are_renumbered(
    messages: tuple[Message, ...],
) -> None:
    draft = linked(*messages)
    found = draft.conversation.messages
    assert [call.id for call in found[1].tool_calls] == ["call_1", "call_2"]
    assert [message.tool_call_id for message in found[2:4]] == ["call_1", "call_2"]
    assert [message.content for message in found[2:4]] == ["1", "2"]
    (change,) = draft.changes
    assert change.rule == "call-ids" and change.after == ["call_1", "call_2"] * 2


def test_id_repeated_in_a_later_turn_is_renumbered() -> None:
    draft = linked(calls(("f", "c")), result("1", "c"), calls(("f", "c")), result("2", "c"), END)
    ids = [m.tool_call_id for m in draft.conversation.messages if m.role == "tool"]
    assert ids == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("messages", "rule", "where"),
    [
        ((calls(("f", "a")), result("1", "a", "g"), END), "dangling-result", "/messages/2/name"),
        (
            (calls(("f", "a"), ("g", "b")), result("1", "x"), END),
            "dangling-result",
            "/messages/2/tool_call_id",
        ),
        (
            (calls(("f", "a"), ("g", "b")), result("1", "b"), END),
            "call-without-result",
            "/messages/1/tool_calls/0",
        ),
    ],
)
def test_results_that_cannot_be_linked_are_rejected(
    messages: tuple[Message, ...], rule: str, where: str
) -> None:
    with pytest.raises(Rejected) as raised:
        linked(*messages)
    assert (raised.value.rule, raised.value.pointer) == (rule, where)
