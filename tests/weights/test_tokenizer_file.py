import json
import shutil
from pathlib import Path

import pytest
from meta_directories import write_tiktoken_file
from small_tokenizers import KINDS, write_tekken, write_tokenizer_json

from chat.tokenizers.tokenizer import load_tokenizer
from weights.tokenizer_file import check_tokenizer, is_sentencepiece, token_count


def test_tiktoken_ranks_count_with_the_256_special_tokens(tmp_path: Path) -> None:
    write_tiktoken_file(tmp_path / "tokenizer.model", 700)
    assert token_count(tmp_path / "tokenizer.model") == 700
    assert not is_sentencepiece(tmp_path / "tokenizer.model")


@pytest.mark.parametrize(
    ("file", "count", "sentencepiece"),
    [
        ("llama3/tokenizer.model", 128256, False),
        ("tiny_test_assets/tiktoken_small.model", 2256, False),
        ("tiny_test_assets/m.model", 2000, True),
        ("mistral_sentencepiece/tokenizer.model.v1", 32000, True),
        ("qwen_family_tiktoken/emu3.tiktoken", 151851, False),
        ("phi3/tokenizer.json", 32011, True),
    ],
)
def test_real_tokenizer_files_have_their_known_sizes(
    shared: Path, file: str, count: int, sentencepiece: bool
) -> None:
    path = shared / "tokenizers" / file
    assert (token_count(path), is_sentencepiece(path)) == (count, sentencepiece)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    write_tiktoken_file(tmp_path / "tokenizer.model", 700)
    check_tokenizer(tmp_path / "tokenizer.model", 700)
    with pytest.raises(
        ValueError, match=r"has 700 tokens, and the model's embedding has 128,256 rows; put the"
    ):
        check_tokenizer(tmp_path / "tokenizer.model", 128256)


@pytest.mark.parametrize(
    ("file", "rows"),
    [("qwen_family_tiktoken/emu3.tiktoken", 151_936), ("phi3/tokenizer.json", 32_064)],
)
def test_padded_vocabularies_of_qwen_and_phi_are_taken(shared: Path, file: str, rows: int) -> None:
    check_tokenizer(shared / "tokenizers" / file, rows)
    with pytest.raises(ValueError, match="and the model's embedding has"):
        check_tokenizer(shared / "tokenizers" / file, rows + 1000)
    with pytest.raises(ValueError, match="and the model's embedding has"):
        check_tokenizer(shared / "tokenizers" / file, 32_000)


def test_a_small_tekken_and_tokenizer_json_count_as_they_load(tmp_path: Path) -> None:
    for file in (
        write_tekken(tmp_path / "tekken.json"),
        *(write_tokenizer_json(tmp_path / f"{kind}.json", kind) for kind in KINDS),
    ):
        assert token_count(file) == load_tokenizer(file).vocab_size
        assert not is_sentencepiece(file)


def test_tokens_added_to_sentencepiece_count_and_may_be_padded(
    shared: Path, tmp_path: Path
) -> None:
    pieces = shared / "tokenizers" / "mistral_sentencepiece" / "tokenizer.model.v1"
    shutil.copyfile(pieces, tmp_path / "tokenizer.model")
    with pytest.raises(ValueError, match=r"has 32,000 tokens, .* 32,064 rows"):
        check_tokenizer(tmp_path / "tokenizer.model", 32_064)
    shutil.copy(shared / "tokenizers" / "phi3" / "tokenizer_config.json", tmp_path)
    assert token_count(tmp_path / "tokenizer.model") == 32_011
    check_tokenizer(tmp_path / "tokenizer.model", 32_064)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"IQ== 0\nnonsense\n", r"line 2 is b'nonsense', wanted a base64 token and its rank"),
        (b'{"version": "1.0"}', r"line 1 is b'.*version.*', wanted a base64 token"),
        (b"\x0a\x0e\x0a\x05<unk", "is not a whole SentencePiece model"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        token_count(tmp_path / "tokenizer.model")


@pytest.mark.parametrize("model", [None, 3, []])
def test_a_tokenizer_json_without_a_model_is_refused(tmp_path: Path, model: object) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({"model": model}))
    for ask in (is_sentencepiece, token_count):
        with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer\.json nor tekken"):
            ask(file)


def test_a_tokenizer_json_needs_no_added_tokens(tmp_path: Path) -> None:
    file = write_tokenizer_json(tmp_path / "tokenizer.json", KINDS[0])
    content = json.loads(file.read_text())
    del content["added_tokens"]
    file.write_text(json.dumps(content))
    assert token_count(file) == load_tokenizer(file).vocab_size


def test_a_tokenizer_json_may_hold_a_single_token(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    assert token_count(tmp_path / "tokenizer.json") == 1


@pytest.mark.parametrize("name", ["tokenizer.json", "added_tokens.json"])
def test_a_tokenizer_file_that_is_no_json_is_named(shared: Path, tmp_path: Path, name: str) -> None:
    pieces = shared / "tokenizers" / "mistral_sentencepiece" / "tokenizer.model.v1"
    shutil.copyfile(pieces, tmp_path / "tokenizer.model")
    (tmp_path / name).write_text("{")
    with pytest.raises(ValueError, match=rf"/{name} is not JSON: "):
        token_count(tmp_path / (name if name == "tokenizer.json" else "tokenizer.model"))
