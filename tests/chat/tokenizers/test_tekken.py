"""tekken.json: special tokens first, unused ranks left out, damaged files refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries
from small_tokenizers import write_tekken

from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer


@pytest.fixture(scope="module")
def tekken(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(write_tekken(tmp_path_factory.mktemp("tekken") / "tekken.json"))


@tries(100)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_in_ordinary_ids(tekken: Tokenizer, text: str) -> None:
    ids = tekken.encode(text)
    assert tekken.decode(ids) == text
    assert all(token >= 30 for token in ids)


def test_special_tokens_have_the_first_ids(tekken: Tokenizer) -> None:
    names = ("<unk>", "<s>", "</s>", "[INST]", "[TOOL_CALLS]", "<SPECIAL_29>")
    assert [tekken.special_tokens[name] for name in names] == [0, 1, 2, 3, 9, 29]
    assert tekken.decode([1, 3, *tekken.encode("hi"), 2]) == "<s>[INST]hi</s>"


def test_ranks_beyond_the_default_size_are_not_used(tekken: Tokenizer) -> None:
    config = json.loads(tekken.path.read_text())["config"]
    assert tekken.vocab_size == config["default_vocab_size"]
    assert tekken.vocab_size < config["num_vocab_tokens"] + 30


def test_special_tokens_of_the_file_replace_the_known_ones(
    tekken: Tokenizer, tmp_path: Path
) -> None:
    content = json.loads(tekken.path.read_text())
    content["special_tokens"] = [{"rank": 1, "token_str": "<bos>", "is_control": True}]
    (tmp_path / "tekken.json").write_text(json.dumps(content))
    special = load_tokenizer(tmp_path).special_tokens
    assert (special["<bos>"], special["<SPECIAL_0>"]) == (1, 0)
    assert "[INST]" not in special


def damaged(content: dict[str, Any], damage: str) -> dict[str, Any]:
    if damage == "no pattern":
        del content["config"]["pattern"]
    elif damage == "too few ranks":
        content["vocab"] = content["vocab"][:300]
    elif damage == "a rank out of order":
        content["vocab"][5]["rank"] = 7
    elif damage == "a byte is missing":
        content["vocab"][65]["token_bytes"] = "QUJD"
    elif damage == "a name twice":
        content["special_tokens"] = [{"rank": i, "token_str": "<s>"} for i in (1, 2)]
    return content


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("no pattern", "is no whole tekken.json: KeyError"),
        ("too few ranks", "has 300 different ordinary tokens, wanted 4"),
        ("a rank out of order", "with the ranks from 0 up in order"),
        ("a byte is missing", "has no token for byte 65"),
        ("a name twice", "are not 30 of different ids and names"),
    ],
)
def test_damaged_tekken_file_is_refused_with_the_reason(
    damage: str, reason: str, tekken: Tokenizer, tmp_path: Path
) -> None:
    content = damaged(json.loads(tekken.path.read_text()), damage)
    (tmp_path / "tekken.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=reason):
        load_tokenizer(tmp_path)
