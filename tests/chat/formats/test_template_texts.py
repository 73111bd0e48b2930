"""What a template redoes by itself: tools as TypeScript types, and results read as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_shapes import first_difference
from chat_templates import rendered, text_of
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS, find_format
from chat.formats.rendering import render
from chat.schemas.validation import read_tool
from demo.tools import everyday, made_up, unseen
from synthesis.declaration import Domain
from synthesis.domains import DOMAINS

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MARKS = st.lists(st.sampled_from([*'{}[],:"|&()\\ \n\t/', "é", "a", " | ", " & ", '\\"']))
TEXTS = ANY_TEXT | MARKS.map("".join)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["city", "two words", "größe", "$a_1", "1st", 'q"', "items", "get"])
KINDS = ["string", "number", "integer", "boolean", "object", "array", "null", "dict"]


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of every keyword that the types know, and of some that they do not."""
    parts = st.lists(inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(KINDS) | st.lists(st.sampled_from(KINDS), max_size=3),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2),
            "items": inner | parts | st.booleans(),
            "prefixItems": parts,
            "additionalItems": inner,
            "additionalProperties": inner | st.booleans(),
            "anyOf": parts,
            "oneOf": parts,
            "allOf": parts,
            "enum": st.lists(VALUES, max_size=3),
            "const": VALUES,
            "nullable": st.booleans(),
            "description": TEXTS,
            "default": VALUES,
            "minimum": NUMBERS,
            "format": TEXTS,
        },
    )


SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": st.sampled_from(KINDS)}), schemas
)


def check_announced(tools: list[Tool]) -> None:
    """The templates that announce tools as types do it as their formats do."""
    conversation = Conversation((Message("user", "Hi"),), tuple(tools))
    for name in ("llama3", "llama3_short", "hermes_short"):
        found = rendered(FORMATS[name], conversation)
        wanted = text_of(render(conversation, FORMATS[name]))
        assert not (difference := first_difference(found, wanted)), difference


def check_result(text: str) -> None:
    """The template of Mistral writes a result as the format does."""
    calls = Message("assistant", "", (ToolCall("f", {}, "abc123DEF"),))
    conversation = Conversation((Message("user", "Hi"), calls, Message("tool", text)))
    try:
        wanted = text_of(render(conversation, FORMATS["mistral_v3"]))
        wanted.encode()
    except UnicodeEncodeError:
        return  # Half a surrogate pair, which no tokenizer reads.
    found = rendered(FORMATS["mistral_v3"], conversation)
    assert not (difference := first_difference(found, wanted)), difference


def tools_of(*domains: Domain) -> list[Tool]:
    """The tools of domains of synthetic data."""
    return [tool.tool for domain in domains for tool in domain.tools]


def real_tools(shared: Path) -> Iterator[Tool]:
    """The tools of Berkeley's benchmark, as our cleaner writes them."""
    for file in sorted((shared / "bfcl").glob("BFCL_v4_*.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield from map(read_tool, json.loads(line).get("function", []))


class TestTypes:
    def test_tools_of_a_shape_are_announced_alike(self, shape: Conversation) -> None:
        check_announced(list(shape.tools))

    def test_our_own_tools_are_announced_alike(self) -> None:
        check_announced(tools_of(*DOMAINS, *everyday.DOMAINS, *unseen.DOMAINS))

    @pytest.mark.long
    def test_made_up_tools_of_the_demo_are_announced_alike(self) -> None:
        check_announced(tools_of(*made_up.DOMAINS))

    @pytest.mark.long
    def test_tools_of_a_benchmark_are_announced_alike(self, shared: Path) -> None:
        tools = list(real_tools(shared))
        assert len(tools) > 1000
        for start in range(0, len(tools), 20):
            check_announced(tools[start : start + 20])

    @tries(30)
    @given(schema=SCHEMAS, description=TEXTS)
    def test_any_schema_is_announced_alike(self, schema: dict[str, Any], description: str) -> None:
        check_announced([Tool("f", description, {"type": "object", "properties": {"x": schema}})])

    @pytest.mark.long
    @tries(300)
    @given(schema=SCHEMAS, description=TEXTS)
    def test_hundreds_of_schemas_are_announced_alike(
        self, schema: dict[str, Any], description: str
    ) -> None:
        check_announced([Tool("f", description, schema), Tool("g", "", {"properties": schema})])


RESULTS = [
    *("", " ", "null", "-0", "0.10", "1E5", "1e999", "-Infinity", "01", "+1", "1.", ".5", "--1"),
    *('"a', '"a\\', '"\\u00E9"', '"\\ud83d\\ude80"', '"\\u12"', '"\\x41"', '"a\nb"', '"\\/"'),
    *('{"a":1,"b":[2,{"a":3}],"a":{"b":4}}', "[1 2]", "[1,]", "{,}", '{"a" 1}', "[1}", "[]]"),
    *('{"a": [ ] , "b" :{ }}', "[see below]", "nullnull", "true false", "1\u00a0"),
    '["\\"", "\\\\"]',
]  # fmt: skip


def written_json(value: Any, loose: bool, ascii_only: bool) -> str:
    """JSON with other white space and escapes than ours."""
    between = (" ,\n", "\t:") if loose else (",", ":")
    return json.dumps(value, ensure_ascii=ascii_only, separators=between)


class TestResults:
    @pytest.mark.parametrize("text", RESULTS)
    def test_result_is_read_as_json_or_is_text(self, text: str) -> None:
        check_result(text)

    @tries(100)
    @given(value=VALUES, loose=st.booleans(), ascii_only=st.booleans())
    def test_json_is_written_anew(self, value: Any, loose: bool, ascii_only: bool) -> None:
        check_result(written_json(value, loose, ascii_only))

    @pytest.mark.long
    @tries(1500)
    @given(value=VALUES, loose=st.booleans(), cut=st.integers(0, 60), put=TEXTS)
    def test_damaged_json_is_text(self, value: Any, loose: bool, cut: int, put: str) -> None:
        text = written_json(value, loose, True)
        check_result(text[:cut] + put + text[cut + 1 :])


@pytest.mark.parametrize(
    "date", ['" %}{{ 7 * 7 }}{% set x = "', "' }}{{ 7 * 7 }}", "\\", "{#", "ä"]
)
def test_a_setting_is_never_code_of_the_template(date: str) -> None:
    format = find_format(f"llama3_1:date={date}")
    conversation = Conversation((Message("user", "Hi"), Message("assistant", "Hello")))
    assert rendered(format, conversation) == text_of(render(conversation, format))
    assert f"Today Date: {date}\n" in rendered(format, conversation)
