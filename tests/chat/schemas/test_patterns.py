"""Patterns agree with Python's `re`, and every match ends within a bound."""

import random
import re

import pytest

from chat.schemas.patterns import LONGEST_TEXT, TooCostly, matches

PATTERNS = [
    *(r"^\d{4}-\d{2}-\d{2}$", r"^(?=.*[A-Z])(?=.*\d).{8,}$", r"^[^\s@]+@[^\s@]+\.[^\s@]+$"),
    *(r"^\+?[1-9]\d{1,14}$", r"^.{1,5000}$", r"^[\s\S]{1,10000}$", r"^\w{1,255}$"),
    *(r"^[\w\s-]{1,100}$", r"a{,3}b", r"{x}", r"a{", r"[\]\-a]", "[]a]", "[^]a]", "[a-]", "[-a]"),
    *(r"\bfoo\b", r"(?i)foo", r"(?P<q>.)(?P=q)", r"(.)\1", r"^\S+$", r"\Aab\Z", r"^\W+$"),
    *(r"[\W]", r"^[\W_]+$", r"[\D]", r"[^\W\d]", r"(?s)^.$", r"(?m)^b$", r"\x41", r"\u00e9"),
    *(r"\/", r"[\b]", r"(?<!a)b", r"(?<=a)b", "(?!x)", "a|b|", "x*?y", "(a|b)+?c", "^$", r"\."),
    *("[.]", "é", "[à-ü]+", "(?i:É)", r"\0", "a$", "(?:ab){2,3}c", r"\\", "😀", "[😀-😂]"),
    *(r"^[\d,.]+$", "a*+", "&&", "[a&&b]", "[$]", "\n", "(?i)ß", "#", "a{0}", "a{2,3}?", r"[\s]"),
]
TEXTS = [
    *("", "a", "b", "foo", "FOO", "a foo b", "É", "x\n", "a\n", "\n", "2024-01-02", "2024-01-02\n"),
    *("Passw0rdX", "x@y.z", "+4912345", "😀", "aa", "a-b", "{x}", "a{", "٣", "\x1c", "\xa0"),
    *(
        "a\nb\nc",
        "\\",
        "/",
        "\x00",
        "\x08",
        "ababc",
        "日本",
        "ß",
        "e\u0301",
        "²",
        "a b\u2028",
        "\r",
    ),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_matches_where_python_finds_a_match(pattern: str) -> None:
    draw = random.Random(pattern)
    made = (
        "".join(draw.choices("abxy01_ -.@é日\n😀A{}[]", k=draw.randrange(9))) for _ in range(60)
    )
    for text in (*TEXTS, *made):
        assert matches(pattern, text) == (re.search(pattern, text) is not None), text


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(\w|a)*$", r"(a*)*b$", r"^(?:a|a)+$"])
@pytest.mark.parametrize("end", ["!", "é!"])
def test_pattern_with_exponential_backtracking_is_matched_quickly(pattern: str, end: str) -> None:
    assert not matches(pattern, "a" * 5000 + end)


def test_look_around_with_too_many_steps_raises_too_costly() -> None:
    assert matches(r"^(?:(?=a)a+)+$", "a" * 40)
    with pytest.raises(TooCostly, match="takes too many steps"):
        matches(r"^(?:(?=a)a+)+$", "a" * 40 + "!")


def test_look_around_on_too_long_a_text_raises_too_costly() -> None:
    assert matches(r"(?=a)", "a" * LONGEST_TEXT)
    with pytest.raises(TooCostly, match="too long"):
        matches(r"(?=a)", "a" * (LONGEST_TEXT + 1))


@pytest.mark.parametrize(
    "pattern", ["(?#remark)a", r"\N{BULLET}", "(?x) a", "((a{100}){100}){100}b"]
)
def test_pattern_that_no_bounded_engine_supports_raises_too_costly(pattern: str) -> None:
    with pytest.raises(TooCostly, match="cannot be run within a bound"):
        matches(pattern, "a")


def test_lone_surrogate_matches_as_one_character() -> None:
    assert matches("^.$", "\ud800")


@pytest.mark.parametrize("pattern", [r"(a)(b)(c)\10", r"[a-\d]"])
def test_a_pattern_without_a_counterpart_raises_too_costly(pattern: str) -> None:
    with pytest.raises(TooCostly, match="cannot be run within a bound"):
        matches(pattern, "abc")
