"""Every kind of tokenizer gives the ids of an independent one, also of text with special names."""

import base64
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import tiktoken
from sentencepiece import SentencePieceProcessor
from small_tokenizers import KINDS, text_kept, write_tekken, write_tokenizer_json
from tokenizers import Tokenizer as LibraryTokenizer
from varied_text import varied_strings

from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer

PIECES = {
    "mistral v1": "tokenizer.model.v1",
    "mistral v3": "mistral_instruct_tokenizer_240323.model.v3",
}
# What Qwen's and Meta's own code say, written down once more.
BPE_PATTERN = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"""
    r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""
)


class Pair(NamedTuple):
    """A tokenizer of ours and what an independent one makes of the same text."""

    ours: Tokenizer
    encode: Callable[[str], list[int]]


@pytest.fixture(
    scope="module",
    params=[
        "llama3",
        "qwen ranks",
        "phi3",
        *PIECES,
        *(f"small {kind}" for kind in KINDS),
        "tekken",
    ],
)
def pair(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    kind, folder = request.param, shared / "tokenizers"
    directory = tmp_path_factory.mktemp("tokenizer")
    if kind == "llama3":
        file = folder / "llama3" / "tokenizer.model"
        return Pair(load_tokenizer(file), ranks_alone(file, BPE_PATTERN % "{1,3}"))
    if kind == "qwen ranks":
        file = folder / "qwen_family_tiktoken" / "emu3.tiktoken"
        encode = ranks_alone(file, BPE_PATTERN % "")
        return Pair(load_tokenizer(file), lambda x: encode(unicodedata.normalize("NFC", x)))
    if kind in PIECES:
        file = folder / "mistral_sentencepiece" / PIECES[kind]
        return Pair(load_tokenizer(file), SentencePieceProcessor(model_file=str(file)).encode)
    if kind == "tekken":
        file = write_tekken(directory / "tekken.json")
        return Pair(load_tokenizer(file), tekken_alone(file))
    file = folder / "phi3" / "tokenizer.json"
    if kind != "phi3":
        file = write_tokenizer_json(directory / "tokenizer.json", kind.removeprefix("small "))
    return Pair(load_tokenizer(file), library_alone(file))


def ranks_alone(file: Path, pattern: str) -> Callable[[str], list[int]]:
    lines = (line.split() for line in file.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding(
        "alone", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
    ).encode_ordinary


def tekken_alone(file: Path) -> Callable[[str], list[int]]:
    content = json.loads(file.read_text())
    count = content["config"]["default_num_special_tokens"]
    used = content["vocab"][: content["config"]["default_vocab_size"] - count]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in used}
    encoding = tiktoken.Encoding(
        "alone",
        pat_str=content["config"]["pattern"],
        mergeable_ranks=ranks,
        special_tokens={},
    )
    return lambda text: [rank + count for rank in encoding.encode_ordinary(text)]


def library_alone(file: Path) -> Callable[[str], list[int]]:
    """The library `tokenizers`; added tokens after a gap get the ids of the file."""
    library = LibraryTokenizer.from_file(str(file))
    library.encode_special_tokens = True
    added = json.loads(file.read_text(encoding="utf-8"))["added_tokens"]
    ids = {library.token_to_id(token["content"]): token["id"] for token in added}
    return lambda text: [ids.get(i, i) for i in library.encode(text, add_special_tokens=False).ids]


def check_same_ids(pair: Pair, count: int) -> None:
    special = set(pair.ours.special_tokens.values())
    for text in varied_strings(count):
        ids = pair.ours.encode(text)
        assert ids == pair.encode(text), repr(text)
        assert special.isdisjoint(ids), repr(text)


def test_ids_equal_those_of_an_independent_tokenizer(pair: Pair) -> None:
    check_same_ids(pair, 300)


@pytest.mark.long
def test_ids_of_ten_thousand_strings_equal_an_independent_tokenizers(pair: Pair) -> None:
    check_same_ids(pair, 10_000)


def test_decoding_gives_the_text_back(pair: Pair) -> None:
    for text in varied_strings(300, seed=1, without="\u2581"):
        # Phi-3's library takes the blanks after this added token into it.
        text = text.replace("</s>", "")
        kept = text_kept(text, pair.encode)
        assert pair.ours.decode(pair.ours.encode(text)) == kept, repr(text)


@pytest.mark.parametrize("version", ["240718", "240911"])
def test_tekken_ids_equal_those_of_mistral_common(version: str) -> None:
    tekken = pytest.importorskip(
        "mistral_common.tokens.tokenizers.tekken",
        reason="mistral_common is not installed; its files hold the tekken.json",
        exc_type=ImportError,
    )
    data = Path(tekken.__file__).parents[2] / "data"
    file = data / f"tekken_{version}.json"
    ours, theirs = load_tokenizer(file), tekken.Tekkenizer.from_file(file)
    check_same_ids(Pair(ours, lambda text: theirs.encode(text, bos=False, eos=False)), 300)
    assert ours.vocab_size == theirs.n_words
    assert all(theirs.get_special_token(name) == i for name, i in ours.special_tokens.items())
