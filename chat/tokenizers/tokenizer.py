"""Text to token ids and back: the tokenizer files of several model families behind one protocol.

`encode` treats its whole text as ordinary: what looks like a special token in it becomes ordinary
ids. Special ids come only from the `special_tokens` table, which the chat formats look up.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from chat.tokenizers.hugging_face import load_hugging_face
from chat.tokenizers.pieces import (
    ADDED_FILE,
    CONFIG_FILE,
    SentencePieceTokenizer,
    load_sentencepiece,
)
from chat.tokenizers.ranks import load_ranks, looks_like_ranks
from chat.tokenizers.special_tokens import SPECIAL_TABLES
from chat.tokenizers.tekken import load_tekken
from storage.verified import check_content, copy_verified, read_verified

TOKENIZER_FILE = "tokenizer.model"
# Each holds a whole vocabulary. Of several in one directory the first is used: tokenizer.json has
# the tokens that were added to the others.
TOKENIZER_FILES = ("tokenizer.json", TOKENIZER_FILE, "tekken.json")

# In bytes. Llama 3's file has 2.2 MB, a tokenizer.json up to 20 MB; beyond this it is weights.
LARGEST_FILE = 100_000_000

_WANTED = (
    "a tokenizer.model (lines of 'base64 rank' as Llama 3's, or a SentencePiece model), a "
    "tokenizer.json or a tekken.json"
)


class Tokenizer(Protocol):
    """The tokenizer interface of the project.

    vocab_size: The largest id and one; special tokens count.
    unused_ids: Ids below it without a token; the model must not choose them.
    """

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def special_tokens(self) -> Mapping[str, int]: ...
    @property
    def unused_ids(self) -> tuple[int, ...]: ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, special ones as their names; ValueError on an unknown id."""

    def token_texts(self) -> list[bytes]:
        """Return the bytes of each id, for special tokens those of their names; none if unused."""


def load_tokenizer(
    path: Path | str, specials: str = "llama3", markers: Collection[str] = ()
) -> Tokenizer:
    """Load a tokenizer file, or the one of a model's directory; the content decides the kind.

    Args:
        path: A tokenizer file, or a directory, of whose TOKENIZER_FILES the first is taken.
        specials: The table of special tokens that Llama 3's tiktoken file gets, a key of
            SPECIAL_TABLES. The other kinds bring or have their own.
        markers: Added tokens that are special, whatever the files say: never found in ordinary
            text.
    """
    if specials not in SPECIAL_TABLES:
        known = ", ".join(SPECIAL_TABLES)
        raise ValueError(f"unknown table of special tokens {specials!r}, wanted one of {known}")
    path = Path(path)
    file = _in_directory(path) if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; wanted {_WANTED}")
    content = _read_unless_foreign(file)
    sha256 = hashlib.sha256(content).hexdigest()
    if _looks_like_json(content):
        return _load_json(file, content, sha256, markers)
    if looks_like_ranks(content):
        return load_ranks(file, content, sha256, SPECIAL_TABLES[specials])
    return load_sentencepiece(file, content, sha256, _WANTED, markers)


def tokenizer_sha256(file: Path) -> str:
    """Return the `sha256` of the tokenizer in a file; it is loaded only where tokens were added."""
    content = read_verified(file)
    sha256 = hashlib.sha256(content).hexdigest()
    alone = not any((file.parent / name).is_file() for name in (ADDED_FILE, CONFIG_FILE))
    if alone or _looks_like_json(content) or looks_like_ranks(content):
        return sha256
    return load_sentencepiece(file, content, sha256, _WANTED).sha256


def copy_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Copy a tokenizer's files into a directory, from which `load_tokenizer` loads it again."""
    name = tokenizer.path.name
    copy_verified(tokenizer.path, directory / (name if name in TOKENIZER_FILES else TOKENIZER_FILE))
    if isinstance(tokenizer, SentencePieceTokenizer):
        for beside in (ADDED_FILE, CONFIG_FILE):
            if (tokenizer.path.parent / beside).is_file():
                copy_verified(tokenizer.path.parent / beside, directory / beside)


def _in_directory(directory: Path) -> Path:
    for name in TOKENIZER_FILES:
        if (directory / name).is_file():
            return directory / name
    raise FileNotFoundError(f"no tokenizer in {directory}; wanted {_WANTED}")


def _looks_like_json(content: bytes) -> bool:
    return content.lstrip()[:1] in (b"{", b"[")


def _load_json(file: Path, content: bytes, sha256: str, markers: Collection[str]) -> Tokenizer:
    """Load a tokenizer.json or a tekken.json, whatever its name."""
    try:
        text = content.decode("utf-8")
        parsed: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{file} is JSON that cannot be read ({error}); wanted {_WANTED}"
        ) from None
    if isinstance(parsed, dict) and "vocab" in parsed and "config" in parsed:
        return load_tekken(file, parsed, sha256)
    if isinstance(parsed, dict) and isinstance(parsed.get("model"), dict):
        return load_hugging_face(file, parsed, text, sha256, markers)
    raise ValueError(
        f"{file} is JSON, and neither a tokenizer.json nor a tekken.json; wanted {_WANTED}"
    )


def _read_unless_foreign(file: Path) -> bytes:
    with file.open("rb") as stream:
        head = stream.read(512)
        size = file.stat().st_size
        foreign = _foreign_kind(head)
        if not foreign and size > LARGEST_FILE:
            foreign = f"has {size:,} bytes, more than any tokenizer"
        if foreign:
            raise ValueError(f"{file} {foreign}; wanted {_WANTED}")
        content = head + stream.read()
    check_content(file, content)
    return content


def _foreign_kind(content: bytes) -> str:
    """Describe a file that cannot be a tokenizer by its first bytes; empty when it may be one."""
    start = content.lstrip()
    if not start:
        return "is empty or blank"
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer and not the file itself (fetch it with: git lfs pull)"
    if start.startswith(b"<"):
        return "is HTML or XML (a web page saved in place of the file?)"
    if re.match(rb"PK\x03\x04|\x80[\x02-\x05]", start):
        return "is a pickle or zip archive (PyTorch weights?)"
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < 2**32:
        return "is a safetensors file (weights)"
    return ""
