import pytest

from chat.tokenizers.tokenizer import load_tokenizer
from demo.making.bpe import tiktoken_lines
from demo.making.text.lexicon import ALL_WORDS
from demo.making.text.stream import TASKS
from demo.making.text.vocabulary import STRUCTURE, joins, pretraining_vocabulary

SIZE = 1400


@pytest.fixture(scope="module")
def tokens():
    return pretraining_vocabulary(TASKS, SIZE, conversations=300)


@pytest.fixture(scope="module")
def tokenizer(tokens, tmp_path_factory):
    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    file.write_text(tiktoken_lines(tokens), encoding="utf-8")
    return load_tokenizer(file)


def test_the_vocabulary_holds_every_byte_and_no_token_twice(tokens):
    assert len(set(tokens)) == len(tokens) == SIZE
    assert tokens[:256] == [bytes([value]) for value in range(256)]


def test_the_same_text_gives_the_same_tokens(tokens):
    assert tokens == pretraining_vocabulary(TASKS, SIZE, conversations=300)


def test_a_blank_or_underscore_does_not_change_a_words_pieces(tokenizer):
    whole = {word[:3] for word in STRUCTURE.split()}
    ordinary = [word for word in ALL_WORDS if word[:3] not in whole]
    assert len(ordinary) > 1000
    for word in ordinary:
        bare, *others = (
            [tokenizer.decode([token]) for token in tokenizer.encode(sign + word)]
            for sign in ("", " ", "_")
        )
        for sign, pieces in zip(" _", others, strict=True):
            if pieces[0] == sign:
                assert pieces[1:] == bare
            else:
                assert pieces == [sign + bare[0], *bare[1:]]


def test_structure_words_are_one_token_each(tokenizer):
    for text in ("assistant", "system", "user", "\n\n", "functions", "integer"):
        assert len(tokenizer.encode(text)) == 1


def test_joins_follow_the_ranks():
    ranks = {b"bc": 0, b"ab": 1, b"abc": 2}
    assert joins(b"abc", ranks) == [[b"a", b"b", b"c"], [b"a", b"bc"], [b"abc"]]
    assert joins(b"xyz", ranks) == [[b"x", b"y", b"z"]]
