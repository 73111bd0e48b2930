from demo.making.text.lexicon import ALL_WORDS, HELD_OUT, SEEN, is_held_out


def words_of(lexicon):
    return {*lexicon.nouns, *lexicon.verbs, *lexicon.adjectives}


def test_no_word_of_the_probes_is_a_word_of_training():
    assert not words_of(SEEN) & words_of(HELD_OUT)
    assert words_of(SEEN) | words_of(HELD_OUT) == set(ALL_WORDS)


def test_about_an_eighth_of_each_kind_is_held_out():
    for seen, held in zip(vars(SEEN).values(), vars(HELD_OUT).values(), strict=True):
        assert 0.07 < len(held) / (len(seen) + len(held)) < 0.2


def test_holding_out_a_word_depends_on_that_word_alone():
    """Adding words to the lexicon must not move others from one part to the other."""
    assert [word for word in ("cart", "parcel", "weather", "wind") if is_held_out(word)] == []
    assert is_held_out(HELD_OUT.nouns[0])
