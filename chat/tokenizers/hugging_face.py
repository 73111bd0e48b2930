"""Hugging Face's tokenizer.json, run by the library `tokenizers`: byte-level BPE with added tokens
(Qwen, SmolLM2, Phi-4, Llama 3's own), or BPE on characters with byte fallback (Phi-3, Llama 2).

Of the library only the encoding of ordinary text is used: special tokens are never looked for in
it, and nothing is put around it, cut off or padded. Decoding joins the bytes of the tokens.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.tokenizers.checks import BLANK, check_ids, check_surrogates

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer

# More than any vocabulary has; what names higher ids is damaged.
MOST_IDS = 4_000_000
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


def byte_characters() -> dict[str, int]:
    """Return the characters that stand for the 256 bytes in a byte-level vocabulary.

    As in GPT-2: what is visible in Latin-1 stands for itself, the others follow from U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in visible]
    return {chr(value): value for value in visible} | {
        chr(0x100 + place): value for place, value in enumerate(others)
    }


_BYTES = byte_characters()


@dataclass(frozen=True)
class HuggingFaceTokenizer:
    """A tokenizer.json; its added tokens that are marked special are the special tokens.

    Of text, bytes that a byte-level vocabulary lacks are left out, as the library does.
    Other added tokens are found in ordinary text, as the library finds them. Where the vocabulary
    puts a blank before each text, decoding takes it off again, after special tokens too.
    """

    path: Path
    sha256: str
    vocab_size: int
    special_tokens: Mapping[str, int]
    unused_ids: tuple[int, ...]
    library: "LibraryTokenizer" = field(repr=False)
    drops_blank: bool
    # What makes the bytes of all ids; only decoding needs them.
    make_texts: Callable[[], list[bytes]] = field(repr=False)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text, never a special id; ValueError on lone surrogates."""
        if not text.isascii():
            check_surrogates(text)
        ids: list[int] = self.library.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, U+FFFD where they hold no whole character."""
        check_ids(self.path, tokens, self.vocab_size, self._unused)
        texts = self._texts
        if not self.drops_blank:
            return b"".join([texts[token] for token in tokens]).decode("utf-8", "replace")
        parts: list[str] = []
        run: list[bytes] = []
        for token in tokens:
            if token in self._special:
                parts += [_text_of(run), texts[token].decode()]
                run = []
            else:
                run.append(texts[token])
        return "".join([*parts, _text_of(run)])

    def token_texts(self) -> list[bytes]:
        """Return the bytes of each id, for special tokens those of their names; none if unused."""
        return self._texts

    @cached_property
    def _texts(self) -> list[bytes]:
        return self.make_texts()

    @cached_property
    def _unused(self) -> frozenset[int]:
        return frozenset(self.unused_ids)

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self.special_tokens.values())


def _text_of(run: Sequence[bytes]) -> str:
    return b"".join(run).decode("utf-8", "replace").removeprefix(" ")


def load_hugging_face(
    file: Path, content: dict[str, Any], text: str, sha256: str, markers: Collection[str] = ()
) -> HuggingFaceTokenizer:
    """Load a tokenizer.json, parsed and as text; added tokens among `markers` are special.

    Raises ValueError for other kinds than byte-level BPE and BPE with byte fallback: what they do
    not know they would write as a special token.
    """
    byte_level = _is_byte_level(file, content)
    special: dict[str, int] = {}
    plain: dict[str, int] = {}
    try:
        vocabulary: dict[str, int] = content["model"]["vocab"]
        added = content.get("added_tokens") or ()
        if any(token["content"] in markers and not token["special"] for token in added):
            added = [{**t, "special": t["special"] or t["content"] in markers} for t in added]
            content = {**content, "added_tokens": added}
            text = json.dumps(content)
        for token in added:
            (special if token["special"] else plain)[str(token["content"])] = int(token["id"])
        ids = {*vocabulary.values(), *special.values(), *plain.values()}
        largest, smallest = max(ids), min(ids)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is no whole tokenizer.json: {error!r}") from None
    if smallest < 0 or largest >= MOST_IDS:
        raise ValueError(f"{file} has ids from {smallest} to {largest}; the file is damaged")
    if byte_level and content["model"].get("unk_token") is not None:
        # A byte without a token is left out; it never becomes the special token named here.
        content = {**content, "model": {**content["model"], "unk_token": None}}
        text = json.dumps(content)
    library = _load_library(file, content, text, special, plain)

    def make_texts() -> list[bytes]:
        texts = [b""] * (largest + 1)
        for token, id in vocabulary.items():
            texts[id] = _byte_level_text(token) if byte_level else _fallback_text(token)
        for name, id in [*plain.items(), *special.items()]:
            texts[id] = name.encode()
        return texts

    return HuggingFaceTokenizer(
        path=file,
        sha256=sha256,
        vocab_size=largest + 1,
        special_tokens=special,
        unused_ids=tuple(sorted(set(range(largest + 1)) - ids)),
        library=library,
        drops_blank=any(map(_drops_blank, _parts(content.get("decoder"), "decoders"))),
        make_texts=make_texts,
    )


