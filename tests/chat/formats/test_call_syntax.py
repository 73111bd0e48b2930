"""Calls as text: written calls are read back; unreadable ones are reported, not repaired."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.conversation import Tool, ToolCall
from chat.formats.call_syntax import CallSyntax, Reply, read_reply, write_reply
from chat.formats.known import FORMATS
from chat.formats.llama3 import CALLS as TOOL_USES
from chat.formats.llama3 import describe_namespace, describe_tools_alone

# Each once, by the name of the first format that has it.
NAMES = {format.calls: name for name, format in reversed(FORMATS.items()) if format.calls.starts}
SYNTAXES = {name: syntax for syntax, name in NAMES.items()}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TRICKY = st.sampled_from(
    ["<|eot_id|>", '{"tool_uses": [', '"}', "\\", "\\u0041", "'", "\n", "```json", "functions.", ""]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT | TRICKY
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | TRICKY, inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(TEXT | TRICKY, VALUES, max_size=5)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    ["math.mean", "two words", "functions.x", "a/b-c", "名前"]
)
CALLS = st.lists(st.builds(ToolCall, NAMES, ARGUMENTS), min_size=1, max_size=3).map(tuple)


def fitted(calls: tuple[ToolCall, ...], syntax: CallSyntax) -> tuple[ToolCall, ...]:
    """As many calls as a turn can have; a name in a head of its own is one line without blanks."""
    calls = calls if syntax.between else calls[:1]
    if syntax.name_key:
        return calls
    return tuple(replace(call, name="".join(call.name.split()) or "f") for call in calls)


def exact(calls: tuple[ToolCall, ...]) -> str:
    """Calls as a text that tells 1 from 1.0 and True, and one key order from another."""
    return repr([(call.name, call.arguments) for call in calls])


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
class TestEverySyntax:
    @tries(300)
    @given(calls=CALLS, content=st.sampled_from(["", "I will look.", "Two\n\nlines: {\n}"]))
    def test_decode_inverts_encode(
        self, syntax: CallSyntax, calls: tuple[ToolCall, ...], content: str
    ) -> None:
        calls, content = fitted(calls, syntax), content if syntax.joint is not None else ""
        reply = read_reply(write_reply(content, calls, syntax), syntax)
        assert reply.problem is None
        assert reply.content == content
        assert exact(reply.tool_calls) == exact(calls)

    @tries(100)
    # Every call begins with one of these, and so does text that is taken for a cut one.
    @given(content=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<{[")))
    def test_text_without_a_call_stays_text(self, syntax: CallSyntax, content: str) -> None:
        assert read_reply(write_reply(content, (), syntax), syntax) == Reply(content.strip())

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan]}])
    def test_arguments_with_nan_or_infinity_are_refused(
        self, syntax: CallSyntax, value: Any
    ) -> None:
        with pytest.raises(ValueError, match="the arguments of f are no JSON"):
            write_reply("", [ToolCall("f", {"x": value})], syntax)

    @pytest.mark.parametrize("value", [{1, 2}, b"bytes", object()])
    def test_arguments_of_non_json_types_are_refused(self, syntax: CallSyntax, value: Any) -> None:
        with pytest.raises(ValueError, match="the arguments of f are no JSON"):
            write_reply("", [ToolCall("f", {"x": value})], syntax)

    def test_arguments_that_contain_themselves_are_refused(self, syntax: CallSyntax) -> None:
        value: list[Any] = []
        value.append(value)
        with pytest.raises(ValueError, match="the arguments of f are no JSON"):
            write_reply("", [ToolCall("f", {"x": value})], syntax)

    @tries(200)
    @given(calls=CALLS, cut=st.integers(1, 10_000))
    def test_truncated_call_is_never_read_as_another_call(
        self, syntax: CallSyntax, calls: tuple[ToolCall, ...], cut: int
    ) -> None:
        calls = fitted(calls, syntax)
        text = write_reply("", calls, syntax)
        reply = read_reply(text[: -1 - cut % (len(text) - 1)], syntax)
        # Where each call is a block of its own, those before the cut are whole.
        whole = calls[: len(reply.tool_calls)] if syntax.closing.strip().startswith("<") else ()
        assert len(whole) < len(calls) and exact(reply.tool_calls) == exact(whole)

    def test_two_calls_are_refused_where_one_can_be_written(self, syntax: CallSyntax) -> None:
        calls = [ToolCall("f", {}), ToolCall("g", {})]
        if syntax.between:
            assert len(read_reply(write_reply("", calls, syntax), syntax).tool_calls) == 2
        else:
            with pytest.raises(ValueError, match="a turn has 2 calls, and one can be written"):
                write_reply("", calls, syntax)

    def test_text_beside_a_call_is_written_or_refused(self, syntax: CallSyntax) -> None:
        calls = [ToolCall("f", {})]
        if syntax.joint is not None:
            assert read_reply(write_reply("Hi.", calls, syntax), syntax).content == "Hi."
        else:
            with pytest.raises(ValueError, match="a turn has text beside a call"):
                write_reply("Hi.", calls, syntax)


def use(name: str = "functions.f", **parameters: Any) -> dict[str, Any]:
    return {"recipient_name": name, "parameters": parameters}


def written(*uses: Any) -> str:
    return json.dumps({"tool_uses": uses})


class TestNamespaceCalls:
    def test_calls_are_one_json_object_with_its_keys_in_order(self) -> None:
        calls = [ToolCall("add", {"b": 1, "a": 2.0}), ToolCall("größe", {})]
        assert write_reply("Wait.", calls, TOOL_USES) == (
            'Wait.\n{"tool_uses": [{"recipient_name": "functions.add", "parameters": {"b": 1, '
            '"a": 2.0}}, {"recipient_name": "functions.größe", "parameters": {}}]}'
        )

    def test_tool_name_without_its_namespace_is_read(self) -> None:
        assert read_reply(written(use("f", a=1)), TOOL_USES).tool_calls == (
            ToolCall("f", {"a": 1}),
        )

    def test_namespace_is_removed_from_a_tool_name_once(self) -> None:
        reply = read_reply(written(use("functions.functions.f")), TOOL_USES)
        assert reply.tool_calls == (ToolCall("functions.f", {}),)

    def test_white_space_inside_and_around_a_call_is_read(self) -> None:
        text = "Let me see.\n\n" + json.dumps({"tool_uses": [use(a=1)]}, indent=2) + "\n"
        assert read_reply(text, TOOL_USES) == Reply("Let me see.", (ToolCall("f", {"a": 1}),))

    def test_argument_may_hold_the_text_of_a_call(self) -> None:
        inner = written(use("functions.g"))
        calls = (ToolCall("f", {"text": inner, "tool_uses": [{"recipient_name": "x"}]}),)
        assert read_reply(write_reply("", calls, TOOL_USES), TOOL_USES) == Reply("", calls)

    @pytest.mark.parametrize("text", ["", "{", "{}", "plain", '{"a": 1}', "use tool_uses", "[1]"])
    def test_other_text_and_json_are_not_read_as_calls(self, text: str) -> None:
        assert read_reply(text, TOOL_USES) == Reply(text)

    def test_huge_integer_is_read_and_a_longer_one_is_reported(self) -> None:
        number = 10**4000
        assert read_reply(written(use(n=number)), TOOL_USES).tool_calls[0].arguments == {
            "n": number
        }
        reply = read_reply('{"tool_uses": [' + "9" * 5000, TOOL_USES)
        assert reply.problem and reply.tool_calls == ()


GOOD = written(use(a=1))
PROBLEMS = {
    "cut in a string": (GOOD[:40], "the call is no JSON: Unterminated string .* of 40"),
    "cut after the name": ('{"tool_uses"', "the call ends early, before "),
    "cut in the name": ('Yes.\n{"tool_u', "the call ends early, before "),
    "one brace too many": (GOOD + "}", "text follows the call: '}'"),
    "words after it": (GOOD + "\nDone.", "text follows the call: 'Done.'"),
    "two objects": (GOOD + "\n" + GOOD, "text follows the call: '{"),
    "not on its own line": ("Sure: " + GOOD, "the call does not begin a line"),
    "fenced": ("```json\n" + GOOD + "\n```", "text follows the call: '```'"),
    "a call without its wrapper": (json.dumps(use()), "stands where the call wants '{\"tool_uses"),
    "another key beside": (GOOD[:-1] + ', "x": 1}', "stands where the call wants ']}'"),
    "uses as an object": ('{"tool_uses": {}}', "stands where the call wants"),
    "no use": ('{"tool_uses": []}', "no call stands in"),
    "a use that is text": (written(use(), "f"), "call 2 is 'f', wanted an object"),
    "no name": ('{"tool_uses": [{"parameters": {}}]}', "recipient_name is missing or null"),
    "an empty name": (written(use("functions.")), "recipient_name is 'functions.', wanted a tool"),
    "a number as name": ('{"tool_uses": [{"recipient_name": 3}]}', "recipient_name is '3'"),
    "no parameters": (written({"recipient_name": "f"}), "parameters is missing or null"),
    "parameters as text": (
        written({"recipient_name": "f", "parameters": "{}"}),
        "call 1.parameters is '{}', wanted an object",
    ),
    "parameters as a list": (
        written({"recipient_name": "f", "parameters": [1]}),
        r"parameters is '\[1\]', wanted an object",
    ),
    "arguments for parameters": (
        written({"recipient_name": "f", "arguments": {}}),
        "call 1 has an unknown key 'arguments'",
    ),
    "a key twice": (GOOD.replace('"a": 1', '"a": 1, "a": 2'), "the key 'a' stands twice"),
    "NaN": (GOOD.replace("1}", "NaN}"), "NaN is no JSON"),
    "Infinity": (GOOD.replace("1}", "-Infinity}"), "-Infinity is no JSON"),
    "beyond a float": (GOOD.replace("1}", "1e999}"), "1e999 is not a finite number"),
    "single quotes": (GOOD.replace('"a": 1', "'a': 1"), "the call is no JSON"),
    "nested too deep": (GOOD.replace("1}", "[" * 100_000), "nested too deeply"),
}


class TestProblems:
    @pytest.mark.parametrize("case", PROBLEMS)
    def test_unreadable_call_keeps_its_text_with_a_one_line_problem(self, case: str) -> None:
        text, problem = PROBLEMS[case]
        reply = read_reply(text, TOOL_USES)
        assert reply.tool_calls == ()
        assert reply.content == text
        assert reply.problem is not None
        assert "\n" not in reply.problem and len(reply.problem) < 200
        assert re.search(problem, reply.problem), reply.problem


class TestNamespaceDescription:
    def test_description_lists_every_tool_before_the_wrapper(self) -> None:
        text = describe_namespace([Tool("first", "One."), Tool("second.of two")])
        functions, wrapper = text.split("\n\n## multi_tool_use\n\n")
        assert functions == (
            "# Tools\n\n## functions\n\nnamespace functions {\n\n// One.\ntype first = () => any;"
            "\n\ntype second.of two = () => any;\n\n} // namespace functions"
        )
        assert "namespace multi_tool_use {" in wrapper
        assert "type parallel = (_: {\n" in wrapper
        assert "tool_uses: {\n" in wrapper
        assert "recipient_name: string,\n" in wrapper
        assert wrapper.endswith(
            "parameters: object,\n}[],\n}) => any;\n\n} // namespace multi_tool_use"
        )

    def test_short_description_is_the_same_without_the_wrapper(self) -> None:
        tools = [Tool("first", "One."), Tool("second.of two")]
        short = describe_tools_alone(tools)
        assert short == describe_namespace(tools).partition("\n\n## multi")[0]
        assert short.endswith("} // namespace functions")
