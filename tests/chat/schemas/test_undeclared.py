"""Names that no schema has, at the top and inside objects."""

from typing import Any

import pytest

from chat.conversation import Tool
from chat.schemas.patterns import TooCostly
from chat.schemas.undeclared import undeclared_names
from chat.schemas.validation import validate_arguments
from chat.schemas.work import VALUES_GRANTED

TOWN: dict[str, Any] = {"type": "object", "properties": {"town": {"type": "string"}}}
STRAY, KNOWN = {"town": "Lille", "planet": "Mars"}, {"town": "Lille"}


def undeclared(inner: Any, value: Any, **root: Any) -> list[str]:
    """The pointers to undeclared names of a call `{"to": value}`, which fits otherwise."""
    tool = Tool("f", "", {"type": "object", "properties": {"to": inner}, **root})
    problems = validate_arguments(tool, {"to": value})
    assert {problem.rule for problem in problems} <= {"undeclared"}
    return [problem.pointer for problem in problems]


@pytest.mark.parametrize(
    ("inner", "value", "where"),
    [
        (TOWN, STRAY, "/to/planet"),
        ({"type": "array", "items": TOWN}, [KNOWN, STRAY], "/to/1/planet"),
        ({"type": "array", "prefixItems": [TOWN]}, [STRAY], "/to/0/planet"),
        ({"type": "object", "additionalProperties": TOWN}, {"a": STRAY}, "/to/a/planet"),
        ({"type": "object", "properties": {"at": TOWN}}, {"at": STRAY}, "/to/at/planet"),
        ({"anyOf": [TOWN, {"type": "null"}]}, STRAY, "/to/planet"),
        ({"oneOf": [TOWN, {"type": "string"}]}, STRAY, "/to/planet"),
        ({"$ref": "#/$defs/Town"}, STRAY, "/to/planet"),
        ({"allOf": [{"$ref": "#/$defs/Town"}], "default": None}, STRAY, "/to/planet"),
    ],
)
def test_undeclared_name_inside_a_closed_object_is_found(
    inner: Any, value: Any, where: str
) -> None:
    assert undeclared(inner, value, **{"$defs": {"Town": TOWN}}) == [where]


@pytest.mark.parametrize(
    "inner",
    [
        {"type": "object"},
        {"type": "object", "properties": {}},
        {**TOWN, "additionalProperties": True},
        {**TOWN, "additionalProperties": {"type": "string"}},
        {**TOWN, "patternProperties": {"^p": {"type": "string"}}},
        {**TOWN, "anyOf": [{"required": ["planet"]}, {"required": ["town"]}]},
        {"allOf": [TOWN, {"properties": {"planet": {"type": "string"}}}]},
        {"anyOf": [TOWN, {"type": "object"}]},
        {"anyOf": [TOWN, {"properties": {"town": {}, "planet": {}}}]},
        {},
        True,
    ],
)
def test_open_object_takes_any_name(inner: Any) -> None:
    assert undeclared(inner, STRAY) == []


def test_chain_of_unions_is_searched_once_a_value() -> None:
    places = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    assert undeclared({"$ref": "#/$defs/d0"}, STRAY, **{"$defs": {**places, "d40": TOWN}}) == [
        "/to/planet"
    ]


def test_a_search_with_too_many_looks_is_too_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.schemas.undeclared.CHECKS_A_VALUE", 2)
    options = [{"properties": {"town": {}}} for _ in range(2 * (VALUES_GRANTED + 5))]
    schema = {"type": "object", "properties": {"to": {"anyOf": options}}}
    with pytest.raises(TooCostly, match="finding undeclared names takes more than 2 looks"):
        undeclared_names(schema, {"to": STRAY})
