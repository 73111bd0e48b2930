import base64
import json
from pathlib import Path
from typing import Any

import pytest
import regex
from gguf_files import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, byte_letters
from sentencepiece import SentencePieceProcessor
from tiktoken_ext import openai_public
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from varied_text import varied_strings

from chat.tokenizers.ranks import LLAMA3_PATTERN
from chat.tokenizers.tokenizer import load_tokenizer
from weights.gguf.reading import GgufFile
from weights.gguf.splits import SPLITS
from weights.gguf.tokenizer import tokenizer_files, write_tokenizer


def converted(tmp_path: Path, metadata: dict[str, Any]) -> Tokenizer:
    """Write what a file of this metadata carries, and load it with the library."""
    file = GgufFile(tmp_path / "some.gguf", {"general.architecture": "llama", **metadata}, {})
    write_tokenizer(tmp_path, tokenizer_files(file))
    return Tokenizer.from_file(str(tmp_path / "tokenizer.json"))


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


# Byte-level BPE: a small one of each kind is trained with the library itself

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def o200k_pattern(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the pattern that tiktoken itself has for GPT-4o; its ranks are not fetched."""
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
    return openai_public.o200k_base()["pat_str"]


def trained(first: Any, normalizer: Any = None, ignore_merges: bool = False) -> Tokenizer:
    """Train a byte-level BPE on the varied texts; `first` cuts the text, None does as GPT-2."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    bytes_after = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    last = gpt2 if isinstance(first, pre_tokenizers.Digits) else bytes_after
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, last])
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(varied_strings(500), trainer)
    return tokenizer


def metadata_of(tokenizer: Tokenizer, pre: str) -> dict[str, Any]:
    """Return the metadata that llama.cpp's converter writes for a byte-level tokenizer."""
    content = json.loads(tokenizer.to_str())
    special = {token["content"] for token in content["added_tokens"]}
    tokens = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [*tokens, "[PAD600]", "[PAD601]"],
        "tokenizer.ggml.token_type": [
            *(CONTROL if token in special else NORMAL for token in tokens),
            UNUSED,
            UNUSED,
        ],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in content["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
    }


def isolated(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def original(pre: str, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """Train a tokenizer of the kind that a name of GGUF stands for."""
    if pre == "smollm":
        return trained(pre_tokenizers.Digits(individual_digits=True))
    if pre == "qwen2":
        return trained(isolated(QWEN2_PATTERN), normalizers.NFC())
    if pre == "deepseek-r1-qwen":
        return trained(isolated(QWEN2_PATTERN))
    if pre == "gpt-4o":
        return trained(isolated(o200k_pattern(monkeypatch)))
    # OpenAI's cl100k, which Phi-4 has, is Llama 3's; that one takes a whole word before it merges.
    return trained(isolated(LLAMA3_PATTERN), ignore_merges=pre == "llama-bpe")


@pytest.mark.parametrize("pre", sorted(SPLITS.keys() - {"tekken"}))
def test_byte_level_ids_are_those_of_the_original(
    pre: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = original(pre, monkeypatch)
    ours = converted(tmp_path, metadata_of(theirs, pre))
    for text in varied_strings(1000):
        assert ids(ours, text) == ids(theirs, text), text
        assert ours.decode(ids(ours, text)) == theirs.decode(ids(theirs, text))


def test_tekkens_words_begin_at_capitals_and_single_digits() -> None:
    words = regex.findall(SPLITS["tekken"].pattern, "getWeather HTTPServer's 42\n")
    assert words == ["get", "Weather", " HTTPServer", "'s", " ", "4", "2", "\n"]


def test_unused_tokens_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = original("qwen2", monkeypatch)
    ours = converted(tmp_path, metadata_of(theirs, "qwen2"))
    assert ours.get_vocab() == theirs.get_vocab()


def test_user_defined_tokens_are_added_but_not_special(tmp_path: Path) -> None:
    metadata = bytes_with(["<tool_call>", "<|end|>"], [USER_DEFINED, CONTROL])
    tokenizer = converted(tmp_path, metadata)
    encoded = ids(tokenizer, "a<tool_call>b<|end|>")
    assert encoded == [64, 256, 65, 257]
    assert tokenizer.decode(encoded) == "a<tool_call>b"


def bytes_with(tokens: list[str], types: list[int], **changes: object) -> dict[str, Any]:
    """Return the metadata of bytes as tokens, and these after them."""
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": [*sorted(byte_letters()), *tokens],
        "tokenizer.ggml.token_type": [NORMAL] * 256 + types,
        "tokenizer.ggml.merges": [],
        **{f"tokenizer.ggml.{name}": value for name, value in changes.items()},
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [256, 64]),
        ({"add_bos_token": False}, [64]),
        ({"add_eos_token": True}, [256, 64, 257]),
        ({"pre": "qwen2"}, [64]),
        ({"pre": "qwen2", "add_bos_token": True}, [256, 64]),
    ],
)
def test_a_text_begins_and_ends_as_the_file_says(
    changes: dict[str, Any], expected: list[int], tmp_path: Path
) -> None:
    metadata = bytes_with(["<s>", "</s>"], [CONTROL, CONTROL], bos_token_id=256, eos_token_id=257)
    metadata |= {f"tokenizer.ggml.{name}": value for name, value in changes.items()}
    assert converted(tmp_path, metadata).encode("a").ids == expected


