"""tokenizer.json: special tokens stay ours, bytes are exact, and other kinds are refused."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries
from small_tokenizers import KINDS, text_kept, write_tokenizer_json
from varied_text import varied_strings

from chat.tokenizers import hugging_face
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.sampled_from(["<|endoftext|>", "<|im_end|>", "<|end|>", "<tool_call>", "<|tool_call|>"])
MIXED = st.lists(UNICODE | NAMES | st.text(" \t\r\n's12ab<|>"), max_size=8).map("".join)
BRIEF = tries(100)


@pytest.fixture(scope="module", params=KINDS)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = tmp_path_factory.mktemp("small") / "tokenizer.json"
    return load_tokenizer(write_tokenizer_json(file, request.param))


@pytest.fixture(scope="module")
def phi3(shared: Path) -> Tokenizer:
    return load_tokenizer(shared / "tokenizers" / "phi3")


def changed(source: Path, target: Path, **changes: Any) -> Path:
    """Write a tokenizer.json with other parts, those of its model named `model__`."""
    content = json.loads(source.read_text(encoding="utf-8"))
    for name, value in changes.items():
        place = content["model"] if name.startswith("model__") else content
        place[name.removeprefix("model__")] = value
    target.write_text(json.dumps(content), encoding="utf-8")
    return target


@BRIEF
@given(text=MIXED)
def test_any_text_survives_byte_level_bpe(small: Tokenizer, text: str) -> None:
    assert small.decode(small.encode(text)) == text_kept(text, small.encode)


@BRIEF
@given(text=MIXED)
def test_no_text_becomes_a_special_token(small: Tokenizer, text: str) -> None:
    assert set(small.special_tokens.values()).isdisjoint(small.encode(text))


def test_special_ids_decode_to_their_names(small: Tokenizer) -> None:
    for name, token in small.special_tokens.items():
        assert small.decode([token, *small.encode("hi"), token]) == f"{name}hi{name}"


def test_added_tokens_that_are_not_special_are_found_in_text(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_tokenizer_json(tmp_path / "tokenizer.json", "qwen"))
    assert "<tool_call>" not in tokenizer.special_tokens
    ids = tokenizer.encode("a<tool_call>b")
    assert (len(ids), tokenizer.token_texts()[ids[1]]) == (3, b"<tool_call>")


def test_added_tokens_after_a_gap_keep_their_ids(tmp_path: Path) -> None:
    file = write_tokenizer_json(tmp_path / "tokenizer.json", "phi4")
    tokenizer = load_tokenizer(file)
    named = {t["content"]: t["id"] for t in json.loads(file.read_text())["added_tokens"]}
    assert tokenizer.encode("<|tool_call|>") == [named["<|tool_call|>"]]
    assert tokenizer.vocab_size == max(named.values()) + 1
    first, last = named["<|endoftext|>"] + 1, named["<|tool_call|>"]
    assert tokenizer.unused_ids == tuple(range(first, last))


def test_an_id_without_a_token_is_refused(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_tokenizer_json(tmp_path / "tokenizer.json", "phi4"))
    unused = tokenizer.unused_ids[0]
    with pytest.raises(ValueError, match=rf"token id {unused} has no token in .* leaves 18 ids"):
        tokenizer.decode([5, unused])
    with pytest.raises(ValueError, match=r"token id 9999 is not in .*0 to 621"):
        tokenizer.decode([9999])


def test_special_token_that_merges_could_write_stays_special(tmp_path: Path) -> None:
    source = write_tokenizer_json(tmp_path / "tokenizer.json", "smollm2")
    model = json.loads(source.read_text())["model"]
    vocabulary = model["vocab"] | {"<s": 600, "<s>": 601}
    merges = [["<", "s"], ["<s", ">"], *model["merges"]]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": 601, "content": "<s>", **flags, "special": True}]
    for whole_first in (False, True):
        tokenizer = load_tokenizer(
            changed(
                source,
                tmp_path / "changed.json",
                model__vocab=vocabulary,
                model__merges=merges,
                model__ignore_merges=whole_first,
                added_tokens=added,
            )
        )
        assert 601 not in tokenizer.encode("<s> a<s><s>")
        assert tokenizer.decode([601, *tokenizer.encode("<s>")]) == "<s><s>"


def test_templates_truncation_and_padding_of_the_file_do_nothing(tmp_path: Path) -> None:
    source = write_tokenizer_json(tmp_path / "tokenizer.json", "qwen")
    end = {"SpecialToken": {"id": "<|im_end|>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    known = {"<|im_end|>": {"id": "<|im_end|>", "ids": [602], "tokens": ["<|im_end|>"]}}
    template = {"type": "TemplateProcessing", "single": [end, text], "pair": [end, text]}
    padding = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None}
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    file = changed(
        source,
        tmp_path / "changed.json",
        post_processor={**template, "special_tokens": known},
        truncation=cut,
        padding={**padding, "pad_id": 600, "pad_type_id": 0, "pad_token": "<|endoftext|>"},
    )
    assert load_tokenizer(file).encode("A sentence.") == load_tokenizer(source).encode(
        "A sentence."
    )


def test_a_byte_without_a_token_never_becomes_the_unknown_token(tmp_path: Path) -> None:
    source = write_tokenizer_json(tmp_path / "tokenizer.json", "smollm2")
    unknown = {"model__unk_token": "<|endoftext|>"}
    tokenizer = load_tokenizer(changed(source, tmp_path / "changed.json", **unknown))
    assert tokenizer.encode("a\x04b") == tokenizer.encode("ab")


def test_dropout_of_the_file_is_off(tmp_path: Path) -> None:
    source = write_tokenizer_json(tmp_path / "tokenizer.json", "qwen")
    tokenizer = load_tokenizer(changed(source, tmp_path / "changed.json", model__dropout=0.5))
    text = "Fine-tune a model that calls the functions."
    assert {tuple(tokenizer.encode(text)) for _ in range(20)} == {
        tuple(load_tokenizer(source).encode(text))
    }


def test_phi3_text_between_special_tokens_survives(phi3: Tokenizer) -> None:
    special = phi3.special_tokens
    ids = [special["<|user|>"], *phi3.encode(" Grüße\n🦄"), special["<|end|>"]]
    assert phi3.decode(ids) == "<|user|> Grüße\n🦄<|end|>"


def test_part_of_a_character_decodes_to_the_replacement_character(phi3: Tokenizer) -> None:
    assert phi3.decode(phi3.encode("🦄")[:-1]) == "\ufffd"


def test_token_texts_join_to_the_bytes_of_the_text(small: Tokenizer) -> None:
    texts = small.token_texts()
    assert len(texts) == small.vocab_size
    for text in varied_strings(50, seed=2):
        joined = b"".join([texts[token] for token in small.encode(text)])
        assert joined.decode() == small.decode(small.encode(text))


def test_lone_surrogate_is_refused(small: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"lone surrogate U\+D83D at character 2"):
        small.encode("ab\ud83d")


@pytest.mark.parametrize("unit", ["word ", " ", "a", "\n", "!", "漢"])
def test_long_text_takes_time_in_proportion(phi3: Tokenizer, unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        start = time.process_time()
        phi3.encode(text)
        return time.process_time() - start

    assert min(seconds(80_000) for _ in range(2)) < 16 * max(
        min(seconds(20_000) for _ in "ab"), 0.004
    )


OTHER_KINDS = {
    "words": ({"model__type": "WordPiece"}, "of the kind WordPiece, wanted byte-level BPE"),
    "unigram": ({"model__type": "Unigram"}, "of the kind Unigram, wanted byte-level BPE"),
    "characters": (
        {"pre_tokenizer": None, "decoder": None},
        "of the kind BPE on characters without byte fallback",
    ),
    "marked words": ({"model__end_of_word_suffix": "</w>"}, "BPE with marks at the borders of"),
    "no vocabulary": ({"model__vocab": None}, "has no token '!', one of 95 .* and 95 absent"),
    "no ids": ({"added_tokens": [{"content": "x", "special": True}]}, "is no whole tokenizer.json"),
    "a byte is missing": ({"model__vocab": {"a": 0}}, "has no token '!', .* and 94 absent"),
    "huge ids": (
        {"model__merges": [], "added_tokens": [{"id": 10**9, "content": "x", "special": True}]},
        "ids from",
    ),
    "merges of nothing": ({"model__merges": [["xyz", "a"]]}, "cannot be read as a tokenizer.json"),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_another_kind_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    changes, reason = OTHER_KINDS[kind]
    source = write_tokenizer_json(tmp_path / "tokenizer.json", "smollm2")
    with pytest.raises(ValueError, match=reason) as error:
        load_tokenizer(changed(source, tmp_path / "changed.json", **changes))
    assert str(tmp_path / "changed.json") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_token_that_the_library_numbers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No file is known that gets so far.
    monkeypatch.setattr(hugging_face, "_misnumbered", lambda *_: ["<pad>"])
    source = write_tokenizer_json(tmp_path / "tokenizer.json", "smollm2")
    with pytest.raises(ValueError, match=r"tokenizer\.json has two ids for its token '<pad>'"):
        load_tokenizer(source)
