"""Tiktoken vocabularies: Llama 3's and Qwen's rank files, and byte-level BPE by ranks in general.

Such a file holds the ordinary tokens alone. The pattern that cuts text before merging and the
names of the special tokens belong to the family of models the file comes from.
"""

import binascii
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chat.tokenizers.checks import check_ids, check_surrogates
from chat.tokenizers.ordinary_text import encode_ordinary
from chat.tokenizers.special_tokens import QWEN_RANKS, QWEN_SPECIALS

if TYPE_CHECKING:
    from tiktoken import Encoding

# How Llama 3 cuts text before merging (the `pat_str` of Meta's tokenizer).
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Qwen's is the same but for digits, which stand alone (`PAT_STR` in tokenization_qwen.py).
QWEN_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class Cutting:
    """How a vocabulary cuts text before merging.

    pattern: The regular expression whose matches are merged one by one.
    paragraphs: Whether a match always ends after two newlines followed by other than white space.
    composed: Whether text is first brought to Unicode's composed form, NFC.
    """

    pattern: str
    paragraphs: bool = False
    composed: bool = False


LLAMA3_CUTTING = Cutting(LLAMA3_PATTERN, paragraphs=True)
# tokenization_qwen.py composes in `tokenize`; Qwen's later tokenizer.json has the normalizer NFC.
QWEN_CUTTING = Cutting(QWEN_PATTERN, paragraphs=True, composed=True)


@dataclass(frozen=True)
class TiktokenTokenizer:
    """Byte-level BPE by ranks; any Unicode text (composed, for Qwen) survives encode and decode."""

    path: Path
    sha256: str
    vocab_size: int
    special_tokens: Mapping[str, int]
    cutting: Cutting
    encoding: "Encoding" = field(repr=False)
    unused_ids: tuple[int, ...] = ()

    @staticmethod
    def of(
        file: Path,
        sha256: str,
        ranks: Mapping[bytes, int],
        special_tokens: Mapping[str, int],
        cutting: Cutting,
    ) -> "TiktokenTokenizer":
        """Return the tokenizer of ranks and special tokens, whose ids leave nothing out."""
        from tiktoken import Encoding

        encoding = Encoding(
            name=file.name,
            pat_str=cutting.pattern,
            mergeable_ranks=dict(ranks),
            special_tokens=dict(special_tokens),
        )
        size = len(ranks) + len(special_tokens)
        return TiktokenTokenizer(file, sha256, size, special_tokens, cutting, encoding)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""
        if not text.isascii():
            check_surrogates(text)
            if self.cutting.composed:
                text = unicodedata.normalize("NFC", text)
        return encode_ordinary(self.encoding, text, self.cutting.paragraphs)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, U+FFFD where they hold no whole character."""
        check_ids(self.path, tokens, self.vocab_size)
        return self.encoding.decode([int(token) for token in tokens], errors="replace")

    def token_texts(self) -> list[bytes]:
        """Return the bytes of each id, for special tokens those of their names."""
        return [self.encoding.decode_single_token_bytes(i) for i in range(self.vocab_size)]


def looks_like_ranks(content: bytes) -> bool:
    """Whether the first line of a file is a base64 token and its rank."""
    first_line = content.split(b"\n", 1)[0]
    return re.fullmatch(rb"[A-Za-z0-9+/=]+ +-?\w+\s*", first_line) is not None


def load_ranks(
    file: Path, content: bytes, sha256: str, llama_specials: Sequence[str]
) -> TiktokenTokenizer:
    """Load a rank file: Qwen's, by its size, or else Llama 3's with the special tokens given."""
    ranks = _read_ranks(file, content)
    of_qwen = len(ranks) == QWEN_RANKS
    names = QWEN_SPECIALS if of_qwen else llama_specials
    special_tokens = {name: len(ranks) + place for place, name in enumerate(names)}
    cutting = QWEN_CUTTING if of_qwen else LLAMA3_CUTTING
    return TiktokenTokenizer.of(file, sha256, ranks, special_tokens, cutting)


def _read_ranks(file: Path, content: bytes) -> dict[bytes, int]:
    """Read `base64 rank` lines; every byte must be a token and the ranks 0 to n - 1, once each."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token_text, rank_text = line.split()
            token, rank = binascii.a2b_base64(token_text, strict_mode=True), int(rank_text)
        except (ValueError, binascii.Error):
            found = line[:40].decode("utf-8", "replace")
            raise ValueError(
                f"{file} line {number} is {found!r}, wanted 'base64 rank'; the file is damaged"
            ) from None
        if token in ranks or not token:
            kind = "a second time" if token else "empty"
            raise ValueError(f"{file} line {number} holds a token {kind}; the file is damaged")
        ranks[token] = rank
    _check_ranks(file, ranks)
    return ranks


def _check_ranks(file: Path, ranks: Mapping[bytes, int]) -> None:
    wrong = sorted(set(range(len(ranks))) ^ set(ranks.values()))
    if wrong:
        raise ValueError(
            f"{file} has {len(ranks)} tokens, wanted the ranks 0 to {len(ranks) - 1} once each: "
            f"{wrong[0]} is missing or out of range; the file is damaged"
        )
    check_bytes(file, ranks)


def check_bytes(file: Path, ranks: Mapping[bytes, int]) -> None:
    """Raise ValueError unless each of the 256 bytes is a token."""
    absent = [value for value in range(256) if bytes([value]) not in ranks]
    if absent:
        raise ValueError(
            f"{file} has no token for byte {absent[0]} (of {len(absent)} absent), wanted all 256; "
            "it was cut short or is no byte-level vocabulary"
        )
