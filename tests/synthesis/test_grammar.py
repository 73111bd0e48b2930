"""Phrase templates: what each mark means, and what is refused."""

import pytest

from synthesis.dice import Dice
from synthesis.grammar import (
    expand,
    joined,
    marked,
    parse,
    plain,
    shown,
    skeleton,
    slot_name,
    slot_of,
    spoken,
    telling,
)


def write(template: str, **values: object) -> str:
    return expand(template, values, Dice("test"))


def test_a_slot_is_replaced_and_a_path_walks_into_results() -> None:
    events = [{"title": "lunch"}, {"title": "talk"}]
    assert write("in {city}", city="Oslo") == "in Oslo"
    assert write("{events.title} {first.title}", events=events, first=events[0]) == (
        "lunch and talk lunch"
    )
    with pytest.raises(KeyError, match="city"):
        write("in {city}")


@pytest.mark.parametrize("name", ["filter[name]", "$top", "a.b", "a-b", "a|b c", "{x}"])
def test_a_slot_may_have_any_name(name: str) -> None:
    template = f"[ of {slot_of(name)}][?{slot_name(name)} , yes]"
    assert write(template, **{name: "Oslo"}) == " of Oslo, yes"
    assert write(template) == ""
    assert shown(template, frozenset({name})) == {name}


def test_alternatives_are_all_chosen_sooner_or_later() -> None:
    dice = Dice("all")
    found = {expand("(a|b (c|d)|)!", {}, dice) for _ in range(200)}
    assert found == {"a!", "b c!", "b d!", "!"}


def test_an_optional_part_stands_only_with_all_its_values() -> None:
    template = "go[ to {city}[ on {date}]]."
    assert write(template) == "go."
    assert write(template, city="Oslo") == "go to Oslo."
    assert write(template, city="Oslo", date="Friday") == "go to Oslo on Friday."
    assert write(template, date="Friday") == "go."


def test_a_conditional_part_follows_the_truth_of_its_value() -> None:
    template = "turn it [?on on][!on off]"
    assert write(template, on=True) == "turn it on"
    assert write(template, on=False) == write(template) == "turn it off"


@pytest.mark.parametrize("template", ["(a|b", "a)", "[a", "a]", "{a", "(a]", "a } b"])
def test_a_bracket_without_its_partner_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="without its partner in the template"):
        parse(template)


@pytest.mark.parametrize(
    ("template", "given", "told"),
    [
        ("weather in {city}", {"city"}, {"city"}),
        ("weather in {city}", set(), None),
        ("weather[ in {city}]", set(), set()),
        ("(in {city}|there)", {"city"}, set()),
        ("(in {city}|for {city})", {"city"}, {"city"}),
        ("[?urgent now]", {"urgent"}, {"urgent"}),
        ("[ from {a} to {b}]", {"a"}, set()),
    ],
)
def test_shown_returns_the_slots_a_template_always_tells(
    template: str, given: set[str], told: set[str] | None
) -> None:
    assert shown(template, frozenset(given)) == told


def test_the_templates_that_name_a_slot_are_preferred() -> None:
    assert telling(("done", "{city} is done"), "city") == ("{city} is done",)
    assert telling(("done", "ready"), "city") == ("done", "ready")


def test_values_are_spoken_as_in_a_sentence() -> None:
    assert spoken([1.0, 2.5, "x"]) == "1, 2.5 and x"
    assert spoken(True) == "yes"
    assert joined(["a", "b"], "or") == "a or b"
    assert spoken({"room_size": 3, "name": "x"}) == "room size 3, name x"


def test_a_skeleton_masks_values_and_digits_that_plain_text_shows() -> None:
    text = f"hello. fly to {marked('Oslo 2')} at 15:30"
    assert plain(text) == "Hello. Fly to Oslo 2 at 15:30"
    assert skeleton(text) == "hello. fly to _ at #:#"


def test_a_value_is_not_capitalised_at_a_sentence_start() -> None:
    assert plain(f"sure. {marked('anna.k')} it is") == "Sure. anna.k it is"
