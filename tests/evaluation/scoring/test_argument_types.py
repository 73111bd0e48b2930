"""Arguments by the type that their tool declares."""

import pytest

from chat.conversation import Tool, ToolCall
from evaluation.scoring.argument_types import argument_type, by_argument_type
from evaluation.scoring.calls import score

KINDS = {
    "city": {"type": "string"},
    "days": {"type": "integer"},
    "unit": {"type": "string", "enum": ["C", "F"]},
    "wind": {"type": ["boolean", "null"]},
    "near": {"anyOf": [{"type": "string"}]},
    "odd": True,
}
TOOL = Tool("weather", "", {"type": "object", "properties": KINDS})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("city", "string"),
        ("days", "integer"),
        ("unit", "enumeration"),
        ("wind", "boolean"),
        ("near", "any"),
        ("odd", "any"),
        ("hour", "undeclared"),
    ],
)
def test_argument_type_is_read_from_the_tool_schema(name: str, kind: str) -> None:
    assert argument_type([TOOL], "weather", name) == kind
    assert argument_type([TOOL], "time", name) == "undeclared"


def test_only_wanted_arguments_are_counted_by_type() -> None:
    wanted = ToolCall("weather", {"city": "Lyon", "days": 2, "unit": "C"})
    right = score([wanted], [wanted])
    near = score([wanted], [ToolCall("weather", {"city": "Lyon", "days": 3, "wind": True})])
    silent = score([wanted], [])
    needless = score([], [wanted])
    found = by_argument_type((verdict, [TOOL]) for verdict in (right, near, silent, needless))
    counts = {kind: (figure.hits, figure.count) for kind, figure in found.items()}
    assert counts == {"string": (2, 3), "integer": (1, 3), "enumeration": (1, 3)}
