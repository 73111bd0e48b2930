"""SentencePiece models, with the tokens that were added to them in files beside."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from chat.tokenizers.checks import BLANK, check_ids, check_surrogates
from storage.json_file import read_json_object

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

# Where Hugging Face's directories name added tokens: the second also says which are special.
ADDED_FILE = "added_tokens.json"
CONFIG_FILE = "tokenizer_config.json"
# How many ids beyond the model's own may be named.
MOST_ADDED = 100_000


@dataclass(frozen=True)
class SentencePieceTokenizer:
    """A SentencePiece model with the tokens added to it.

    Its control pieces (`<s>`, `[INST]`) and the added tokens marked special are the special ones.
    `plain` are the other added tokens, which are found in ordinary text; what stands between them
    is encoded as texts of their own. `sha256` is that of the model, or of both where tokens were
    added.
    """

    path: Path
    sha256: str
    vocab_size: int
    special_tokens: Mapping[str, int]
    unused_ids: tuple[int, ...]
    plain: Mapping[str, int]
    processor: "SentencePieceProcessor" = field(repr=False)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""
        check_surrogates(text)
        if not self.plain:
            return self.processor.encode(text)
        ids: list[int] = []
        for part in self._split.split(text):
            ids += [self.plain[part]] if part in self.plain else self.processor.encode(part)
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids; text between named tokens loses the model's leading blank."""
        check_ids(self.path, tokens, self.vocab_size, self._unused)
        parts: list[str] = []
        run: list[int] = []
        for token in tokens:
            if token in self._names:
                parts += [self.processor.decode(run), self._names[token]]
                run = []
            else:
                run.append(int(token))
        return "".join([*parts, self.processor.decode(run)])

    def token_texts(self) -> list[bytes]:
        """Return the bytes of each id, for special tokens those of their names; none if unused."""
        texts = [b""] * self.vocab_size
        for i in range(self.processor.vocab_size()):
            piece = self.processor.id_to_piece(i)
            if self.processor.is_byte(i):
                texts[i] = bytes([int(piece[3:5], 16)])
            else:
                shown = self.processor.decode([i]) if self.processor.is_unknown(i) else piece
                texts[i] = shown.replace(BLANK, " ").encode()
        for i, name in self._names.items():
            texts[i] = name.encode()
        return texts

    @cached_property
    def _names(self) -> dict[int, str]:
        return {i: name for name, i in [*self.plain.items(), *self.special_tokens.items()]}

    @cached_property
    def _unused(self) -> frozenset[int]:
        return frozenset(self.unused_ids)

    @cached_property
    def _split(self) -> re.Pattern[str]:
        longest_first = sorted(self.plain, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def load_sentencepiece(
    file: Path, content: bytes, sha256: str, wanted: str, markers: Collection[str] = ()
) -> SentencePieceTokenizer:
    """Load a SentencePiece model and the added tokens beside it; ValueError says `wanted`.

    Added tokens among `markers` are special.
    """
    from sentencepiece import SentencePieceProcessor

    try:
        processor = SentencePieceProcessor(model_proto=content)
        size = processor.vocab_size()
    except (RuntimeError, ValueError):
        size = 0
    if not size:
        raise ValueError(f"{file} cannot be read; wanted {wanted}")
    special = {processor.id_to_piece(i): i for i in range(size) if processor.is_control(i)}
    plain: dict[str, int] = {}
    added: list[tuple[int, str, bool]] = []
    for name, (i, is_special) in _added_tokens(file.parent).items():
        if i < size and processor.id_to_piece(i) == name:
            continue
        if not size <= i < size + MOST_ADDED:
            found = f"is {processor.id_to_piece(i)!r}" if 0 <= i < size else "is out of range"
            raise ValueError(f"{file.parent} adds the token {name!r} as id {i}, which {found}")
        (special if is_special or name in markers else plain)[name] = i
        added.append((i, name, is_special))
    ids = {*range(size), *special.values(), *plain.values()}
    unused = tuple(sorted(set(range(max(ids) + 1)) - ids))
    if added:
        sha256 = hashlib.sha256(json.dumps([sha256, sorted(added)]).encode()).hexdigest()
    return SentencePieceTokenizer(file, sha256, max(ids) + 1, special, unused, plain, processor)


def _added_tokens(directory: Path) -> dict[str, tuple[int, bool]]:
    """Return the id of each added token, and whether it is special: also where nothing says so."""
    added: dict[str, tuple[int, bool]] = {}
    for file in (directory / ADDED_FILE, directory / CONFIG_FILE):
        content = read_json_object(file) if file.is_file() else {}
        try:
            if file.name == ADDED_FILE:
                added |= {str(name): (int(i), True) for name, i in content.items()}
            else:
                for i, token in (content.get("added_tokens_decoder") or {}).items():
                    added[str(token["content"])] = int(i), bool(token.get("special", True))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} does not name added tokens as it should: {error!r}") from None
    return added
