"""A tiktoken or SentencePiece vocabulary written as tokenizer.json, for Transformers and vLLM.

Neither kind of file says from which two parts a token is merged: any two neighbours are merged that
together are a token, those of the lowest rank (the highest score) first. So each way to cut a token
into two tokens is written as a merge, in the order of the tokens they make.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from chat.tokenizers.checks import BLANK
from chat.tokenizers.hugging_face import byte_characters, load_hugging_face
from chat.tokenizers.pieces import SentencePieceTokenizer
from chat.tokenizers.ranks import TiktokenTokenizer

JSON_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
# What begins a text and what ends it, in the families whose files these are.
_BEGINS = ("<|begin_of_text|>", "<s>")
_ENDS = ("<|end_of_text|>", "<|endoftext|>", "</s>")
# A SentencePiece model may change text before it cuts it: these would show it.
_PROBES = (
    "Hello world",
    "  two  blanks\nnew line\t",
    "ﬁ ① e\u0301 漢字 🦄",
    "0123 <s> [INST]",
    "\uff46ull",
)

Text = TypeVar("Text", bytes, str)


def write_hugging_face_tokenizer(
    tokenizer: TiktokenTokenizer | SentencePieceTokenizer, directory: Path, stop: str | None = None
) -> None:
    """Write tokenizer.json, and tokenizer_config.json where none lies there.

    `stop` is the special token that ends a reply; by default the one that ends a text. Raises
    ValueError for a SentencePiece model that tokenizer.json cannot express.
    """
    begin, end = (
        next((name for name in names if name in tokenizer.special_tokens), None)
        for names in (_BEGINS, (stop, *_ENDS))
    )
    content = hugging_face_content(tokenizer, begin)
    text = json.dumps(content, ensure_ascii=False)
    if isinstance(tokenizer, SentencePieceTokenizer):
        _check_same_ids(tokenizer, content, text)
    (directory / JSON_FILE).write_text(text, encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if not (directory / CONFIG_FILE).is_file():
        text = json.dumps(settings, indent=2, ensure_ascii=False)
        (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def hugging_face_content(
    tokenizer: TiktokenTokenizer | SentencePieceTokenizer, begin: str | None
) -> dict[str, Any]:
    """Return what a tokenizer.json says of a vocabulary; `begin` is put before a text by it."""
    special, plain = tokenizer.special_tokens, dict[str, int]()
    if isinstance(tokenizer, SentencePieceTokenizer):
        plain = dict(tokenizer.plain)
        parts = _sentencepiece_parts(tokenizer)
    else:
        parts = _byte_level_parts(tokenizer)
    added = [(id, name, name in special) for name, id in [*special.items(), *plain.items()]]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(*token) for token in sorted(added)],
        "post_processor": None if begin is None else _before_each_text(begin, special[begin]),
        **parts,
    }


def _byte_level_parts(tokenizer: TiktokenTokenizer) -> dict[str, Any]:
    """Return normalizer, pre-tokenizer, decoder and model of a tiktoken vocabulary."""
    characters = {value: character for character, value in byte_characters().items()}
    special = set(tokenizer.special_tokens.values())
    texts = enumerate(tokenizer.token_texts())
    ranks = {text: id for id, text in texts if id not in special}
    written = {text: "".join([characters[value] for value in text]) for text in ranks}
    vocabulary = {written[text]: id for text, id in ranks.items()}
    if min(special) == 0:
        # The library would number them anew, after the vocabulary, where it does not find them.
        vocabulary |= tokenizer.special_tokens
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    cut = {
        "type": "Split",
        "pattern": {"Regex": tokenizer.cutting.pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    cuts = [cut, {**byte_level, "use_regex": False}]
    merges = [[written[left], written[right]] for left, right in _merges(ranks)]
    return {
        "normalizer": {"type": "NFC"} if tokenizer.cutting.composed else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "decoder": {**byte_level, "use_regex": True},
        # Tiktoken looks a whole piece up before it merges.
        "model": _model(vocabulary, merges, unk_token=None, byte_fallback=False, whole_first=True),
    }


def _sentencepiece_parts(tokenizer: SentencePieceTokenizer) -> dict[str, Any]:
    """Return normalizer, pre-tokenizer, decoder and model of a SentencePiece BPE model."""
    processor = tokenizer.processor
    ids = range(processor.vocab_size())
    vocabulary = {processor.id_to_piece(i): i for i in ids}
    merged = [
        i for i in ids
        if not (processor.is_control(i) or processor.is_byte(i) or processor.is_unknown(i))
    ]  # fmt: skip
    best_first = sorted(merged, key=processor.get_score, reverse=True)
    ranks = {processor.id_to_piece(i): rank for rank, i in enumerate(best_first)}
    blank = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
    decoders = [
        {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    unknown = processor.id_to_piece(processor.unk_id())
    return {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": BLANK}, blank],
        },
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _model(
            vocabulary, list(_merges(ranks)), unknown, byte_fallback=True, whole_first=False
        ),
    }


def _model(
    vocabulary: Mapping[str, int],
    merges: Sequence[Sequence[str]],
    unk_token: str | None,
    byte_fallback: bool,
    whole_first: bool,
) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unk_token,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": byte_fallback,
        "byte_fallback": byte_fallback,
        "ignore_merges": whole_first,
        "vocab": vocabulary,
        "merges": merges,
    }


def _merges(ranks: Mapping[Text, int]) -> Iterator[tuple[Text, Text]]:
    """Yield every pair of tokens that together are a token, by its rank and then by theirs."""
    for token in ranks:
        cuts = ((token[:place], token[place:]) for place in range(1, len(token)))
        pairs = [(left, right) for left, right in cuts if left in ranks and right in ranks]
        yield from sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def _added(id: int, name: str, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id, "content": name, **flags, "special": special}


def _before_each_text(begin: str, id: int) -> dict[str, Any]:
    """Return the post-processor that puts a token before a text, as the models were trained."""

    def text(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    def start(type_id: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": begin, "type_id": type_id}}

    return {
        "type": "TemplateProcessing",
        "single": [start(0), text("A", 0)],
        "pair": [start(0), text("A", 0), start(1), text("B", 1)],
        "special_tokens": {begin: {"id": begin, "ids": [id], "tokens": [begin]}},
    }


def _check_same_ids(tokenizer: SentencePieceTokenizer, content: dict[str, Any], text: str) -> None:
    """Raise ValueError unless tokenizer.json gives the ids of a SentencePiece model."""
    try:
        written = load_hugging_face(tokenizer.path, content, text, tokenizer.sha256)
        differing = [x for x in _PROBES if written.encode(x) != tokenizer.encode(x)]
    except ValueError:
        differing = list(_PROBES)
    if differing:
        raise ValueError(
            f"{tokenizer.path} cannot be written as {JSON_FILE}: {differing[0]!r} would have other "
            "ids; it is no BPE with byte fallback that leaves text as it is, as Llama's and "
            "Mistral's are"
        )
