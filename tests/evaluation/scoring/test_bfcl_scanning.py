"""Source text is cut at the same places as by the regular expressions of BFCL's checker."""

import random
import re

import pytest

from evaluation.scoring.bfcl_scanning import between, entries, puts

PIECES = ['put("', '",', ")", "))", "(", "add(", "[", "]", ":", ",", " ", "\n", "a", "1", '"', "\t"]


def made(seed: str) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randrange(1, 14))) for _ in range(3000)]


@pytest.mark.parametrize(
    ("opening", "closing", "least"), [(r"add\(", ")", 1), (r"\[", "]", 0), (r"add\(", "))", 1)]
)
def test_between_equals_the_plain_regular_expression(
    opening: str, closing: str, least: int
) -> None:
    plain = re.compile(f"{opening}(.{'+' if least else '*'}?){re.escape(closing)}")
    for text in made(opening + closing):
        assert list(between(text, re.compile(opening), closing, least)) == plain.findall(text)


def test_puts_equals_the_plain_regular_expression() -> None:
    plain = re.compile(r'put\("(.*?)",\s*(.*?)\)')
    for text in made("puts"):
        assert list(puts(text)) == plain.findall(text)


def test_entries_equals_the_plain_regular_expression() -> None:
    plain = re.compile(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)")
    for text in made("entries"):
        line = text.replace("\n", "")
        assert list(entries(line)) == plain.findall(line)
