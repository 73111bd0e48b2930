"""What the readers of other services' layouts refuse or leave alone, and what they note."""

from typing import Any

import pytest

from chat.conversation import Conversation, Message, ToolCall
from data.outcomes import Draft, Rejected
from data.reading import SOURCES

F = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
USER = {"role": "user", "content": "a"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def read(layout: str, **row: Any) -> Draft:
    assert SOURCES[layout].recognises(row)
    return SOURCES[layout].read(row)


def messages(layout: str, **row: Any) -> tuple[Message, ...]:
    return read(layout, **row).conversation.messages


def test_calls_of_one_response_are_one_turn_with_the_text_before_them() -> None:
    said = {"type": "message", "role": "assistant", "content": "One moment."}
    found = messages("responses", input=[USER, said, CALL, {**CALL, "call_id": "d"}], tools=[F])
    calls = (ToolCall("f", {}, "c"), ToolCall("f", {}, "d"))
    assert found == (Message("user", "a"), Message("assistant", "One moment.", calls))


def test_thoughts_between_the_calls_of_a_turn_are_all_kept() -> None:
    thoughts = [{"type": "reasoning", "summary": [{"text": text}]} for text in ("One.", "Two.")]
    items = [USER, thoughts[0], CALL, thoughts[1], {**CALL, "call_id": "d"}]
    assert messages("responses", input=items)[1].content == "<think>\nOne.\n\nTwo.\n</think>\n\n"


def test_null_in_place_of_a_turns_calls_is_no_call() -> None:
    said = {"role": "assistant", "content": "One moment.", "tool_calls": None}
    called = {"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "f"}}
    wanted = (
        Message("user", "a"),
        Message("assistant", "One moment.", (ToolCall("f", {}, "c"),)),
    )
    assert messages("responses", input=[USER, said, CALL]) == wanted
    assert messages("mcp", trace=[USER, said, called]) == wanted


def test_a_turns_own_calls_are_not_mixed_with_those_that_follow() -> None:
    own = {"id": "b", "name": "f", "arguments": {}}
    said = {"role": "assistant", "content": "", "tool_calls": [own]}
    found = messages("responses", input=[USER, said, CALL])
    assert [[call.id for call in message.tool_calls] for message in found] == [[], ["b"], ["c"]]
    assert said["tool_calls"] == [own]


def test_a_broken_call_of_a_response_is_named_by_its_item() -> None:
    with pytest.raises(Rejected) as raised:
        read("responses", input=[USER, {**CALL, "arguments": "{"}], tools=[F])
    assert (raised.value.rule, raised.value.pointer) == ("unreadable-call", "/input/1")


@pytest.mark.parametrize(
    ("layout", "row", "rule", "where"),
    [
        (
            "responses",
            {"input": [USER, {"type": "web_search_call"}]},
            "wrong-layout",
            "/input/1",
        ),
        (
            "gemini",
            {"contents": [{"role": "user", "parts": [{"inlineData": {}}]}]},
            "wrong-layout",
            "/contents/0",
        ),
        (
            "mcp",
            {"trace": [{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}]},
            "wrong-layout",
            "/trace",
        ),
        (
            "reward",
            {"prompt": [USER], "reward_model": {"ground_truth": "72"}},
            "no-assistant",
            "/reward_model/ground_truth",
        ),
        (
            "preference",
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
            "wrong-layout",
            "/chosen",
        ),
        (
            "langchain",
            {"input": "a", "intermediate_steps": [[{"tool": "f", "tool_input": "Hull"}, "b"]]},
            "unreadable-call",
            "/intermediate_steps/0",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_by_name(
    layout: str, row: dict[str, Any], rule: str, where: str
) -> None:
    with pytest.raises(Rejected) as raised:
        read(layout, **row)
    assert (raised.value.rule, raised.value.pointer) == (rule, where)


def test_text_beside_a_result_of_anthropic_follows_it() -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "b"}
    turns = [
        USER,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    ]
    for layout in ("anthropic", "openai"):
        found = messages(layout, messages=turns, tools=[F])
        assert found[2:] == (Message("tool", "b", tool_call_id="t"), Message("user", "And now?"))


def test_a_quoted_tool_response_without_a_call_before_it_stays_text() -> None:
    text = "<tool_response>\n1\n</tool_response>"
    assert messages("openai", messages=[{**USER, "content": text}])[0] == Message("user", text)


def test_two_tool_responses_in_one_user_turn_are_two_results() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    text = "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
    said = {"role": "assistant", "content": f"{call}\n{call}"}
    found = messages("openai", messages=[USER, said, {**USER, "content": text}], tools=[F])
    assert found[2:] == (Message("tool", "1"), Message("tool", "2"))


def test_a_rejected_answer_that_cannot_be_read_leaves_the_chosen_one() -> None:
    bad = [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}]
    found = read("preference", prompt=[USER], chosen="b", rejected=bad)
    assert found.rejected is None
    assert found.conversation == Conversation((Message("user", "a"), Message("assistant", "b")))
    assert [change.rule for change in found.changes] == ["rejected-answer"]


def test_an_answer_of_toolace_that_names_no_tool_is_text() -> None:
    system = '[{"name": "f", "parameters": {"type": "dict", "properties": {}}}]'
    said = [{"from": "user", "value": "a"}, {"from": "assistant", "value": "[see the table (1)]"}]
    found = messages("toolace", system=system, conversations=said)
    assert found[-1] == Message("assistant", "[see the table (1)]")


STEP = "Thought: b\nAction: f\nAction Input: {}"
LABELLED: list[tuple[str, dict[str, Any]]] = [
    ("gemini", {"contents": [{"role": "model", "parts": [{"text": "b"}], "weight": 0}]}),
    ("langchain", {"messages": [{"type": "ai", "data": {"content": "b", "weight": 0}}]}),
    ("responses", {"input": [USER, {**CALL, "loss": False}], "tools": [F]}),
    ("toolace", {"system": str([F]), "conversations": [{"from": "gpt", "value": "[f()]"}]}),
    (
        "toolllama",
        {
            "conversations": [
                {"from": "system", "value": f"You are AutoGPT, you can use many tools {[F]}"},
                {"from": "assistant", "value": STEP},
            ]
        },
    ),
]


@pytest.mark.parametrize(("layout", "row"), LABELLED)
def test_a_turn_marked_as_not_to_be_learnt_stays_so(layout: str, row: dict[str, Any]) -> None:
    if "conversations" in row:
        row["conversations"][-1]["train"] = False
    assert messages(layout, **row)[-1].trained is False


@pytest.mark.parametrize(
    "prompt",
    [
        {"prompt": "a"},
        {"conversations": [{"from": "human", "value": "a"}]},
        {"messages": [USER]},
        {"question": "a"},
        {"instruction": "a", "input": ""},
    ],
)
def test_the_prompt_of_two_answers_has_several_names(prompt: dict[str, Any]) -> None:
    answers = {"chosen": {"from": "gpt", "value": "b"}, "rejected": {"from": "gpt", "value": "c"}}
    found = read("preference", **prompt, **answers)
    assert found.conversation.messages == (Message("user", "a"), Message("assistant", "b"))
    assert found.rejected and found.rejected.conversation.messages[-1].content == "c"


def test_an_instruction_that_is_no_text_is_refused() -> None:
    with pytest.raises(Rejected) as raised:
        read("preference", instruction=["a"], input="b", chosen="c", rejected="d")
    assert (raised.value.rule, raised.value.pointer) == ("wrong-layout", "/instruction/0")


def test_a_stray_key_does_not_turn_one_preference_into_another() -> None:
    sides = {"preferred_output": "c", "non_preferred_output": "d"}
    found = read("preference", input={"messages": [USER]}, chosen=True, **sides)
    assert found.conversation.messages[-1].content == "c"


def test_answers_without_any_prompt_are_refused() -> None:
    with pytest.raises(Rejected, match="needs its prompt"):
        read("preference", chosen={"role": "assistant", "content": "b"}, rejected="c")


def test_ids_of_mistrals_rendered_calls_stay() -> None:
    text = (
        '[INST] a[/INST][TOOL_CALLS] [{"name": "f", "arguments": {}, "id": "abcdefghi"}]</s>'
        '[TOOL_RESULTS] {"content": 4, "call_id": "abcdefghi"}[/TOOL_RESULTS] b</s>'
    )
    _, called, result, _ = messages("text", text=text, tools=[F])
    assert called.tool_calls[0].id == result.tool_call_id == "abcdefghi"


def test_gemini_tools_may_be_one_group() -> None:
    contents = [{"role": "user", "parts": [{"text": "a"}]}]
    assert read("gemini", contents=contents, tools={"functionDeclarations": [F]}).conversation.tools


def test_a_system_part_of_gemini_that_is_no_text_is_refused() -> None:
    contents = [{"role": "user", "parts": [{"text": "a"}]}]
    with pytest.raises(Rejected, match="a part's text must be text"):
        read("gemini", contents=contents, systemInstruction={"parts": [{"text": [[]]}]})


def test_an_item_that_is_no_object_is_rejected() -> None:
    row = {"input": [{"role": "user", "content": "Hi"}, 7], "output": []}
    with pytest.raises(Rejected, match="an item must be an object"):
        SOURCES["responses"].read(row)


def test_an_action_without_its_input_is_rejected() -> None:
    turns = [
        {"from": "system", "value": "You have access of the following tools:"},
        {"from": "user", "value": "Hi"},
        {"from": "assistant", "value": "Thought: a tide.\nAction: find_tide"},
    ]
    with pytest.raises(Rejected, match="an Action without its Action Input"):
        SOURCES["toolllama"].read({"conversations": turns})
