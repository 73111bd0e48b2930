"""Java and JavaScript source text is read as BFCL's checker reads it."""

import pytest

from evaluation.scoring.bfcl_literals import read_java, read_javascript


@pytest.mark.parametrize(
    ("text", "kind", "inner", "value"),
    [
        ("12", "integer", None, 12),
        ("12.0", "integer", None, "12.0"),
        ("7L", "long", None, 7),
        ("7", "long", None, "7"),
        ("2.5f", "float", None, 2.5),
        ("2.5", "float", None, "2.5"),
        ("2.5e3", "double", None, 2500.0),
        ("true", "boolean", None, True),
        ("True", "boolean", None, "True"),
        ("'k'", "char", None, "'k'"),
        ('"text"', "String", None, '"text"'),
        ("new int[]{3, 1}", "Array", "integer", [3, 1]),
        ('new Object[]{1, "a", true}', "Array", None, [1, "a", True]),
        ("{3, 1}", "Array", "integer", "{3, 1}"),
        ('new ArrayList<>(Arrays.asList("a", "b"))', "ArrayList", "String", ["a", "b"]),
        ("new ArrayList<Long>() {{ add(5L); add(6L); }}", "ArrayList", "long", [5, 6]),
        ("new ArrayList<>()", "ArrayList", "String", []),
        ("List.of(1)", "ArrayList", "integer", "List.of(1)"),
        ('new HashMap<>() {{ put("a", 1); put("b", "x"); }}', "HashMap", None, {"a": 1, "b": "x"}),
        ("new HashMap<String, Object>()", "HashMap", None, {}),
        ("myMap", "HashMap", None, "myMap"),
    ],
)
def test_java_literals_become_python_values(
    text: str, kind: str, inner: str | None, value: object
) -> None:
    found = read_java(text, kind, inner)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "inner", "value"),
    [
        ("'a b'", "String", None, "a b"),
        ("a b", "String", None, "a b"),
        ("4", "float", None, 4.0),
        ("12n", "Bigint", None, 12),
        ("false", "Boolean", None, False),
        ("[1, 'two', true]", "array", None, [1, "two", True]),
        ("new Array(1.5, 2)", "array", "float", [1.5, 2.0]),
        ("[[1, 2], [3]]", "array", "array", [[1, 2], [3]]),
        ("new Array([1], [2])", "array", None, [[1], [2]]),
        ("[]", "array", "String", []),
        ("items", "array", "String", "items"),
        ("{'a': 1, b: true, c: [x, 'y']}", "dict", None, {"a": 1, "b": True, "c": ["x", "y"]}),
        ("{}", "dict", None, {}),
        ("5", "any", None, "5"),
    ],
)
def test_javascript_literals_become_python_values(
    text: str, kind: str, inner: str | None, value: object
) -> None:
    found = read_javascript(text, kind, inner)
    assert (found, type(found)) == (value, type(value))


def test_unknown_type_raises_with_its_name() -> None:
    with pytest.raises(ValueError, match="BFCL reads no Java Queue"):
        read_java("q", "Queue")
    with pytest.raises(ValueError, match="BFCL reads no JavaScript Map"):
        read_javascript("m", "Map")


def test_unclosed_list_of_lists_does_not_take_exponential_time() -> None:
    """The pattern that describes such lists would take 2^n steps here."""
    text = "[[1]" + ",[1]" * 500 + "x"
    assert read_javascript(text, "array") == ["[1"]
