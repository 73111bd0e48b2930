"""Text that is encoded in pieces has the ids of the whole, and no piece is too long."""

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.tokenizers.ordinary_text import LONG_TEXT, LONGEST_RUN, MOST_CHARACTERS, _short_pieces
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import load_tokenizer

BLANKS = ["\n\n", "\n", "\n\n\n", " ", "\r\n", "\x0b", "\x1c", "\x85", "\u00a0", "//", ";"]
WORDS = [
    "'",
    '"',
    "\\",
    "\t",
    "{",
    "}",
    ":",
    ",",
    "\x00",
    "<|eot_id|>",
    "functions.",
    "a",
    "word",
    "0",
    "名前",
]


def test_text_encoded_by_paragraphs_has_the_ids_of_the_whole(ranks_file: Path) -> None:
    tokenizer = load_tokenizer(ranks_file)
    assert isinstance(tokenizer, TiktokenTokenizer)
    draw = random.Random(0)
    long = 0
    for number in range(4_000):
        length = draw.randrange(12 if number % 2 else 400)
        text = "".join(draw.choice(draw.choice((BLANKS, WORDS))) for _ in range(length))
        long += len(text) >= LONG_TEXT
        assert tokenizer.encode(text) == tokenizer.encoding.encode_ordinary(text), repr(text)
    assert long > 500


def test_text_is_cut_at_the_longest_run_and_length() -> None:
    text = "ab " + "x" * (2 * LONGEST_RUN + 1) + " " * LONGEST_RUN + "end"
    lengths = [len(piece) for piece in _short_pieces(text)]
    assert lengths == [3 + LONGEST_RUN, LONGEST_RUN, 1 + LONGEST_RUN + 3]
    words = "word " * (MOST_CHARACTERS // 5)
    assert [len(piece) for piece in _short_pieces(words + "x")] == [MOST_CHARACTERS, 1]


@tries(60)
@given(runs=st.lists(st.tuples(st.sampled_from("a \n漢"), st.integers(1, 60_000)), max_size=5))
def test_pieces_join_to_the_text_and_hold_no_long_run(
    runs: list[tuple[str, int]],
) -> None:
    text = "".join(character * length for character, length in runs)
    pieces = list(_short_pieces(text))
    assert "".join(pieces) == text
    for piece in pieces:
        blanks = "".join("s" if character.isspace() else "x" for character in piece)
        runs_found = blanks.replace("sx", "s x").replace("xs", "x s").split(" ")
        assert max(map(len, runs_found)) <= LONGEST_RUN
