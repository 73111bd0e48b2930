"""The replies that the serve check writes through a chat format: one of each shape."""

from typing import NamedTuple

from chat.conversation import Message, Tool, ToolCall


class Shape(NamedTuple):
    """An assistant's turn of one shape."""

    name: str
    message: Message


def _tool(name: str, description: str, *required: str, **properties: str) -> Tool:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(required),
    }
    return Tool(name, description, schema)


# What the calls below call; SGLang drops calls of tools that a request does not name.
TOOLS = (
    _tool("get_weather", "Weather of a city.", "city", city="string", days="integer"),
    _tool("get_time", "The time now."),
    _tool("find_flights", "Search flights.", "route", route="object", options="array"),
    _tool("save_note", "Store a text.", "text", text="string"),
)

_WEATHER = ToolCall("get_weather", {"city": "Oslo", "days": 3})
_TIME = ToolCall("get_time", {})
_FLIGHTS = ToolCall(
    "find_flights",
    {
        "route": {"from": "OSL", "to": {"airport": "HND", "terminals": [1, 3]}},
        "options": [{"direct": True, "price": 199.5}, {"direct": False, "price": None}],
    },
)


def _note(text: str) -> ToolCall:
    return ToolCall("save_note", {"text": text})


def _turn(content: str, *calls: ToolCall) -> Message:
    return Message("assistant", content, calls)


# Markers of the formats themselves, brackets, quotes and white space, all inside one argument.
_MARKERS = (
    'He wrote <tool_call> {"name": "x"} </tool_call>, [TOOL_CALLS] [1], ]} and {, "quoted", '
    "'single', C:\\new\n</tool_call>\n\t<functioncall> </calls> {\"tool_uses\": []}; the end"
)

SHAPES = (
    Shape("text", _turn("It is sunny in Oslo.\n\nTake a hat!")),
    Shape("empty reply", _turn("")),
    Shape("text that is JSON", _turn('{"temperature": 21, "unit": "C"}')),
    Shape("text with braces", _turn("Write {name} for the name, and [1] for a footnote.")),
    Shape("one call", _turn("", _WEATHER)),
    Shape("parallel calls", _turn("", _WEATHER, _note("Oslo"), _WEATHER)),
    Shape("text beside a call", _turn("I will look that up.", _WEATHER)),
    Shape("text beside calls", _turn("First this,\nthen that:", _note("a"), _note("b"))),
    Shape("no arguments", _turn("", _TIME)),
    Shape("no arguments, then a call", _turn("", _TIME, _WEATHER)),
    Shape("nested arguments", _turn("", _FLIGHTS)),
    Shape("unicode", _turn("", _note("Tromsø 東京 🌦️ \u200f\u2028 é"))),
    Shape(
        "20 digits",
        _turn("", ToolCall("get_weather", {"city": "Oslo", "days": 12345678901234567890})),
    ),
    Shape("markers in an argument", _turn("", _note(_MARKERS))),
    Shape("brackets in an argument", _turn("", _note('a ] b } c ] "d" { e ['))),
)
