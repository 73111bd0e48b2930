"""The tokenizer that a GGUF file carries, written as a `tokenizer.json` of the library tokenizers.

The file holds tokens, their types, merges or scores, and a name for how a text is cut into words
before merges apply; what each name means is a fact of the model it was made for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.json_file import write_json
from weights.gguf.reading import GgufFile
from weights.gguf.splits import SPLITS, Split

# Types of tokens. Source: `TokenType` of the gguf library.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_SPECIAL = (UNKNOWN, CONTROL, USER_DEFINED)

TOKENIZER_JSON = "tokenizer.json"
# SentencePiece writes a space as this.
_SPACE = "\u2581"
# Phi-3's special tokens take the white space after them, but for these. Source: Phi-3 mini's
# tokenizer.json; llama.cpp, too, knows it by the model's name.
_PHI3_KEEPS_SPACE = ("<unk>", "<s>", "<|endoftext|>")


def tokenizer_files(file: GgufFile) -> dict[str, Any]:
    """Return the contents of the tokenizer's files by name; ValueError for a kind not known.

    They are `tokenizer.json`, what Transformers wants beside it, and `generation_config.json`. A
    name that ends in .json has an object, another one text.
    """
    try:
        return _files(_Vocabulary(file.metadata), file.metadata)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None


def write_tokenizer(directory: Path, files: Mapping[str, Any]) -> None:
    """Write the files of `tokenizer_files` to a directory."""
    for name, content in files.items():
        if name.endswith(".json"):
            write_json(directory / name, content)
        else:
            (directory / name).write_text(content, encoding="utf-8")


class _Vocabulary:
    """The tokens of a file by text, and the types of them; unused ones are left out."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        tokens = metadata.get("tokenizer.ggml.tokens")
        if not isinstance(tokens, list):
            raise ValueError("the file carries no tokenizer (tokenizer.ggml.tokens is missing)")
        types = metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
        if len(types) != len(tokens):
            raise ValueError(f"there are {len(tokens)} tokens and {len(types)} types of them")
        self.tokens: list[str] = tokens
        self.types: list[int] = types
        self.ids: dict[str, int] = {}
        for id, (token, type) in enumerate(zip(tokens, types, strict=True)):
            if type != UNUSED and self.ids.setdefault(token, id) != id:
                raise ValueError(f"the token {token!r} has two ids, {self.ids[token]} and {id}")

    def special(self, takes_space: bool) -> list[dict[str, Any]]:
        """Return the tokens that no text may become by merges, as tokenizer.json lists them."""
        return [
            {
                "id": id,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": takes_space and token not in _PHI3_KEEPS_SPACE,
                "normalized": False,
                "special": self.types[id] != USER_DEFINED,
            }
            for token, id in self.ids.items()
            if self.types[id] in _SPECIAL
        ]

    def token(self, metadata: Mapping[str, Any], name: str) -> str | None:
        """Return the token whose id the metadata has under this name."""
        id = metadata.get(f"tokenizer.ggml.{name}_token_id")
        if id is None:
            return None
        if not 0 <= id < len(self.tokens):
            raise ValueError(f"{name}_token_id is {id}, and there are {len(self.tokens)} tokens")
        return self.tokens[id]


def _files(vocabulary: _Vocabulary, metadata: Mapping[str, Any]) -> dict[str, Any]:
    files: dict[str, Any] = {
        TOKENIZER_JSON: _tokenizer_json(vocabulary, metadata),
        "tokenizer_config.json": _tokenizer_config(vocabulary, metadata),
        "generation_config.json": _generation_config(metadata),
    }
    template = metadata.get("tokenizer.chat_template")
    return files | ({"chat_template.jinja": template} if isinstance(template, str) else {})


def _tokenizer_json(vocabulary: _Vocabulary, metadata: Mapping[str, Any]) -> dict[str, Any]:
    kind = metadata.get("tokenizer.ggml.model")
    if kind == "gpt2":
        parts = _byte_level(vocabulary, metadata)
    elif kind == "llama":
        parts = _sentencepiece(vocabulary, metadata)
    else:
        raise ValueError(f"tokenizer.ggml.model is {kind!r}; known are gpt2 and llama")
    takes_space = kind == "llama" and metadata.get("general.architecture") == "phi3"
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": vocabulary.special(takes_space),
        **parts,
    }


def _byte_level(vocabulary: _Vocabulary, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a BPE over bytes, each written as a letter, such as GPT-2's."""
    split = _find_split(metadata)
    merges = metadata.get("tokenizer.ggml.merges")
    if not isinstance(merges, list):
        raise ValueError("tokenizer.ggml.merges is missing; the tokens alone do not say how to cut")
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": split.pattern is None,
    }
    first = [{"type": "Digits", "individual_digits": True}] if split.digits_apart else []
    if split.pattern is not None:
        pattern = {"Regex": split.pattern}
        first = [{"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}]
    return {
        "normalizer": {"type": "NFC"} if split.composed else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*first, byte_level]},
        "post_processor": _post_processor(vocabulary, metadata, split.begins),
        "decoder": byte_level,
        "model": _bpe(vocabulary, [_pair(merge) for merge in merges])
        | {"ignore_merges": split.whole_words},
    }


