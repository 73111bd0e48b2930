"""Constrained decoding: free until a call opens, then valid by the schema, whatever the model."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from speaking_model import TOKENIZER
from tiny_models import TINY, random_model

from chat.conversation import Conversation, Tool, ToolCall
from chat.formats.call_syntax import write_reply
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, stop_ids
from chat.schemas.validation import read_tool, validate_arguments
from chat.tokenizers.tokenizer import load_tokenizer
from inference.constrain import preparation
from inference.constrain.constraint import CallConstraint, Constraints, constraint_for, refusals
from inference.constrain.finished_replies import FinishedReply, calls_read
from inference.constrain.refusal import ToolRefused
from inference.generate import Completion, Decoding, complete
from model.config import ModelConfig
from model.transformer import Transformer

jsonschema = pytest.importorskip("jsonschema")
DEMO = load_tokenizer(TOKENIZER)
LLAMA3 = FORMATS["llama3"]
STOPS = stop_ids(LLAMA3, DEMO)
STOP = STOPS[0]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "", CITY)
CLOCK = Tool("clock.now", "", {"type": "object", "properties": {}})


@pytest.fixture(scope="module")
def model() -> Transformer:
    return random_model(ModelConfig(**{**TINY.__dict__, "vocab_size": DEMO.vocab_size}))


def one(name: str, schema: dict[str, Any]) -> Tool:
    """A tool with one required argument of that schema."""
    return Tool(name, "", {"type": "object", "properties": {"x": schema}, "required": ["x"]})


def fits(constraint: CallConstraint, text: str, stopped: bool = True, room: int = 10_000) -> bool:
    """Whether a reply of that text may be said token by token, and end there."""
    tokens = [*DEMO.encode(text), *([STOP] if stopped else [])]
    for token in tokens:
        logits = torch.zeros(DEMO.vocab_size)
        constraint.restrict(logits, room)
        if logits[token] != 0 or not constraint.accept(token, room - 1):
            return False
    return True


def says(*calls: ToolCall, content: str = "") -> str:
    return write_reply(content, calls, LLAMA3.calls)


def value(schema: dict[str, Any], text: str) -> bool:
    """Whether the grammar takes the JSON text as the argument x of that schema."""
    call = says(ToolCall("f", {"x": "VALUE"})).replace('"VALUE"', text)
    return fits(constraint_for([one("f", schema)], LLAMA3, DEMO, forced=True), call)


def replies(
    model: Transformer, tools: Sequence[Sequence[Tool]], forced: bool | str = True, **options: Any
) -> list[Completion]:
    settings = {"max_new_tokens": 120, "temperature": 1.0, "batch_size": 32} | options
    constraint = Constraints(
        [Conversation((), tuple(tool)) for tool in tools], LLAMA3, DEMO, forced
    )
    prompts = [[index % 2000, 3] for index in range(len(tools))]
    done = complete(model, prompts, Decoding(STOPS, **settings), constraint=constraint)
    return [completion for _, completion in sorted(done, key=lambda pair: pair[0])]


def check(completion: Completion, tools: Sequence[Tool]) -> list[ToolCall]:
    """Assert that a reply is calls and nothing else, each valid by jsonschema; return them."""
    assert completion.stop is not None
    reply = parse_reply(DEMO.decode(completion.tokens), LLAMA3)
    assert (reply.content, reply.problem) == ("", None)
    assert reply.tool_calls
    for call in reply.tool_calls:
        (tool,) = (tool for tool in tools if tool.name == call.name)
        jsonschema.Draft202012Validator(dict(tool.parameters)).validate(dict(call.arguments))
        assert validate_arguments(tool, call.arguments) == []
    return list(reply.tool_calls)


class TestText:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "It rains.",
            'Two\n\nlines, {x} and {\n  "y": 1}',
            'The key "tool_uses" is no call.\n{',
            "😀 <|eot_id|> is ordinary text",
        ],
    )
    def test_is_free_while_no_call_opens(self, text: str) -> None:
        assert fits(constraint_for([WEATHER], LLAMA3, DEMO), text)

    def test_may_come_before_calls(self) -> None:
        text = says(ToolCall("weather", {"city": "Lyon"}), content="I look.\nNow:")
        assert fits(constraint_for([WEATHER], LLAMA3, DEMO), text)

    @pytest.mark.parametrize(
        "text",
        [
            'I call {"tool_uses": [',
            '{ "tool_uses"',
            '{"recipient_name": "functions.weather"',
            'Look:\n{"tool_us',
            says(ToolCall("weather", {"city": "Lyon"})) + " and more",
        ],
    )
    def test_never_holds_something_like_a_call_that_cannot_be_read(self, text: str) -> None:
        assert parse_reply(text, LLAMA3).problem
        assert not fits(constraint_for([WEATHER], LLAMA3, DEMO), text)

    def test_opens_no_call_where_no_tool_is_offered(self) -> None:
        assert fits(constraint_for([], LLAMA3, DEMO), "Hello")
        assert not fits(constraint_for([], LLAMA3, DEMO), says(ToolCall("weather", {})))


class TestCalls:
    BOTH = (ToolCall("weather", {"city": 'L"y\\on\n😀'}), ToolCall("clock.now", {}))

    def test_may_be_several_of_all_offered_tools(self) -> None:
        assert fits(constraint_for([WEATHER, CLOCK], LLAMA3, DEMO), says(*self.BOTH, *self.BOTH))

    @pytest.mark.parametrize(
        "call",
        [
            ToolCall("wether", {"city": "Lyon"}),
            ToolCall("weather", {}),
            ToolCall("weather", {"city": 3}),
            ToolCall("weather", {"city": "Lyon", "undeclared": 1}),
            ToolCall("clock.now", {"city": "Lyon"}),
        ],
    )
    def test_of_other_tools_or_with_other_arguments_cannot_be_said(self, call: ToolCall) -> None:
        assert not fits(constraint_for([WEATHER, CLOCK], LLAMA3, DEMO), says(call))

    def test_can_be_forced(self) -> None:
        for text, fit in (("Hello", False), (says(self.BOTH[0]), True)):
            constraint = constraint_for([WEATHER, CLOCK], LLAMA3, DEMO, forced=True)
            assert fits(constraint, text) is fit

    def test_can_be_forced_to_one_tool(self) -> None:
        for call, fit in zip(self.BOTH, (False, True), strict=True):
            constraint = constraint_for([WEATHER, CLOCK], LLAMA3, DEMO, forced="clock.now")
            assert fits(constraint, says(call)) is fit

    def test_of_a_tool_that_is_not_offered_cannot_be_forced(self) -> None:
        with pytest.raises(ValueError, match=r"rain cannot be forced: it is not offered .*weather"):
            constraint_for([WEATHER], LLAMA3, DEMO, forced="rain")
        with pytest.raises(ValueError, match="no tools are offered"):
            constraint_for([], LLAMA3, DEMO, forced=True)


NESTED = {"type": "object", "properties": {"a": {"type": "null"}}}
NULL = {"type": "null"}
BETWEEN = {"type": "number"}


def needing(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": NULL, "b": NULL}, "required": [name]}


def tagged(name: str) -> dict[str, Any]:
    properties = {"kind": {"const": name}, name: NULL}
    return {"type": "object", "properties": properties, "required": ["kind", name]}


# schema, texts that are taken, texts that are not
ENFORCED: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"type": "integer", "minimum": 3, "maximum": 12}, ["3", "12"], ["2", "13", '"3"', "3.5"]),
    ({"type": "number", "exclusiveMinimum": 0}, ["0.5", "7"], ["0", "-1"]),
    ({"type": "integer", "multipleOf": 7}, ["14", "0"], ["15"]),
    ({"type": "number"}, ["1e-05", "6.02e23", "-0.5"], ["1e999", "01", "9" * 300, "NaN"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"😀é"'], ['"a"', '"abcd"']),
    ({"type": "string", "pattern": "^[a-c]+$"}, ['"abc"'], ['""', '"abd"']),
    ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"today"']),
    ({"format": "date"}, ['"2000-02-29"', "3"], ['"1900-02-29"', '"2024-02-30"']),
    ({"type": "string", "format": "ipv4"}, ['"1.2.3.4"'], ['"1.2.3"', '"1.2.3.400"']),
    ({"enum": ["é", 1, None, [1]]}, ['"é"', "1", "null", "[1]"], ['"e"', "2", "true"]),
    ({"const": {"a": [True]}}, ['{"a": [true]}'], ['{"a": [false]}', "{}"]),
    ({"type": ["string", "null"]}, ['"a"', "null"], ["1"]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, ["[1, 2]"], ["[]", '["a"]']),
    ({"type": "array", "maxItems": 1}, ["[]", "[{}]"], ["[1, 2]"]),
    ({"type": "array", "prefixItems": [{"const": 1}], "items": False}, ["[1]"], ["[2]", "[1, 1]"]),
    (NESTED, ['{"a": null}', "{}"], ['{"a": 1}', '{"b": null}']),
    ({"type": "object", "required": ["a"]}, ['{"a": 1}'], ["{}"]),
    ({"type": "object", "additionalProperties": {"type": "null"}}, ['{"b": null}'], ['{"b": 1}']),
    ({"type": "object", "minProperties": 1, "maxProperties": 1}, ['{"b": 1}'], ["{}"]),
    (
        {"type": "object"},
        ['{"a": 1, "b": {"a": 1}}'],
        ['{"a": 1, "a": 2}', '{"a": 1, "\\u0061": 2}'],
    ),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, ["1", "null"], ['"a"']),
    ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, ["1", "null"], ['"a"']),
    ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, ["3"], ["2", '"a"']),
    (BETWEEN | {"exclusiveMinimum": 0, "exclusiveMaximum": 0.01}, ["0.009"], ["0", "0.01"]),
    (BETWEEN | {"exclusiveMinimum": -0.5, "exclusiveMaximum": 0}, ["-0.4"], ["-0", "0", "-0.5"]),
    (BETWEEN | {"exclusiveMaximum": 0}, ["-0.4", "-7"], ["-0", "0", "1"]),
    (BETWEEN | {"minimum": -1.5, "maximum": 1e20}, ["-1.5", "7"], ["-1.6"]),
    (BETWEEN | {"multipleOf": 5}, ["10", "0", "-5"], ["7", "2.5"]),
    (BETWEEN | {"multipleOf": 0.25, "minimum": 1}, ["1.25"], ["1.3", "0.75"]),
    (BETWEEN | {"multipleOf": 0.01, "minimum": 0, "maximum": 1}, ["0.25"], ["0.255", "1.01"]),
    ({"format": "uri-reference", "type": "string"}, ['"any text"'], ["1"]),
    ({"type": "string", "format": "time"}, ['"23:59:00"'], ['"24:00:00"', '"23:59"']),
    ({"type": "string", "format": "regex"}, ['"^a+[0-9]$"'], ['"(a"', '"["']),
    ({"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}, ['"-.5"'], ['"-."', '""']),
    ({"type": "object", "propertyNames": {"enum": ["a"]}}, ['{"a": 1}', "{}"], ['{"b": 1}']),
    ({"type": "object", "propertyNames": {"maxLength": 2}}, ['{"ab": 1}'], ['{"abc": 1}']),
    ({"type": "object", "patternProperties": {"^a": NULL}}, ['{"ab": null}'], ['{"a": 1}']),
    ({"properties": {"a": NULL, "b": NULL}, "minProperties": 1}, ['{"b": null}'], ["{}"]),
    ({"oneOf": [tagged("a"), tagged("b")]}, ['{"kind": "b", "b": null}'], ['{"kind": "b"}']),
    ({"oneOf": [needing("a"), needing("b")]}, ['{"b": null}'], ['{"a": null, "b": null}', "{}"]),
]


@pytest.mark.parametrize(
    ("schema", "taken", "refused"), ENFORCED, ids=lambda value: str(value)[:40]
)
def test_every_keyword_that_passes_is_enforced(
    schema: dict[str, Any], taken: list[str], refused: list[str]
) -> None:
    assert [value(schema, text) for text in taken] == [True] * len(taken)
    assert [value(schema, text) for text in refused] == [False] * len(refused)


def test_references_are_enforced() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}, "v": {"type": "null"}}}
    tool = Tool("f", "", {**node, "$defs": {"n": node}})
    for arguments, fit in (({"next": {"next": {"v": None}}}, True), ({"next": {"v": 1}}, False)):
        constraint = constraint_for([tool], LLAMA3, DEMO, forced=True)
        assert fits(constraint, says(ToolCall("f", arguments))) is fit


@pytest.mark.parametrize(
    "words",
    [
        {"title": "t", "description": "d", "default": 3, "examples": ["a"], "$comment": "c"},
        {"deprecated": True, "readOnly": True, "x-original-type": "tuple", "contentEncoding": "b"},
        {"uniqueItems": False, "anything else": [1], "format": "password"},
    ],
)
def test_what_says_nothing_about_a_value_passes(words: dict[str, Any]) -> None:
    assert value({"type": "string", **words}, '"a"')
    assert not value({"type": "string", **words}, "3")


NOT_ENFORCED: list[tuple[dict[str, Any], str]] = [
    *(
        ({key: given}, f"/properties/x/{re.escape(key)} is not enforced")
        for key, given in {
            "uniqueItems": True,
            "contains": {},
            "not": {},
            "if": {},
            "dependentRequired": {"a": ["b"]},
            "unevaluatedProperties": False,
            "$dynamicRef": "#a",
        }.items()
    ),
    ({"items": {"properties": {"a/b": {"not": {}}}}}, "/properties/x/items/properties/a~1b/not"),
    ({"patternProperties": {"a": {}, "b": {}}}, "/properties/x/patternProperties is not enforced"),
    ({"propertyNames": {"minLength": 1, "pattern": "a"}}, "/properties/x/propertyNames is not enf"),
    ({"pattern": "^(?!x)a"}, r"/properties/x/pattern holds '\(\?!'"),
    ({"pattern": r"^\W$"}, r"/properties/x/pattern holds '\\\\W'"),
    ({"pattern": "(a"}, "/properties/x is not enforced: .*regex"),
    ({"multipleOf": 0.1}, "/properties/x/multipleOf is 0.1, and only whole numbers"),
    ({"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 9}, "/properties/x/minimum le"),
    ({"enum": ["a\x00"]}, r"/properties/x/enum holds the control character U\+0000"),
    (
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "/properties/x is not enforced: the members",
    ),
    ({"anyOf": [{}, {"$ref": "http://a/b"}]}, r"/properties/x/anyOf/1/\$ref is not enforced"),
    ({"properties": {"a": {}, "b": {}}, "minProperties": 2}, "/properties/x is not enforced: min"),
    ({"type": "integer", "minimum": 3, "maximum": 1}, "/properties/x/minimum leaves no num"),
]


@pytest.mark.parametrize(("schema", "problem"), NOT_ENFORCED, ids=lambda value: str(value)[:40])
def test_keyword_not_enforced_is_an_error_with_its_path(
    schema: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=f"^tool f cannot be constrained: {problem}") as raised:
        constraint_for([WEATHER, one("f", schema)], LLAMA3, DEMO)
    assert "\n" not in str(raised.value)


# Where a reference leads, from inside the document whose parts these are.
PARTS = {
    "a b/c": {"type": "null"},
    "far": {"$id": "far.json", "type": "null", "$defs": {"in": {"type": "null"}}},
    "named": {"$anchor": "here", "type": "null"},
}


@pytest.mark.parametrize(
    "reference",
    [
        *("#/$defs/a~1b", "#/$defs/a%20b~1c", "far.json", "far.json#/$defs/in", "#here"),
        *("https://a.example/root.json#/$defs/named", "#/properties/y", "/far.json"),
    ],
)
def test_a_reference_is_followed_to_any_place(reference: str) -> None:
    properties = {"x": {"$ref": reference}, "y": {"type": "null"}}
    schema = {"$id": "https://a.example/root.json", "properties": properties, "required": ["x"]}
    tool = Tool("f", "", {**schema, "$defs": {**PARTS, "a/b": {"type": "null"}}})
    for value, fit in ((None, True), (1, False)):
        constraint = constraint_for([tool], LLAMA3, DEMO, forced=True)
        assert fits(constraint, says(ToolCall("f", {"x": value}))) is fit


def test_a_tool_that_may_be_free_is_so_only_where_it_must() -> None:
    long = one("long", {"type": "string", "minLength": 5000})
    tools = [one("kept", {"type": "null"}), one("loose", {"not": {}}), long]
    for name, fit in (("kept", False), ("loose", True), ("long", True)):
        constraint = constraint_for(tools, LLAMA3, DEMO, True, free={"kept", "loose", "long"})
        assert fits(constraint, says(ToolCall(name, {"x": 1}))) is fit


def test_a_long_number_is_left_room_for_the_digits_it_lacks() -> None:
    schema = {"type": "number", "multipleOf": 5}
    begun = says(ToolCall("f", {"x": "VALUE"})).partition('"VALUE"')[0]
    for digits, fit in (("1" * 199, True), ("1" * 200, False)):
        constraint = constraint_for([one("f", schema)], LLAMA3, DEMO, forced=True)
        assert fits(constraint, begun + digits, stopped=False) is fit
    assert value(schema, "1" * 199 + "5")


def test_a_finished_call_that_is_not_valid_is_an_error() -> None:
    constraint = constraint_for([one("f", {"type": "integer"})], LLAMA3, DEMO, forced=True)
    stricter = [one("f", {"type": "integer", "minimum": 5})]
    constraint.finished = FinishedReply(calls_read(stricter, LLAMA3), DEMO)
    with pytest.raises(ValueError, match=r"the call of f is not valid at /x: 3 is less than"):
        fits(constraint, says(ToolCall("f", {"x": 3})))


def test_random_model_makes_only_valid_calls_within_its_limit(
    model: Transformer, shared: Path
) -> None:
    lines = (shared / "bfcl" / "BFCL_v4_simple_python.json").read_text().splitlines()[:60]
    tools = [[read_tool(load) for load in json.loads(line)["function"]] for line in lines]
    done = replies(model, tools)
    whole = [check(reply, own) for reply, own in zip(done, tools, strict=True) if reply.stop]
    assert len(whole) >= 59
    assert max(len(calls) for calls in whole) > 1
    assert max(len(reply.tokens) for reply in done) == 119


def test_a_random_model_fills_schemas_that_leave_much_open(model: Transformer) -> None:
    schemas: list[dict[str, Any]] = [schema for schema, _, _ in ENFORCED]
    tools = [[one("f", schema)] for schema in [*schemas, {}, {"type": "object"}]]
    for reply, own in zip(replies(model, tools), tools, strict=True):
        check(reply, own)


@pytest.mark.parametrize("format", ["date", "email", "ipv4", "ipv6", "uuid"])
def test_formats_are_enforced_as_others_check_them(model: Transformer, format: str) -> None:
    tool = one("f", {"type": "string", "format": format})
    checker = jsonschema.FormatChecker()
    assert format in checker.checkers
    for reply in replies(model, [[tool]] * 12, max_new_tokens=150):
        for call in check(reply, [tool]):
            # Python's calendar begins with year 1.
            text = re.sub("^0000", "2000", call.arguments["x"])
            checker.check(text, format)


def test_free_reply_of_random_model_is_never_half_a_call(model: Transformer) -> None:
    def boosted(index: int) -> CallConstraint:
        return constraint_for([WEATHER], LLAMA3, DEMO)

    decoding = Decoding((STOP,), 60, temperature=1.5)
    for _, reply in complete(model, [[i, 3] for i in range(40)], decoding, constraint=boosted):
        if reply.stop is not None:
            assert parse_reply(DEMO.decode(reply.tokens), LLAMA3).problem is None


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_constrained_row_does_not_depend_on_its_neighbours(
    model: Transformer, temperature: float
) -> None:
    tools = [[WEATHER], [CLOCK, one("f", {"type": "object"})], [one("g", {"type": "number"})]]
    together = replies(model, tools, temperature=temperature, max_new_tokens=50)
    assert (
        replies(model, tools, temperature=temperature, max_new_tokens=50, batch_size=1) == together
    )


def test_a_padded_embedding_says_no_token_that_is_not_there() -> None:
    logits = torch.zeros(DEMO.vocab_size + 64)
    constraint_for([WEATHER], LLAMA3, DEMO).restrict(logits, 10)
    assert (logits[DEMO.vocab_size :] == float("-inf")).all()
    assert (logits == 0).any()


def test_rows_without_a_constraint_stay_free(model: Transformer) -> None:
    decoding = Decoding((STOP,), 20)
    prompts = [[5, 3], [6, 3], [7, 3]]
    free = dict(complete(model, prompts, decoding))
    rule: Callable[[int], CallConstraint | None] = lambda index: (  # noqa: E731
        constraint_for([WEATHER], LLAMA3, DEMO, forced=True) if index == 1 else None
    )
    mixed = dict(complete(model, prompts, decoding, constraint=rule))
    assert (mixed[0], mixed[2]) == (free[0], free[2])
    assert mixed[1] != free[1]


def test_mask_over_llama_3_vocabulary_is_that_of_its_tokens(shared: Path) -> None:
    tokenizer = load_tokenizer(shared / "tokenizers" / "llama3")
    constraint = constraint_for([WEATHER], LLAMA3, tokenizer, forced=True)
    text = says(ToolCall("weather", {"city": "Lyon 名前 😀"}))
    for token in [*tokenizer.encode(text), stop_ids(LLAMA3, tokenizer)[0]]:
        logits = torch.zeros(tokenizer.vocab_size)
        constraint.restrict(logits, 1000)
        assert logits[token] == 0
        assert logits[tokenizer.special_tokens["<|begin_of_text|>"]] == float("-inf")
        assert constraint.accept(token, 1000)
    assert len(constraint.seconds) == len(tokenizer.encode(text)) + 1


@pytest.mark.parametrize("depth", [300, 600])
def test_only_schemas_nested_too_deep_are_refused(depth: int) -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        deep = {"type": "object", "properties": {"a": deep}}
    offered = [Conversation((), (tool,)) for tool in (WEATHER, Tool("deep", "", deep))]
    (index, reason), *others = refusals(offered, LLAMA3, DEMO).items()
    assert (index, others) == (1, [])
    assert reason.startswith("tool deep cannot be constrained: ") and "deep" in reason[30:]
    assert len(reason) < 500


def test_end_of_document_ends_a_reply_like_a_stop_token(model: Transformer) -> None:
    specials = DEMO.special_tokens.values()

    def allowed(text: str) -> set[int]:
        constraint = constraint_for([WEATHER], LLAMA3, DEMO)
        for token in DEMO.encode(text):
            assert constraint.accept(token, 1000)
        logits = torch.zeros(DEMO.vocab_size)
        constraint.restrict(logits, 1000)
        return {token for token in specials if logits[token] == 0}

    call = says(ToolCall("weather", {"city": "Lyon"}))
    assert allowed("It rains") == allowed(call) == {*STOPS}
    assert allowed(call[:-3]) == set()
    # A call that is hurried ends as the model was taught.
    hurried = constraint_for([WEATHER], LLAMA3, DEMO, forced=True)
    prompt = Decoding(STOPS, max_new_tokens=60)
    ((_, reply),) = complete(model, [[1, 2, 3]], prompt, constraint=lambda _: hurried)
    assert reply.stop == STOP


UNANCHORED: list[dict[str, Any]] = [
    {"type": "string", "pattern": "[0-9]{3}"},
    {"type": "string", "pattern": r"\d{3}-\d{4}"},
    {"type": "string", "pattern": r"\.csv$"},
    {"type": "string", "pattern": "foo.*bar"},
    {"type": "string", "format": "duration"},
    {"type": "string", "allOf": [{"pattern": "[0-9]{2}"}, {"pattern": "[A-Z]{2}"}]},
    {"type": "integer", "multipleOf": 100},
]


def test_calls_with_open_patterns_are_whole_in_their_room(model: Transformer) -> None:
    tools = [[one("f", schema)] for schema in UNANCHORED for _ in range(2)]
    for reply, own in zip(replies(model, tools, max_new_tokens=60), tools, strict=True):
        check(reply, own)


def test_schema_whose_shortest_value_has_no_room_is_named() -> None:
    long = one("f", {"type": "string", "minLength": 200})
    with pytest.raises(ValueError, match="/properties/x takes more than the 80 tokens"):
        constraint_for([long], LLAMA3, DEMO, forced=True, room=80)
    constraint_for([long], LLAMA3, DEMO, forced=True, room=300)
    constraint = constraint_for([long, WEATHER], LLAMA3, DEMO, forced=True, room=80)
    assert not fits(constraint, says(ToolCall("f", {"x": "a" * 200})))


def test_pattern_with_too_many_open_places_is_named() -> None:
    wide = one("f", {"type": "string", "pattern": "^(.{0,30}a){0,30}$"})
    with pytest.raises(ValueError, match=r"/properties/x/pattern is followed at .* places at once"):
        constraint_for([wide], LLAMA3, DEMO)


def test_schema_that_takes_too_much_work_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "MOST_WORK", 900)
    heavy = one("heavy", {"type": "array", "minItems": 90, "items": {"enum": ["xy", "z"]}})
    with pytest.raises(ToolRefused, match="/properties/x takes more than 900 steps") as told:
        constraint_for([WEATHER, heavy], LLAMA3, DEMO)
    assert told.value.tool == "heavy"
    wide = one("wide", {"type": "string", "pattern": "[a-f].{40}[0-9].{40}z"})
    with pytest.raises(ToolRefused, match="/properties/x/pattern takes more than"):
        constraint_for([wide], LLAMA3, DEMO)
    # Each preparation has its own bound, and a tool that may be free is so.
    constraint = constraint_for([WEATHER, heavy], LLAMA3, DEMO, free={"heavy"})
    assert fits(constraint, says(ToolCall("heavy", {"x": 1})))


def test_tools_together_may_take_too_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "MOST_WORK", 900)
    long = [one(f"long{i}", {"type": "string", "minLength": 90 + i}) for i in range(9)]
    constraint_for(long[:1], LLAMA3, DEMO)
    with pytest.raises(ToolRefused, match=r"tool long[1-9] cannot be constrained: /properties/x"):
        constraint_for(long, LLAMA3, DEMO)


def test_call_without_room_is_not_opened() -> None:
    call = says(ToolCall("weather", {"city": "Lyon"}))
    assert fits(constraint_for([WEATHER], LLAMA3, DEMO), call)
    assert not fits(constraint_for([WEATHER], LLAMA3, DEMO), call, room=12)


def test_call_is_ended_when_its_grammar_takes_too_long() -> None:
    wide = [{"pattern": "[a-f].{10}[0-9]"}, {"pattern": "[g-z].{11}[A-Z]"}]
    tool = one("f", {"type": "string", "allOf": wide})
    constraint = constraint_for([tool], LLAMA3, DEMO, forced=True)
    said, room = list[int](), 150
    while not said or said[-1] not in STOPS:
        logits = torch.randn(DEMO.vocab_size, generator=torch.Generator().manual_seed(room))
        constraint.restrict(logits, room)
        while not constraint.accept(token := int(logits.argmax()), room - 1):
            logits[token] = float("-inf")
            constraint.restrict(logits, room)
        said.append(token)
        room -= 1
    assert constraint._ends and room > 0
    check(Completion(said[:-1], said[-1]), [tool])
