"""What a text or a number under way lacks is found, and nothing longer than it must be."""

import random
import re
import tracemalloc
from typing import Any

import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from inference.constrain import automaton as automata
from inference.constrain import completions
from inference.constrain.automaton import FAR, automaton_of
from inference.constrain.completions import Completions, TextUnderWay
from inference.constrain.kept import Kept

PATTERNS = ["[0-9]{3}", r"\.csv$", "(a|b)", "foo.*bar", "^a+b?$", "x|^y$", "^(a{1,3}b){2}$", "é"]


def completed(written: str, **schema: Any) -> list[str]:
    """The texts that are proposed for a text that was begun, each as a whole."""
    text = TextUnderWay(Completions([{"type": "string", **schema}]).texts)
    for value in written.encode():
        text.feed(value)
    return [written + found.decode().removesuffix('"') for found in text.completions()]


@pytest.mark.parametrize(
    ("pattern", "written", "length"),
    [
        ("[0-9]{3}", "", 3),
        ("[0-9]{3}", "call 01", 8),
        ("[0-9]{3}", "0123 and", 8),
        (r"\.csv$", "a.cs", 5),
        (r"\.csv$", "a.csv.", 9),
        ("foo.*bar", "foo ba", 7),
        ("^a.*[0-9]{4}.*z{3}$", "ab12z", 12),
        ("é{2}", "é", 2),
        ("^(a{1,50}b){1,50}$", "aa", 3),
    ],
)
def test_shortest_text_that_fits_is_proposed(pattern: str, written: str, length: int) -> None:
    (text,) = completed(written, pattern=pattern)
    assert re.search(pattern, text) and len(text) == length


def test_no_text_is_proposed_where_none_can_fit() -> None:
    assert completed("b", pattern="^a") == []
    assert completed("abcd", pattern="x", maxLength=4) == []


def test_lengths_and_several_patterns_are_met_together() -> None:
    texts = completed("1", allOf=[{"pattern": "[0-9]{2}"}, {"pattern": "[A-Z]"}], minLength=6)
    text = max(texts, key=len)
    assert re.search("[0-9]{2}", text) and re.search("[A-Z]", text) and len(text) == 6


@pytest.mark.parametrize("written", ["", "P1", "P1Y", "P1DT", "PT0H0", "P2Y3M"])
def test_durations_end(written: str) -> None:
    (text,) = completed(written, format="duration")
    assert re.fullmatch(r"P(?=.)(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?", text)


@pytest.mark.parametrize(("written", "multiple"), [("7", 100), ("-12", 7), ("123", 7919)])
def test_digits_make_a_multiple(written: str, multiple: int) -> None:
    numbers = Completions([{"multipleOf": multiple}]).numbers(written)
    assert [int(written + digits.decode()) % multiple for digits in numbers] == [0]


@tries(100)
@given(pattern=st.sampled_from(PATTERNS), text=st.text("ab01.csvfoxyé\n", max_size=12))
def test_automaton_takes_the_texts_of_its_pattern(pattern: str, text: str) -> None:
    automaton = automaton_of(pattern)
    assert automaton is not None
    states = automaton.start
    for character in text:
        states = automaton.step(states, character)
    found = re.search(pattern.replace("$", r"\Z"), text) is not None
    assert (automaton.distance(states) == 0) == found
    assert found or automaton.distance(states) > 0
    assert automaton.distance(frozenset()) == FAR


LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))


@pytest.mark.parametrize(
    "pattern", [r"\bword", "(?=a)", r"(a)\1", "(a", "(a{1,200}){200}", f"[{LETTERS}]", LETTERS]
)
def test_other_syntax_has_no_automaton(pattern: str) -> None:
    assert automaton_of(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["(){4000000000}b", "(?:){0,4000000000}b", "(()+){9,4000000000}b"]
)
def test_nothing_repeated_without_end_takes_no_time(pattern: str) -> None:
    assert completed("a", pattern=pattern) == ["ab"]


def test_width_is_not_followed_beyond_what_is_enough() -> None:
    automaton = automaton_of("(a?b?c?){1000}")
    assert automaton is not None and 600 < automaton.width(600) == len(automaton.start)


def test_kept_steps_of_a_wide_pattern_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step leads to some 100 states that no other leads to."""
    for module in (automata, completions):
        monkeypatch.setattr(module, "_STEPS", Kept(20_000))
    text = TextUnderWay(Completions([{"pattern": "a.{200}b"}]).texts)
    written = "".join(random.Random(0).choices("ac", k=3000))
    tracemalloc.start()
    for value in written.encode():
        text.feed(value)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 2**20
    (found,) = text.completions()
    assert re.search("a.{200}b", written + found.decode())


def test_rules_with_too_many_states_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "MOST_RULE_STATES", 1000)
    rules = Completions([{"pattern": "(ab){400}"}, {"pattern": "(ab){401}"}, {"pattern": "c"}])
    assert len(rules.texts) == 2 and rules.weight <= 1000
