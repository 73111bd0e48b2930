"""The files of a split and how they are written: conversations end to end, a block at a time."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.json_file import write_json

KIND = "tokenized dataset"
FORMAT_VERSION = 2
DESCRIPTION = "dataset.json"
SPLITS = ("train", "validation")
FILES = {
    "tokens": "tokens.bin",
    "trained": "trained.bin",
    "roles": "roles.bin",
    "offsets": "offsets.bin",
    "origins": "origins.jsonl",
    "origin_offsets": "origins.offsets.bin",
}
FINGERPRINTED = ("tokens", "trained", "offsets")
_CHUNK = 2**20
# json.dumps with this option makes an encoder for every call.
_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class Origin:
    """Where a conversation came from: its id, its source and the sha256 of its raw row.

    conversation: Only in the validation split: tools and messages as JSON, so that replies can be
        judged without the file that the conversation came from.
    kind: Only in a dataset of pairs: what is wrong with the rejected reply.
    """

    id: str = ""
    source: str = ""
    sha256: str = ""
    conversation: Mapping[str, Any] | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Sample:
    """One conversation: trained[j] says that token j is to be predicted from those before it.

    roles: The role of each token's turn, a place in chat.formats.rendering.TOKEN_ROLES; none are
        known without it.
    """

    tokens: Sequence[int] | np.ndarray
    trained: Sequence[bool] | np.ndarray
    split: str = "train"
    origin: Origin = Origin()
    roles: Sequence[int] | np.ndarray | None = None


@dataclass(frozen=True)
class Encoding:
    """What turned text into token ids; `vocab_size` counts the special tokens too.

    tokenizer_file: As the user named it, the file or its directory; empty where nobody did.
    """

    chat_format: str
    tokenizer_sha256: str
    vocab_size: int
    special_tokens: Mapping[str, int]
    tokenizer_file: str = ""


@dataclass(frozen=True)
class Block:
    """Conversations of one split as the bytes to append to its files, with the length of each."""

    tokens: bytes
    trained: bytes
    roles: bytes
    lengths: np.ndarray
    origins: bytes
    origin_lengths: np.ndarray
    trained_tokens: int


def make_block(samples: Sequence[Sample], vocab_size: int) -> Block:
    """Put samples end to end; ValueError names the first that cannot be trained on."""
    tokens = [np.asarray(sample.tokens) for sample in samples]
    trained = [np.asarray(sample.trained, dtype=np.bool_) for sample in samples]
    lengths = np.array([len(ids) for ids in tokens], dtype=np.int64)
    all_tokens, masks = np.concatenate(tokens), np.concatenate(trained)
    if not _are_sound(all_tokens, masks, lengths, [len(mask) for mask in trained], vocab_size):
        for sample, ids, mask in zip(samples, tokens, trained, strict=True):
            _check(sample.origin, ids, mask, vocab_size)
    lines = [_origin_line(sample.origin) for sample in samples]
    return Block(
        tokens=all_tokens.astype("<u4").tobytes(),
        trained=masks.tobytes(),
        roles=b"".join(map(_role_bytes, samples)),
        lengths=lengths,
        origins=b"".join(lines),
        origin_lengths=np.array([len(line) for line in lines], dtype=np.int64),
        trained_tokens=int(np.count_nonzero(masks)),
    )


def _are_sound(
    tokens: np.ndarray,
    trained: np.ndarray,
    lengths: np.ndarray,
    mask_lengths: list[int],
    vocab_size: int,
) -> bool:
    """Whether all samples of a block pass `_check`, which is slower but says what is wrong."""
    if lengths.tolist() != mask_lengths or not lengths.all():
        return False
    starts = np.cumsum(lengths) - lengths
    return bool(
        np.logical_or.reduceat(trained, starts).all()
        and not trained[starts].any()
        and tokens.min() >= 0
        and tokens.max() < vocab_size
    )


def _role_bytes(sample: Sample) -> bytes:
    if sample.roles is None:
        return bytes(len(sample.tokens))
    return np.asarray(sample.roles, dtype=np.uint8).tobytes()


def _origin_line(origin: Origin) -> bytes:
    known = {name: value for name, value in vars(origin).items() if value is not None}
    # A lone surrogate cannot be encoded as UTF-8; escaped, it is read back unchanged.
    return _ENCODER.encode(known).encode("utf-8", "backslashreplace") + b"\n"


def _check(origin: Origin, tokens: np.ndarray, trained: np.ndarray, vocab_size: int) -> None:
    name = f"conversation {origin.id!r}"
    if len(tokens) != len(trained):
        raise ValueError(f"{name} has {len(tokens)} tokens but a mask of {len(trained)}")
    if not trained.any():
        raise ValueError(f"{name} has no token to train on; leave it out")
    if trained[0]:
        raise ValueError(f"{name} trains its first token, which nothing comes before")
    if tokens.min() < 0 or tokens.max() >= vocab_size:
        raise ValueError(
            f"{name} holds token {int(tokens.max())}, and the tokenizer has {vocab_size}"
        )


@dataclass
class Counts:
    """What a split holds so far; with it, files that were cut to `sizes` can be continued."""

    conversations: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    origin_bytes: int = 0

    def sizes(self) -> dict[str, int]:
        """Return how many bytes each file has."""
        offsets = 8 * (self.conversations + 1)
        return {
            "tokens": 4 * self.tokens,
            "trained": self.tokens,
            "roles": self.tokens,
            "offsets": offsets,
            "origins": self.origin_bytes,
            "origin_offsets": offsets,
        }


def file_sizes(counts: Mapping[str, Counts]) -> dict[str, int]:
    """Return how many bytes each file of a dataset has, by its name."""
    return {
        f"{split}.{FILES[part]}": size
        for split, count in counts.items()
        for part, size in count.sizes().items()
    }


class SplitWriter:
    """Appends blocks to the files of one split and counts what they hold."""

    def __init__(
        self, directory: Path, split: str, files: ExitStack, counts: Counts | None = None
    ) -> None:
        self.paths = {part: directory / f"{split}.{name}" for part, name in FILES.items()}
        self.counts = counts or Counts()
        self.streams = {
            part: files.enter_context(path.open("ab")) for part, path in self.paths.items()
        }
        self._hashes = {part: hashlib.sha256() for part in FILES}
        if counts:
            for part, size in counts.sizes().items():
                self.streams[part].truncate(size)
                with self.paths[part].open("rb") as written:
                    while chunk := written.read(_CHUNK):
                        self._hashes[part].update(chunk)
        else:
            for part in ("offsets", "origin_offsets"):
                self._write(part, np.int64(0).astype("<i8").tobytes())

    def add(self, block: Block) -> None:
        """Append the conversations of a block."""
        counts = self.counts
        offsets = counts.tokens + np.cumsum(block.lengths)
        origin_offsets = counts.origin_bytes + np.cumsum(block.origin_lengths)
        parts = {
            "tokens": block.tokens,
            "trained": block.trained,
            "roles": block.roles,
            "offsets": offsets.astype("<i8").tobytes(),
            "origins": block.origins,
            "origin_offsets": origin_offsets.astype("<i8").tobytes(),
        }
        for part, data in parts.items():
            self._write(part, data)
        counts.conversations += len(block.lengths)
        counts.tokens += len(block.trained)
        counts.trained_tokens += block.trained_tokens
        counts.longest = max(counts.longest, int(block.lengths.max()))
        counts.origin_bytes += len(block.origins)

    def _write(self, part: str, data: bytes) -> None:
        self.streams[part].write(data)
        self._hashes[part].update(data)

    def sha256s(self) -> dict[str, str]:
        """Return the sha256 of what each file holds so far."""
        return {part: found.hexdigest() for part, found in self._hashes.items()}

    def flush(self) -> None:
        """Bring everything to the disk."""
        for stream in self.streams.values():
            stream.flush()
            os.fsync(stream.fileno())

    def finish(self) -> dict[str, Any]:
        """Close the files and return what dataset.json says of this split."""
        for stream in self.streams.values():
            stream.close()
        fingerprint = hashlib.sha256()
        for part in FINGERPRINTED:
            fingerprint.update(self._hashes[part].digest())
        counts = asdict(self.counts)
        del counts["origin_bytes"]
        return {**counts, "fingerprint": fingerprint.hexdigest()}


def sha256s_of(writers: Mapping[str, SplitWriter]) -> dict[str, dict[str, str]]:
    """Return the sha256 of what each file of each split holds so far."""
    return {split: writer.sha256s() for split, writer in writers.items()}


def describe(
    encoding: Encoding, splits: Mapping[str, Any], notes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what dataset.json says; ValueError when a split is empty."""
    for split, counts in splits.items():
        if counts["conversations"] == 0:
            raise ValueError(f"the {split} split would be empty; change --val-ratio")
    return {"format_version": FORMAT_VERSION, **asdict(encoding), "splits": dict(splits), **notes}


def write_description(directory: Path, description: Mapping[str, Any]) -> None:
    """Write dataset.json."""
    write_json(directory / DESCRIPTION, description)
