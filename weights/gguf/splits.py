"""How a text is cut into words before the merges of a byte-level BPE apply, by GGUF's names.

Each is a fact of a published `tokenizer.json`; which name stands for which is in llama.cpp's
`llama-vocab.cpp` and its converter, which quote the patterns.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """One way to cut.

    pattern: What a word is, in the syntax of Oniguruma; None is GPT-2's own.
    digits_apart: Whether each digit is cut off before that.
    composed: Whether the text is brought to Unicode's composed form (NFC) first.
    whole_words: Whether a word that is a token is taken as it is, before any merge.
    begins: Whether a text begins with the token of beginnings where the file does not say.
    """

    pattern: str | None
    digits_apart: bool = False
    composed: bool = False
    whole_words: bool = False
    begins: bool = False


_SHORT_FORMS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SIGNS_AND_SLASHES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
# Words whose capitals begin a new one, with the short form after them or without.
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING_LOW = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+"
_BEGINNING_HIGH = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"

# Up to three digits together: OpenAI's cl100k, which Llama 3 and Phi-4 took; one each: Qwen2.
_CL100K = "|".join((_SHORT_FORMS, _WORD, r"\p{N}{1,3}", _SIGNS, _SPACES))
_QWEN2 = "|".join((_SHORT_FORMS, _WORD, r"\p{N}", _SIGNS, _SPACES))
_O200K = "|".join(
    (
        f"{_ENDING_LOW}{_SHORT_FORMS}?",
        f"{_BEGINNING_HIGH}{_SHORT_FORMS}?",
        r"\p{N}{1,3}",
        _SIGNS_AND_SLASHES,
        _SPACES,
    )
)
_TEKKEN = "|".join((_ENDING_LOW, _BEGINNING_HIGH, r"\p{N}", _SIGNS_AND_SLASHES, _SPACES))

SPLITS = {
    "smollm": Split(None, digits_apart=True),
    "llama-bpe": Split(_CL100K, whole_words=True, begins=True),
    "qwen2": Split(_QWEN2, composed=True),
    # The distillations of DeepSeek R1 that are Qwen2 models, with that tokenizer.
    "deepseek-r1-qwen": Split(_QWEN2),
    "gpt-4o": Split(_O200K),
    "dbrx": Split(_CL100K),
    "tekken": Split(_TEKKEN, whole_words=True, begins=True),
}
