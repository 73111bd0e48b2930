import re

from demo.making.text.lexicon import HELD_OUT, SEEN
from demo.making.text.names import Words
from synthesis.dice import Dice


def test_invented_names_hardly_ever_repeat():
    words = Words(Dice("names", 1), SEEN)
    names = [words.unknown() for _ in range(2000)]
    assert len(set(names)) > 1980


def test_pieces_of_the_vocabulary_come_into_names_when_given():
    words = Words(Dice("names", 2), SEEN, pieces=("qqx",))
    assert any("qqxqqx" in words.invented() for _ in range(50))
    without = Words(Dice("names", 2), SEEN)
    assert not any("qqx" in without.invented() for _ in range(200))


def test_words_are_of_the_lexicon_that_was_given():
    words = Words(Dice("names", 3), HELD_OUT)
    known = {*HELD_OUT.nouns, *HELD_OUT.adjectives}
    assert all(set(words.thing().split()) <= known for _ in range(200))


def test_identifiers_and_codes_hold_no_blank():
    words = Words(Dice("names", 4), SEEN)
    assert all(" " not in words.identifier() + words.code() for _ in range(200))


def test_strange_words_come_as_often_as_asked():
    words = Words(Dice("strange"), SEEN, ("par", "cel"), strange=0.4)
    drawn = [words.noun() for _ in range(1000)]
    known = sum(word in SEEN.nouns for word in drawn)
    assert 550 < known < 680
    assert all(re.fullmatch("[a-z]+", word) for word in drawn)
