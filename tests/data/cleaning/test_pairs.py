"""Pairs: what two conversations have in common is the prompt, what differs are the two sides."""

import json

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.pairs import pair_line, pair_of

TOOLS = (Tool("find_tide", "Finds a tide.", {"type": "object", "properties": {}}),)
ASKED = Message("user", "Tide at Hull?")


def calling(port: str, id: str = "c1") -> tuple[Message, ...]:
    call = ToolCall("find_tide", {"port": port}, id)
    return (Message("assistant", "", (call,)), Message("tool", "14:20", tool_call_id=id))


def talk(*messages: Message, id: str = "") -> Conversation:
    return Conversation(messages, TOOLS, id=id)


def test_prompt_is_all_that_both_have_in_common() -> None:
    good = talk(ASKED, *calling("Hull"), Message("assistant", "At 14:20."), id="a-1")
    bad = talk(ASKED, *calling("Hull", id="x"), Message("assistant", "No idea."), id="a-2")
    pair = pair_of(good, bad)
    assert pair is not None
    assert (pair.prompt, pair.chosen) == (good.messages[:3], good.messages[3:])
    assert (pair.rejected, pair.id) == (bad.messages[3:], "a-1 a-2")


def test_other_results_of_one_call_belong_to_the_sides() -> None:
    good = talk(ASKED, *calling("Hull"), Message("assistant", "At 14:20."))
    bad = talk(ASKED, calling("Hull")[0], Message("tool", "lost"), Message("assistant", "No."))
    pair = pair_of(good, bad)
    assert pair is not None and pair.prompt == (ASKED,)


def test_conversations_that_do_not_answer_otherwise_are_no_pair() -> None:
    answer = Message("assistant", "At 14:20.")
    good = talk(ASKED, *calling("Hull"), answer)
    for bad in (good, talk(*good.messages[:2]), talk(Message("user", "Tide at Goole?"), answer)):
        assert pair_of(good, bad) is None
    assert pair_of(talk(ASKED, answer, ASKED, answer), talk(ASKED, answer, answer)) is None


def test_line_holds_tools_prompt_and_both_sides() -> None:
    good = talk(ASKED, *calling("Hull")[:1])
    pair = pair_of(good, talk(ASKED, *calling("Goole")[:1]))
    assert pair is not None
    line = pair_line(pair)
    record = json.loads(line)
    assert line.endswith("}\n") and list(record) == ["tools", "prompt", "chosen", "rejected"]
    assert record["prompt"] == [{"role": "user", "content": "Tide at Hull?"}]
    assert record["rejected"][0]["tool_calls"][0]["function"]["arguments"] == {"port": "Goole"}
    assert record["tools"][0]["function"]["name"] == "find_tide"
