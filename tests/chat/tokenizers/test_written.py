"""tokenizer.json written from ranks and pieces: Transformers reads the same ids from it."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_tokenizers import write_tekken
from varied_text import varied_strings

from chat.tokenizers.pieces import SentencePieceTokenizer
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import load_tokenizer
from chat.tokenizers.written import hugging_face_content, write_hugging_face_tokenizer

MISTRAL_V3 = "mistral_sentencepiece/mistral_instruct_tokenizer_240323.model.v3"
FILES = {
    "llama3": ("llama3/tokenizer.model", "<|begin_of_text|>", "<|end_of_text|>"),
    "qwen": ("qwen_family_tiktoken/emu3.tiktoken", None, "<|endoftext|>"),
    "mistral": (MISTRAL_V3, "<s>", "</s>"),
    "tekken": ("", "<s>", "</s>"),
}


class Written(NamedTuple):
    """A tokenizer, the directory its tokenizer.json was written to, and the names in it."""

    source: TiktokenTokenizer | SentencePieceTokenizer
    directory: Path
    begin: str | None
    end: str
    seconds: float


@pytest.fixture(scope="module", params=FILES)
def written(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    name, begin, end = FILES[request.param]
    directory = tmp_path_factory.mktemp("written")
    file = shared / "tokenizers" / name
    if not name:
        file = write_tekken(tmp_path_factory.mktemp("tekken") / "tekken.json")
    source = load_tokenizer(file)
    assert isinstance(source, TiktokenTokenizer | SentencePieceTokenizer)
    start = time.process_time()
    write_hugging_face_tokenizer(source, directory)
    return Written(source, directory, begin, end, time.process_time() - start)


@pytest.fixture(scope="module")
def theirs(written: Written) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(written.directory)


def ids_of(tokenizer: Any) -> Callable[[str], list[int]]:
    return lambda text: tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


def check_same_ids(written: Written, encode: Callable[[str], list[int]], count: int) -> None:
    for text in varied_strings(count, seed=5):
        assert encode(text) == written.source.encode(text), repr(text)


def test_a_written_tokenizer_is_read_back_as_it_was(written: Written) -> None:
    read = load_tokenizer(written.directory)
    assert read.special_tokens | {"<unk>": 0} == {**written.source.special_tokens, "<unk>": 0}
    assert read.vocab_size == written.source.vocab_size
    check_same_ids(written, read.encode, 300)


def test_transformers_reads_the_same_ids(written: Written, theirs: Any) -> None:
    check_same_ids(written, ids_of(theirs), 300)
    assert theirs.decode(written.source.encode("Grüße, 世界!")) == "Grüße, 世界!"


@pytest.mark.long
def test_transformers_reads_the_same_ids_of_ten_thousand_strings(
    written: Written, theirs: Any
) -> None:
    check_same_ids(written, ids_of(theirs), 10_000)


def test_transformers_knows_the_special_tokens_and_begins_a_text(
    written: Written, theirs: Any
) -> None:
    special = written.source.special_tokens
    assert {name: theirs.convert_tokens_to_ids(name) for name in special} == special
    assert (theirs.bos_token, theirs.eos_token) == (written.begin, written.end)
    first = [] if written.begin is None else [special[written.begin]]
    last = special[written.end]
    assert theirs.encode(f"hi{written.end}") == [*first, *written.source.encode("hi"), last]


def test_the_largest_vocabularies_are_written_within_seconds(written: Written) -> None:
    assert written.seconds < 10


def test_the_stop_of_a_chat_format_ends_a_reply(tmp_path: Path) -> None:
    write_hugging_face_tokenizer(small_ranks(), tmp_path, stop="<|eot_id|>")
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["eos_token"] == "<|eot_id|>"


def test_a_tokenizer_config_that_lies_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    write_hugging_face_tokenizer(small_ranks(), tmp_path)
    assert (tmp_path / "tokenizer_config.json").read_text() == '{"chat_template": "x"}'
    assert (tmp_path / "tokenizer.json").is_file()


def small_ranks() -> TiktokenTokenizer:
    """The small vocabulary that the tests train models with."""
    tokenizer = load_tokenizer(Path(__file__).parents[2] / "tokenizer.model")
    assert isinstance(tokenizer, TiktokenTokenizer)
    return tokenizer


def test_added_tokens_of_a_sentencepiece_model_are_written(shared: Path, tmp_path: Path) -> None:
    shutil.copyfile(shared / "tokenizers" / MISTRAL_V3, tmp_path / "tokenizer.model")
    added = {
        "32768": {"content": "<tool_call>", "special": False},
        "32769": {"content": "<|end|>", "special": True},
    }
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"added_tokens_decoder": added}))
    source = load_tokenizer(tmp_path)
    assert isinstance(source, SentencePieceTokenizer)
    write_hugging_face_tokenizer(source, tmp_path)
    read = load_tokenizer(tmp_path)
    text = "a<tool_call>b<|end|>"
    assert read.path.name == "tokenizer.json"
    assert read.encode(text) == source.encode(text)
    assert read.special_tokens["<|end|>"] == 32_769


def test_a_model_that_changes_text_before_cutting_is_refused(shared: Path, tmp_path: Path) -> None:
    source = load_tokenizer(shared / "tokenizers" / "tiny_test_assets" / "m.model")
    assert isinstance(source, SentencePieceTokenizer)
    with pytest.raises(ValueError, match=r"m\.model cannot be written as tokenizer\.json"):
        write_hugging_face_tokenizer(source, tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_cut_of_a_token_is_a_merge_by_rank(tmp_path: Path) -> None:
    source = load_tokenizer(write_tekken(tmp_path / "tekken.json"))
    assert isinstance(source, TiktokenTokenizer)
    model = hugging_face_content(source, None)["model"]
    ids = [model["vocab"]["".join(merge)] for merge in model["merges"]]
    assert ids == sorted(ids)
    assert len(set(ids)) > 100
