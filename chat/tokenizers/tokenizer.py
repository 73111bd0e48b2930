"""Text to token ids and back: Llama 3's tiktoken file and SentencePiece behind one protocol.

`encode` treats its whole text as ordinary: what looks like a special token in it becomes ordinary
ids. Special ids come only from the `special_tokens` table, which the chat formats look up.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chat.tokenizers.ordinary_text import encode_ordinary
from chat.tokenizers.special_tokens import SPECIAL_TABLES

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from tiktoken import Encoding

TOKENIZER_FILE = "tokenizer.model"

# How Llama 3 cuts text before merging (the `pat_str` of Meta's tokenizer).
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# In bytes. Llama 3's file has 2.2 MB; a file beyond this is probably weights.
LARGEST_FILE = 100_000_000


class Tokenizer(Protocol):
    """The tokenizer interface of the project; `vocab_size` counts the special tokens too."""

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def special_tokens(self) -> Mapping[str, int]: ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, special ones as their names; ValueError on an unknown id."""


def load_tokenizer(path: Path | str, specials: str = "llama3") -> Tokenizer:
    """Load a tokenizer file, or the `tokenizer.model` of a directory; the content decides the kind.

    Args:
        path: Llama 3's tiktoken file, a SentencePiece model, or a directory with `tokenizer.model`.
        specials: The table of special tokens that a tiktoken file gets, a key of SPECIAL_TABLES.
    """
    if specials not in SPECIAL_TABLES:
        known = ", ".join(SPECIAL_TABLES)
        raise ValueError(f"unknown table of special tokens {specials!r}, wanted one of {known}")
    path = Path(path)
    file = path / TOKENIZER_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"no tokenizer at {file}; wanted {_WANTED}")
    content = _read_unless_foreign(file)
    sha256 = hashlib.sha256(content).hexdigest()
    if _looks_like_ranks(content):
        return _load_tiktoken(file, content, sha256, SPECIAL_TABLES[specials])
    return _load_sentencepiece(file, content, sha256)


_WANTED = "a tokenizer.model: Llama 3's lines of 'base64 rank', or a SentencePiece model"


def _read_unless_foreign(file: Path) -> bytes:
    with file.open("rb") as stream:
        head = stream.read(512)
        size = file.stat().st_size
        foreign = _foreign_kind(head)
        if not foreign and size > LARGEST_FILE:
            foreign = f"has {size:,} bytes, more than any tokenizer"
        if foreign:
            raise ValueError(f"{file} {foreign}; wanted {_WANTED}")
        return head + stream.read()


def _foreign_kind(content: bytes) -> str:
    """Describe a file that cannot be a tokenizer by its first bytes; empty when it may be one."""
    start = content.lstrip()
    if not start:
        return "is empty or blank"
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer and not the file itself (fetch it with: git lfs pull)"
    if start.startswith((b"{", b"[")):
        return "is JSON (a Hugging Face tokenizer.json?)"
    if start.startswith(b"<"):
        return "is HTML or XML (a web page saved in place of the file?)"
    if re.match(rb"PK\x03\x04|\x80[\x02-\x05]", start):
        return "is a pickle or zip archive (PyTorch weights?)"
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < 2**32:
        return "is a safetensors file (weights)"
    return ""


def _looks_like_ranks(content: bytes) -> bool:
    first_line = content.split(b"\n", 1)[0]
    return re.fullmatch(rb"[A-Za-z0-9+/=]+ +-?\w+\s*", first_line) is not None


def _load_tiktoken(
    file: Path, content: bytes, sha256: str, names: tuple[str, ...]
) -> "TiktokenTokenizer":
    from tiktoken import Encoding

    ranks = _read_ranks(file, content)
    special_tokens = {name: len(ranks) + place for place, name in enumerate(names)}
    encoding = Encoding(
        name=file.name,
        pat_str=LLAMA3_PATTERN,
        mergeable_ranks=ranks,
        special_tokens=special_tokens,
    )
    return TiktokenTokenizer(file, sha256, len(ranks) + len(names), special_tokens, encoding)


def _read_ranks(file: Path, content: bytes) -> dict[bytes, int]:
    """Read `base64 rank` lines; every byte must be a token and the ranks 0 to n - 1, once each."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token_text, rank_text = line.split()
            token, rank = base64.b64decode(token_text, validate=True), int(rank_text)
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
    absent = [value for value in range(256) if bytes([value]) not in ranks]
    if absent:
        raise ValueError(
            f"{file} has no token for byte {absent[0]} (of {len(absent)} absent), wanted all 256; "
            "it was cut short or is no byte-level vocabulary"
        )


@dataclass(frozen=True)
class TiktokenTokenizer:
    """Llama 3's byte-level BPE: any Unicode text survives encode and decode unchanged."""

    path: Path
    sha256: str
    vocab_size: int
    special_tokens: Mapping[str, int]
    encoding: "Encoding" = field(repr=False)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""
        if not text.isascii():
            check_surrogates(text)
        return encode_ordinary(self.encoding, text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, U+FFFD where they hold no whole character."""
        _check_ids(self, tokens)
        return self.encoding.decode([int(token) for token in tokens], errors="replace")


def check_surrogates(text: str) -> None:
    """Raise ValueError when text holds half of a surrogate pair, which no encoding can keep."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text holds a lone surrogate U+{ord(text[error.start]):04X} at character "
            f"{error.start}, which is no Unicode text; remove or replace it"
        ) from None


def _check_ids(tokenizer: Tokenizer, tokens: Sequence[int]) -> None:
    wrong = [token for token in tokens if not 0 <= token < tokenizer.vocab_size]
    if wrong:
        raise ValueError(
            f"token id {wrong[0]} is not in {tokenizer.path}, whose ids are 0 to "
            f"{tokenizer.vocab_size - 1}"
        )


def _load_sentencepiece(file: Path, content: bytes, sha256: str) -> "SentencePieceTokenizer":
    from sentencepiece import SentencePieceProcessor

    try:
        processor = SentencePieceProcessor(model_proto=content)
        size = processor.vocab_size()
    except (RuntimeError, ValueError):
        size = 0
    if not size:
        raise ValueError(f"{file} cannot be read; wanted {_WANTED}")
    names = {processor.id_to_piece(i): i for i in range(size) if processor.is_control(i)}
    return SentencePieceTokenizer(file, sha256, size, names, processor)


@dataclass(frozen=True)
class SentencePieceTokenizer:
    """A SentencePiece model; its control pieces (`<s>`, `[INST]`) are the special tokens."""

    path: Path
    sha256: str
    vocab_size: int
    special_tokens: Mapping[str, int]
    processor: "SentencePieceProcessor" = field(repr=False)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""
        check_surrogates(text)
        return self.processor.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids; text between special tokens loses the model's leading blank."""
        _check_ids(self, tokens)
        special = set(self.special_tokens.values())
        parts: list[str] = []
        run: list[int] = []
        for token in tokens:
            if token in special:
                parts += [self.processor.decode(run), self.processor.id_to_piece(int(token))]
                run = []
            else:
                run.append(int(token))
        return "".join([*parts, self.processor.decode(run)])