def _find_split(metadata: Mapping[str, Any]) -> Split:
    name = metadata.get("tokenizer.ggml.pre")
    if name not in SPLITS:
        raise ValueError(f"tokenizer.ggml.pre is {name!r}; known are {', '.join(SPLITS)}")
    return SPLITS[name]


def _sentencepiece(vocabulary: _Vocabulary, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a BPE over characters that writes others as bytes, such as Llama 2's."""
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    space = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    before = [{"type": "Prepend", "prepend": _SPACE}] if prefix else []
    after = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    decoders = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        *after,
    ]
    unknown = [token for token, id in vocabulary.ids.items() if vocabulary.types[id] == UNKNOWN]
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*before, space]},
        "pre_tokenizer": None,
        "post_processor": _post_processor(vocabulary, metadata, True),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _bpe(vocabulary, _merges_of_scores(vocabulary, metadata))
        | {"unk_token": unknown[0] if unknown else None, "fuse_unk": True, "byte_fallback": True},
    }


def _merges_of_scores(
    vocabulary: _Vocabulary, metadata: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return every pair of tokens that makes a token, that of the best score first.

    SentencePiece has no list of merges: it joins the two neighbours whose token scores best.
    """
    scores = metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(vocabulary.tokens):
        raise ValueError("tokenizer.ggml.scores is missing, or not one for each token")
    words = {token: id for token, id in vocabulary.ids.items() if vocabulary.types[id] == NORMAL}
    joined = [(token, id) for token, id in words.items() if len(token) > 1]
    if len(joined) > 1 and len({scores[id] for _, id in joined}) == 1:
        raise ValueError(
            "tokenizer.ggml.scores are all the same, so the order of merges is not in the file; "
            "take the model's Hugging Face directory"
        )
    pairs = [
        (-scores[id], id, words[token[:cut]], words[token[cut:]], token[:cut], token[cut:])
        for token, id in joined
        for cut in range(1, len(token))
        if token[:cut] in words and token[cut:] in words
    ]
    # Of several pairs for one token, published files have that of the lower ids first.
    return [(left, right) for *_, left, right in sorted(pairs)]


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    if not left or not right or " " in right:
        raise ValueError(f"the merge {merge!r} is not two tokens with a space between")
    return left, right


def _bpe(vocabulary: _Vocabulary, merges: list[tuple[str, str]]) -> dict[str, Any]:
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in vocabulary.ids:
                raise ValueError(f"the merge of {left!r} and {right!r} wants {token!r}, no token")
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary.ids,
        "merges": [f"{left} {right}" for left, right in merges],
    }


def _post_processor(
    vocabulary: _Vocabulary, metadata: Mapping[str, Any], begins: bool
) -> dict[str, Any] | None:
    """Return what puts the tokens of a beginning and an end around a text, None without any."""
    begin, end = (vocabulary.token(metadata, name) for name in ("bos", "eos"))
    before = begin if metadata.get("tokenizer.ggml.add_bos_token", begins) else None
    after = end if metadata.get("tokenizer.ggml.add_eos_token", False) else None
    if before is None and after is None:
        return None

    def around(name: str, text: int) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"Sequence": {"id": name, "type_id": text}}]
        if before is not None:
            parts.insert(0, {"SpecialToken": {"id": before, "type_id": text}})
        if after is not None:
            parts.append({"SpecialToken": {"id": after, "type_id": text}})
        return parts

    tokens = [token for token in (before, after) if token is not None]
    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": [*around("A", 0), *around("B", 1)],
        "special_tokens": {
            token: {"id": token, "ids": [vocabulary.ids[token]], "tokens": [token]}
            for token in tokens
        },
    }


def _tokenizer_config(vocabulary: _Vocabulary, metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}
    tokens = {f"{ours}_token": vocabulary.token(metadata, theirs) for theirs, ours in names.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{name: token for name, token in tokens.items() if token is not None},
    }


def _generation_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids that begin a text, pad it and end it: a turn's and a message's end too."""
    begin, pad = (metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "padding"))
    ends = [metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    stops = list(dict.fromkeys(id for id in ends if id is not None))
    found = {
        "bos_token_id": begin,
        "eos_token_id": stops[0] if len(stops) == 1 else stops or None,
        "pad_token_id": pad,
    }
    return {name: value for name, value in found.items() if value is not None}
