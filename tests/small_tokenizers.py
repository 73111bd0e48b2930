"""Small tokenizers of the kinds that the model families have, trained on the spot."""

import base64
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from chat.tokenizers.hugging_face import byte_characters
from chat.tokenizers.ranks import QWEN_PATTERN

ROOT = Path(__file__).parents[1]
# The pattern of Phi-4's tokenizer.json, which is that of OpenAI's o200k_base.
PHI4_PATTERN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
TEKKEN_PATTERN = PHI4_PATTERN.replace(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
KINDS = ("smollm2", "qwen", "phi4")
# Some of the bytes that SmolLM2's vocabulary lacks.
SMOLLM2_LACKS = b"\x04\x13\xc0\xff"


def write_tokenizer_json(file: Path, kind: str, size: int = 600) -> Path:
    """Write a tokenizer.json of one of KINDS, with about `size` tokens; return its path."""
    tokenizer = Tokenizer(BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "smollm2")
    pattern = {"qwen": QWEN_PATTERN, "phi4": PHI4_PATTERN}.get(kind)
    first: Any = pre_tokenizers.Digits(individual_digits=True)
    if pattern:
        first = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen":
        tokenizer.normalizer = normalizers.NFC()
    lacking = SMOLLM2_LACKS if kind == "smollm2" else b""
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>", "<|im_start|>"] if kind == "smollm2" else [],
        initial_alphabet=[c for c, value in byte_characters().items() if value not in lacking],
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_texts(), trainer)
    if kind == "qwen":
        tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    content = json.loads(tokenizer.to_str())
    if kind == "phi4":
        # As Phi-4 mini's, whose added tokens begin after a gap.
        largest = max(content["model"]["vocab"].values())
        names = {"<|endoftext|>": 1, "<|tool_call|>": 20, "<|end|>": 21, "<|user|>": 22}
        content["added_tokens"] = [
            {
                **{"id": largest + place, "content": name, "single_word": False, "lstrip": False},
                **{"rstrip": False, "normalized": False, "special": name != "<|tool_call|>"},
            }
            for name, place in names.items()
        ]
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


def text_kept(text: str, encode: Callable[[str], list[int]]) -> str:
    """Return what a tokenizer keeps of a text: composed where it composes, less what it lacks."""
    if encode("e\u0301") == encode("\u00e9"):
        text = unicodedata.normalize("NFC", text)
    if not encode("\x04"):
        text = text.translate(dict.fromkeys(SMOLLM2_LACKS[:2]))
    return text


def write_tekken(file: Path, ordinary: int = 500, special: int = 30) -> Path:
    """Write a tekken.json, of whose ranks the last 40 are not used; return its path."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TEKKEN_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=ordinary + 40, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(training_texts(), trainer)
    decoder = decoders.ByteLevel()
    vocabulary = tokenizer.get_vocab()
    merged = [
        decoder.decode([token]).encode()
        for token in sorted(vocabulary, key=vocabulary.__getitem__)
        if token not in alphabet and "\ufffd" not in decoder.decode([token])
    ]
    tokens = [*(bytes([value]) for value in range(256)), *merged]
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    config = {
        "pattern": TEKKEN_PATTERN,
        "num_vocab_tokens": len(vocab),
        "default_vocab_size": len(vocab) - 40 + special,
        "default_num_special_tokens": special,
        "version": "v3",
    }
    file.write_text(json.dumps({"config": config, "vocab": vocab, "special_tokens": None}))
    return file


def training_texts() -> list[str]:
    """The README, and what it lacks of other scripts."""
    others = (
        "Grüße aus Köln, où ça? 東京の天気は晴れです。 Привет, мир! 🦄🦄 مرحبا e\u0301te\u0301\n"
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return [readme, *[others] * 20, "    if x:\n\t\treturn {'a': [1, 2.5]}\r\n" * 20]
