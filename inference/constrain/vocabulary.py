"""A tokenizer's tokens as llguidance wants them: the bytes of each, and how text is encoded."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLTokenizer


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the grammar needs to know of the tokens; `single` are those of single bytes.

    blank: Whether the tokens of a text begin with a blank that is none of the text's.
    """

    size: int
    texts: list[bytes]
    single: dict[int, int]
    stops: tuple[int, ...]
    blank: bool
    made: "LLTokenizer"

    def spell(self, text: bytes) -> list[int]:
        """Return the tokens of the single bytes of a text, none where one of them has no token."""
        tokens = [self.single[value] for value in text if value in self.single]
        return tokens if len(tokens) == len(text) else []


@dataclass(frozen=True)
class VocabularySource:
    """A tokenizer, as far as it decides what llguidance makes of it."""

    sha256: str
    vocab_size: int
    special_tokens: tuple[tuple[str, int], ...]
    tokenizer: Tokenizer = field(compare=False)


def vocabulary_source(tokenizer: Tokenizer) -> VocabularySource:
    """Return a tokenizer as the key under which its prepared vocabulary is kept."""
    special_tokens = tuple(tokenizer.special_tokens.items())
    return VocabularySource(tokenizer.sha256, tokenizer.vocab_size, special_tokens, tokenizer)


@lru_cache(maxsize=4)
def prepare_vocabulary(source: VocabularySource, stops: tuple[int, ...]) -> Vocabulary:
    """Prepare a vocabulary; kept, because it takes half a second at 128,256 tokens.

    Raises ValueError unless each visible byte of ASCII has a token: with those any call can be
    ended.
    """
    tokenizer = source.tokenizer
    texts = tokenizer.token_texts()
    special = set(tokenizer.special_tokens.values())
    single = {text[0]: i for i, text in enumerate(texts) if len(text) == 1 and i not in special}
    absent = [chr(value) for value in range(0x20, 0x7F) if value not in single]
    if absent:
        raise ValueError(
            f"{tokenizer.path} has no token for {absent[0]!r} alone, and calls can be constrained "
            "only where each character of ASCII has one; generate without --constrain"
        )
    made = _make(tokenizer, texts, stops)
    blank = b"".join(texts[token] for token in tokenizer.encode("a")) == b" a"
    return Vocabulary(tokenizer.vocab_size, texts, single, stops, blank, made)


def _make(tokenizer: Tokenizer, texts: list[bytes], stops: tuple[int, ...]) -> "LLTokenizer":
    from llguidance import LLTokenizer, TokenizerWrapper

    if isinstance(tokenizer, TiktokenTokenizer):
        from llguidance.tiktoken import lltokenizer_from_encoding

        return lltokenizer_from_encoding(
            tokenizer.encoding, n_vocab=tokenizer.vocab_size, eos_token=list(stops), slices=None
        )
    wrapped = TokenizerWrapper(_Encoder(tokenizer, texts, stops[0]))
    return LLTokenizer(wrapped, n_vocab=tokenizer.vocab_size, eos_token=list(stops), slices=None)


class _Encoder:
    """What llguidance asks of a tokenizer: the bytes of each token, and the ids of text."""

    def __init__(self, tokenizer: Tokenizer, texts: list[bytes], end: int) -> None:
        self.eos_token_id = end
        self.bos_token_id = None
        self.tokens = texts
        self.special_token_ids = list(tokenizer.special_tokens.values())
        self._tokenizer = tokenizer
        self._newline = tokenizer.encode("\n")

    def __call__(self, text: str) -> list[int]:
        """Return the ids of text that goes on; a vocabulary may put a blank where text begins."""
        ids = self._tokenizer.encode(text)
        if b"".join([self.tokens[token] for token in ids]) == text.encode():
            return ids
        # What comes after a line's end has no blank before it.
        return self._tokenizer.encode("\n" + text)[len(self._newline) :]