# Real vocabularies


def test_phi3_mini_from_scores_has_the_ids_of_its_tokenizer(shared: Path, tmp_path: Path) -> None:
    file = shared / "tokenizers/phi3/tokenizer.json"
    theirs, content = Tokenizer.from_file(str(file)), json.loads(file.read_text())
    special = {token["id"]: token for token in content["added_tokens"]}
    tokens = [theirs.id_to_token(id) for id in range(32011)]
    # Its SentencePiece model is not at hand: the merges, best first, tell the order of the scores.
    made = list(dict.fromkeys(merge.replace(" ", "") for merge in content["model"]["merges"]))
    places = {token: place for place, token in enumerate(made)}
    types = [BYTE if 3 <= id < 259 else NORMAL for id in range(32011)]
    for id, token in special.items():
        types[id] = CONTROL if token["special"] else USER_DEFINED
    types[0] = UNKNOWN
    ours = converted(
        tmp_path,
        {
            "general.architecture": "phi3",
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": [*tokens, *(f"[PAD{id}]" for id in range(32011, 32064))],
            "tokenizer.ggml.token_type": [*types, *[UNUSED] * 53],
            "tokenizer.ggml.scores": [-float(places.get(token, 0)) for token in tokens + [""] * 53],
            "tokenizer.ggml.add_bos_token": False,
        },
    )
    for text in [*varied_strings(2000), "<|user|>\nHello<|end|>\n<|assistant|>\n", "</s> x<s> y"]:
        assert ours.encode(text).ids == theirs.encode(text).ids, text
        assert ours.decode(ours.encode(text).ids) == theirs.decode(theirs.encode(text).ids)
    assert json.loads(ours.to_str())["model"]["merges"] == merges_of(content)


def merges_of(content: dict[str, Any]) -> list[list[str]]:
    return [merge.split(" ") for merge in content["model"]["merges"]]


@pytest.mark.parametrize(
    "name",
    [
        "mistral_sentencepiece/tokenizer.model.v1",
        "mistral_sentencepiece/mistral_instruct_tokenizer_240323.model.v3",
    ],
)
def test_ids_of_scores_are_those_of_sentencepiece(name: str, shared: Path, tmp_path: Path) -> None:
    theirs = SentencePieceProcessor(model_file=str(shared / "tokenizers" / name))
    ours = converted(tmp_path, sentencepiece_metadata(theirs))
    # What looks like a special token is ordinary text to SentencePiece.
    ours.encode_special_tokens = True
    for text in varied_strings(2000):
        assert ids(ours, text) == theirs.encode(text), text


def sentencepiece_metadata(model: SentencePieceProcessor) -> dict[str, Any]:
    """Return the metadata that llama.cpp's converter writes for a SentencePiece model."""

    def kind(id: int) -> int:
        tests = {
            UNKNOWN: model.is_unknown,
            CONTROL: model.is_control,
            UNUSED: model.is_unused,
            BYTE: model.is_byte,
        }
        return next((kind for kind, test in tests.items() if test(id)), NORMAL)

    count = model.get_piece_size()
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [model.id_to_piece(id) for id in range(count)],
        "tokenizer.ggml.token_type": [kind(id) for id in range(count)],
        "tokenizer.ggml.scores": [model.get_score(id) for id in range(count)],
        "tokenizer.ggml.bos_token_id": model.bos_id(),
    }


def test_scores_that_are_all_alike_are_refused(tmp_path: Path) -> None:
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["a", "b", "ab", "ba"],
        "tokenizer.ggml.token_type": [NORMAL] * 4,
        "tokenizer.ggml.scores": [-1000.0] * 4,
    }
    with pytest.raises(ValueError, match=r"scores are all the same, so the order of merges"):
        converted(tmp_path, metadata)
    metadata["tokenizer.ggml.scores"] = [-1.0] * 3
    with pytest.raises(ValueError, match=r"scores is missing, or not one for each token"):
        converted(tmp_path, metadata)


@pytest.mark.long
def test_llama_3s_ids_are_those_of_its_tiktoken_file(shared: Path, tmp_path: Path) -> None:
    file = shared / "tokenizers/llama3/tokenizer.model"
    theirs = load_tokenizer(file)
    ours = converted(tmp_path, tiktoken_metadata(file))
    ours.encode_special_tokens = True
    for text in varied_strings(10_000):
        assert ids(ours, text) == theirs.encode(text), text


def tiktoken_metadata(file: Path) -> dict[str, Any]:
    """Return what llama.cpp's converter writes for Llama 3: Hugging Face's list of merges.

    A token is the merge of any two tokens that make it, as Transformers finds them.
    """
    lines = [line.split() for line in file.read_bytes().splitlines()]
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    letters = byte_letters()
    merges = [
        (rank, ranks[token[:cut]], ranks[token[cut:]], token[:cut], token[cut:])
        for token, rank in ranks.items()
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]

    def written(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": [written(token) for token in sorted(ranks, key=ranks.get)],
        "tokenizer.ggml.merges": [
            f"{written(left)} {written(right)}" for _, _, _, left, right in sorted(merges)
        ],
    }
