from pathlib import Path

import pytest
from meta_directories import write_tiktoken_file

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
