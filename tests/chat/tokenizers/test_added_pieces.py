"""SentencePiece models with added tokens: special or not, with gaps, and the files that say so."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chat.tokenizers.tokenizer import copy_tokenizer, load_tokenizer, tokenizer_sha256
from storage.manifest import sha256_of_file


@pytest.fixture
def directory(shared: Path, tmp_path: Path) -> Path:
    """A directory with Mistral's first SentencePiece model, of 32,000 pieces."""
    source = shared / "tokenizers" / "mistral_sentencepiece" / "tokenizer.model.v1"
    shutil.copyfile(source, tmp_path / "tokenizer.model")
    return tmp_path


def decoder(*tokens: tuple[int, str, bool]) -> str:
    named = {str(i): {"content": name, "special": special} for i, name, special in tokens}
    return json.dumps({"added_tokens_decoder": named})


def test_an_added_token_is_special_where_nothing_says_otherwise(directory: Path) -> None:
    (directory / "added_tokens.json").write_text('{"[PAD]": 32000}')
    tokenizer = load_tokenizer(directory)
    assert (tokenizer.vocab_size, tokenizer.special_tokens["[PAD]"]) == (32_001, 32_000)
    assert 32_000 not in tokenizer.encode("[PAD]")
    assert tokenizer.decode([*tokenizer.encode("hi"), 32_000]) == "hi[PAD]"


def test_added_tokens_of_phi3_are_named_by_its_config(directory: Path, shared: Path) -> None:
    shutil.copy(shared / "tokenizers" / "phi3" / "tokenizer_config.json", directory)
    tokenizer = load_tokenizer(directory)
    wanted = load_tokenizer(shared / "tokenizers" / "phi3").special_tokens
    assert tokenizer.vocab_size == 32_011
    assert {name: tokenizer.special_tokens[name] for name in wanted if name != "<unk>"} == {
        name: i for name, i in wanted.items() if name != "<unk>"
    }


def test_added_token_not_marked_special_is_found_in_text(directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text(
        decoder((32_000, "<tool_call>", False), (32_001, "<|end|>", True))
    )
    tokenizer = load_tokenizer(directory)
    ids = tokenizer.encode("a<tool_call>b<|end|>")
    assert ids.index(32_000) == 1 and 32_001 not in ids
    assert "<tool_call>" not in tokenizer.special_tokens
    assert tokenizer.decode(ids) == "a<tool_call>b<|end|>"


def test_ids_between_added_tokens_are_unused(directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text(decoder((32_003, "<|end|>", True)))
    tokenizer = load_tokenizer(directory)
    assert (tokenizer.vocab_size, tokenizer.unused_ids) == (32_004, (32_000, 32_001, 32_002))
    with pytest.raises(ValueError, match="token id 32001 has no token in"):
        tokenizer.decode([32_001])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (decoder((5, "<|end|>", True)), r"adds the token '<\|end\|>' as id 5, which is '<0x02>'"),
        (decoder((10**9, "<|end|>", True)), "which is out of range"),
        ('{"added_tokens_decoder": {"x": {}}}', "does not name added tokens as it should"),
        ("[1]", "must hold an object, found list"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON: it is nested too deep"),
    ],
)
def test_wrong_added_tokens_are_refused(content: str, reason: str, directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text(content)
    with pytest.raises(ValueError, match=reason):
        load_tokenizer(directory)


def test_a_copied_tokenizer_keeps_its_added_tokens(directory: Path, tmp_path: Path) -> None:
    (directory / "added_tokens.json").write_text('{"[PAD]": 32000}')
    (tmp_path / "copy").mkdir()
    copy_tokenizer(load_tokenizer(directory), tmp_path / "copy")
    assert load_tokenizer(tmp_path / "copy").special_tokens["[PAD]"] == 32_000


def test_added_tokens_change_the_sha256(directory: Path) -> None:
    file = directory / "tokenizer.model"
    found = [load_tokenizer(file).sha256]
    for special in (True, False):
        (directory / "tokenizer_config.json").write_text(decoder((32_000, "<tool>", special)))
        found.append(load_tokenizer(file).sha256)
        assert tokenizer_sha256(file) == found[-1]
    assert len(set(found)) == 3


def test_naming_the_models_own_pieces_keeps_its_files_sha256(directory: Path) -> None:
    file = directory / "tokenizer.model"
    wanted = sha256_of_file(file)
    assert (load_tokenizer(file).sha256, tokenizer_sha256(file)) == (wanted, wanted)
    (directory / "tokenizer_config.json").write_text(decoder((1, "<s>", True)))
    assert (load_tokenizer(file).sha256, tokenizer_sha256(file)) == (wanted, wanted)


def test_texts_of_pieces_join_to_the_text(directory: Path) -> None:
    tokenizer = load_tokenizer(directory)
    texts: Any = tokenizer.token_texts()
    joined = b"".join([texts[token] for token in tokenizer.encode("Grüße\n🦄")])
    assert joined.decode() == " Grüße\n🦄"
