"""Type names of other languages as JSON Schema, known and unknown ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.schemas.type_names import read_type, union


def check_schema(schema: Any) -> None:
    """Fail unless this is a schema of draft 2020-12."""
    # Imported here, so that pytest can collect this file without jsonschema.
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema)


STRINGS = {"type": "array", "items": {"type": "string"}}
PAIR = {
    "type": "array",
    "prefixItems": [{"type": "integer"}, {"type": "string"}],
    "minItems": 2,
    "maxItems": 2,
}


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("str", {"type": "string"}),
        ("String", {"type": "string"}),
        ("STRING", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("long", {"type": "integer"}),
        ("Bigint", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("Double", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("Boolean", {"type": "boolean"}),
        ("dict", {"type": "object"}),
        ("HashMap", {"type": "object"}),
        ("Hashtable", {"type": "object"}),
        ("list", {"type": "array"}),
        ("ArrayList", {"type": "array"}),
        ("Queue", {"type": "array"}),
        ("Set", {"type": "array", "uniqueItems": True}),
        ("None", {"type": "null"}),
        ("any", {}),
        ("List[str]", STRINGS),
        ("typing.List[str]", STRINGS),
        ("java.util.ArrayList<String>", STRINGS),
        ("Array.<string>", STRINGS),
        ("String[]", STRINGS),
        ("string...", STRINGS),
        ("array of strings", STRINGS),
        ("List(str)", STRINGS),
        ("int[][]", {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        ("Set[int]", {"type": "array", "uniqueItems": True, "items": {"type": "integer"}}),
        ("Tuple[int, str]", PAIR),
        ("List[Tuple[int, str]]", {"type": "array", "items": PAIR}),
        ("Tuple[str, ...]", STRINGS),
        ("Dict[str, Any]", {"type": "object"}),
        ("Dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("HashMap<String, List<String>>", {"type": "object", "additionalProperties": STRINGS}),
        ("Union[int, float]", {"type": ["integer", "number"]}),
        ("string | number", {"type": ["string", "number"]}),
        ("str or int", {"type": ["string", "integer"]}),
        ("Union[int, List[str]]", {"anyOf": [{"type": "integer"}, STRINGS]}),
        ("Optional[str]", {"type": ["string", "null"]}),
        ("string?", {"type": ["string", "null"]}),
        ("Literal['a', \"b\"]", {"type": "string", "enum": ["a", "b"]}),
        ("Literal[1, 'b', None]", {"enum": [1, "b", None]}),
        ("enum(a|b)", {"type": "string", "enum": ["a", "b"]}),
        ("enum<a/b>", {"type": "string", "enum": ["a", "b"]}),
        ("'a' | 'b'", {"anyOf": [{"type": "string", "enum": [v]} for v in "ab"]}),
    ],
)
def test_type_name_with_a_json_counterpart_is_exact(name: str, schema: dict[str, Any]) -> None:
    found = read_type(name)
    assert dict(found.schema) == schema and found.exact


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("tuple", {"type": "array"}),
        ("char", {"type": "string"}),
        ("datetime.datetime", {"type": "string"}),
        ("np.ndarray", {"type": "array"}),
        ("Dict[int, str]", {"type": "object", "additionalProperties": {"type": "string"}}),
        ("Callable[[int, str], bool]", {}),
        ("pd.DataFrame", {}),
        ("MyClass<String>", {}),
        ("Tuple[()]", {"type": "array"}),
        ("DATE (YYYY-MM-DD)", {"type": "string"}),
        ("int, float", {"type": ["integer", "number"]}),
        ("a string with the date", {"type": "string"}),
        ("List[", {"type": "array"}),
        ("x" * 10_000, {}),
        ("[" * 10_000, {}),
        ("", {}),
    ],
)
def test_richer_or_unknown_type_name_is_not_exact(name: str, schema: dict[str, Any]) -> None:
    found = read_type(name)
    assert dict(found.schema) == schema and not found.exact


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("int, optional", True),
        ("optional int", True),
        ("int (optional)", True),
        ("(int, optional)", True),
        ("int, default 5", False),
        ("int, optional, default: 5", False),
    ],
)
def test_optional_or_default_remark_makes_a_type_optional(name: str, exact: bool) -> None:
    found = read_type(name)
    assert (dict(found.schema), found.optional, found.exact) == ({"type": "integer"}, True, exact)
    assert not read_type("int, required").optional
    assert read_type("Optional[int]").optional


def test_union_with_an_empty_schema_is_empty() -> None:
    assert union([{"type": "string"}, {}]) == {}
    assert union([]) == {}
    assert union([{"type": "string"}, {"type": "string"}]) == {"type": "string"}


@given(st.text(max_size=40) | st.text(alphabet="Listtr[](),|<>?. 'int", max_size=30))
def test_any_text_is_read_as_a_valid_schema(text: str) -> None:
    check_schema(dict(read_type(text).schema))


@pytest.mark.parametrize(
    "text", ["map of strings", "dict[str; int]", "list[int", "(int]", "a b", "list[int)"]
)
def test_a_name_of_no_known_grammar_is_not_exact(text: str) -> None:
    assert not read_type(text).exact


@pytest.mark.parametrize(
    "name", ["Literal[['a', M]'a', M]", "enum((", "enum[(a)]", "Literal[]", "enum()"]
)
def test_literals_that_are_none_say_nothing_exact(name: str) -> None:
    found = read_type(name)
    assert not found.exact and "enum" not in found.schema