def _is_byte_level(file: Path, content: Mapping[str, Any]) -> bool:
    """Whether the vocabulary is byte-level BPE; ValueError for kinds that are not read here.

    Byte fallback wants all bytes, or an unknown one would become a special token. Byte-level
    vocabularies may lack some beside visible ASCII: SmolLM2's has 21 less than all 256.
    """
    model = content["model"]
    kind = model.get("type", "BPE")
    parts = [
        *_parts(content.get("pre_tokenizer"), "pretokenizers"),
        *_parts(content.get("decoder"), "decoders"),
    ]
    byte_level = any(part.get("type") == "ByteLevel" for part in parts)
    if model.get("end_of_word_suffix") or model.get("continuing_subword_prefix"):
        kind += " with marks at the borders of words"
    elif kind == "BPE" and not (byte_level or model.get("byte_fallback")):
        kind += " on characters without byte fallback"
    if kind != "BPE":
        raise ValueError(
            f"{file} is a tokenizer.json of the kind {kind}, wanted byte-level BPE or BPE with "
            "byte fallback, which every model family here has"
        )
    wanted = [f"<0x{value:02X}>" for value in range(256)]
    if byte_level:
        wanted = [character for character, value in _BYTES.items() if 0x20 <= value < 0x7F]
    absent = [token for token in wanted if token not in (model.get("vocab") or ())]
    if absent:
        raise ValueError(
            f"{file} has no token {absent[0]!r}, one of {len(wanted)} for single bytes that are "
            f"wanted and {len(absent)} absent; the file is damaged or of another kind"
        )
    return byte_level


def _parts(setting: Mapping[str, Any] | None, inner: str) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of a pre-tokenizer or decoder, also of sequences in it."""
    if isinstance(setting, Mapping):
        yield setting
        for part in setting.get(inner) or ():
            yield from _parts(part, inner)


def _drops_blank(part: Mapping[str, Any]) -> bool:
    """Whether a part of a decoder takes the blank off that the vocabulary put before a text."""
    if part.get("type") == "Metaspace":
        return part.get("prepend_scheme", "always") != "never"
    return part.get("type") == "Strip" and part.get("content") == " " and part.get("start") == 1


def _byte_level_text(token: str) -> bytes:
    try:
        return bytes([_BYTES[character] for character in token])
    except KeyError:  # an added token that stands in the vocabulary too
        return token.encode()


def _fallback_text(token: str) -> bytes:
    if found := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(found[1], 16)])
    return token.replace(BLANK, " ").encode()


def _load_library(
    file: Path,
    content: dict[str, Any],
    text: str,
    special: Mapping[str, int],
    plain: dict[str, int],
) -> "LibraryTokenizer":
    """Return the library's tokenizer; no text becomes a special id with it.

    Merges could still write a special token that stands in the vocabulary; these are taken out.
    Added tokens after a gap would be numbered anew by the library; these are put in.
    """
    from tokenizers import Tokenizer

    model = content["model"]
    try:
        library = Tokenizer.from_str(text)
        written = _written_by_merges(model, special)
        if written or model.get("dropout") or _misnumbered(library, plain):
            merges = [m for m in _merges(model) if written.isdisjoint((*m, "".join(m)))]
            vocabulary = {t: id for t, id in model["vocab"].items() if t not in written} | plain
            changed = {**model, "vocab": vocabulary, "merges": merges, "dropout": None}
            library = Tokenizer.from_str(json.dumps({**content, "model": changed}))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{file} cannot be read as a tokenizer.json: {error}") from None
    if wrong := _misnumbered(library, plain):
        raise ValueError(f"{file} has two ids for its token {wrong[0]!r}; the file is damaged")
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = True
    return library


def _written_by_merges(model: Mapping[str, Any], special: Mapping[str, int]) -> set[str]:
    """Return the special tokens that text could become by merges, or as a piece looked up whole."""
    known = {name for name in special if name in model["vocab"]}
    if not known or model.get("ignore_merges"):
        return known
    return known & {"".join(merge) for merge in _merges(model)}


def _merges(model: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the pairs that are merged, which older files write with a blank between."""
    merges = model.get("merges") or ()
    return [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in merges]


def _misnumbered(library: "LibraryTokenizer", plain: Mapping[str, int]) -> list[str]:
    return [name for name, id in plain.items() if library.token_to_id(name) != id]
