from itertools import combinations

from demo.making.text.lexicon import SEEN
from demo.making.text.names import Words
from demo.making.text.tools import are_alike, draw_blanks, draw_domain
from synthesis import brief
from synthesis.dice import Dice


def words(index):
    return Words(Dice("tools", index), SEEN)


def test_drawn_tools_run_with_the_values_they_draw():
    for index in range(50):
        for tool in draw_domain(words(index), "field", 4).tools:
            dice = Dice("values", index)
            results = [
                tool.run(
                    {parameter.name: parameter.kind.draw(dice) for parameter in tool.parameters}
                )
                for _ in range(20)
            ]
            assert any("error" not in result for result in results)


def test_some_tools_take_what_others_give():
    fields = [draw_domain(words(index), "field", 4) for index in range(100)]
    assert 30 < sum(bool(field.chains) for field in fields) < 90


def test_names_that_are_taken_are_left_out():
    first = draw_domain(words(1), "field", 4)
    taken = frozenset({first.tools[0].name})
    again = draw_domain(words(1), "field", 4, taken)
    assert [tool.name for tool in again.tools] == [tool.name for tool in first.tools[1:]]


def test_blanks_of_a_tool_are_never_alike():
    for index in range(300):
        blanks = draw_blanks(words(index), 3)
        assert not any(are_alike(*pair) for pair in combinations(blanks, 2))


def test_two_keys_that_no_word_tells_apart_are_alike():
    bare, other = brief.blank("bag", str, "for {}"), brief.blank("oven", str, "with {}")
    assert are_alike(bare, other)
    assert not are_alike(bare, brief.blank("oven", str, "with the oven {}"))
    assert not are_alike(bare, brief.person("guest", "with"))
    assert are_alike(brief.person("author", "for"), brief.person("guest", "with"))
    assert not are_alike(brief.place("origin", "from"), brief.place("destination", "to"))


def test_keys_are_often_other_than_the_words_of_the_request():
    blanks = [blank for index in range(300) for blank in draw_blanks(words(index), 2)]
    told = sum(blank.name.rstrip("s") in blank.cue for blank in blanks)
    assert 0.2 < told / len(blanks) < 0.7
