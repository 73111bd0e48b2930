import base64
from itertools import pairwise
from pathlib import Path

import pytest

from chat.tokenizers.ranks import LLAMA3_PATTERN
from chat.tokenizers.tokenizer import load_tokenizer
from demo.making.bpe import tiktoken_lines, train_vocabulary

WORDS = r"\S+"


def naive_vocabulary(words: dict[bytes, int], size: int) -> list[bytes]:
    """Byte-pair encoding by its definition: count everything again at each turn."""
    tokens = [bytes([value]) for value in range(256)]
    split = {word: [word[i : i + 1] for i in range(len(word))] for word in words}
    while len(tokens) < size:
        counts: dict[tuple[int, int], int] = {}
        for word, parts in split.items():
            for left, right in pairwise(parts):
                pair = (tokens.index(left), tokens.index(right))
                counts[pair] = counts.get(pair, 0) + words[word]
        pairs = {p: c for p, c in counts.items() if tokens[p[0]] + tokens[p[1]] not in tokens}
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        joined = tokens[left] + tokens[right]
        tokens.append(joined)
        for word, parts in split.items():
            merged: list[bytes] = []
            for part in parts:
                if merged and (merged[-1], part) == (tokens[left], tokens[right]):
                    merged[-1] = joined
                else:
                    merged.append(part)
            split[word] = merged
    return tokens


def test_incremental_counts_give_the_same_tokens_as_full_recounts():
    text = "abab ababab aaaa banana bandana bananas cabana abacab aab aaaaab " * 2 + "bbab bab"
    words = {}
    for word in text.split():
        words[word.encode()] = words.get(word.encode(), 0) + 1
    assert train_vocabulary([text], WORDS, 276) == naive_vocabulary(words, 276)


def test_the_bytes_come_first_and_no_token_comes_twice():
    tokens = train_vocabulary(["the cat and the hat and the bat"], WORDS, 262)
    assert tokens[:256] == [bytes([value]) for value in range(256)]
    assert len(set(tokens)) == 262
    assert tokens[256] == b"at"


def test_pairs_never_cross_the_words_of_the_pattern():
    tokens = train_vocabulary(["ab ab ab ab"], r"[a-z]+|\s+", 257)
    assert tokens[256] == b"ab"
    with pytest.raises(ValueError, match=r"give only 257 tokens, wanted 258; use more text"):
        train_vocabulary(["ab ab ab ab"], r"[a-z]+|\s+", 258)


def test_a_vocabulary_below_the_bytes_is_refused():
    with pytest.raises(ValueError, match="at least 256 tokens, found size 255"):
        train_vocabulary(["text"], WORDS, 255)


def test_the_file_is_read_as_a_llama3_tokenizer(tmp_path: Path):
    text = "Llamas like to call functions; functions like to be called.\n" * 3
    tokens = train_vocabulary([text], LLAMA3_PATTERN, 280)
    file = tmp_path / "tokenizer.model"
    file.write_text(tiktoken_lines(tokens), encoding="utf-8")
    assert file.read_text().splitlines()[0] == f"{base64.b64encode(bytes([0])).decode()} 0"
    tokenizer = load_tokenizer(file)
    assert tokenizer.vocab_size == 280 + 256
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) < len(text) / 2
