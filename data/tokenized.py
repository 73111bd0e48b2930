"""A tokenised dataset on disk: memory-mapped tokens, masks and offsets of each split.

    dataset.json              chat format, tokenizer, counts, fingerprints, provenance; group_size
                              2 where two conversations that follow one another are a pair
    train.tokens.bin          uint32, all conversations end to end
    train.trained.bin         one byte a token, 1 where the token is to be predicted
    train.roles.bin           one byte a token, the role of its turn, a place in
                              chat.formats.rendering.TOKEN_ROLES
    train.offsets.bin         int64, one more than there are conversations
    train.origins.jsonl       id, source and sha256 of each conversation
    train.origins.offsets.bin int64, where each of those lines begins
    validation.*              likewise; its origins hold the conversations themselves, too

Fingerprint of a split: sha256 over the sha256s of its tokens, mask and offsets.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from console.command import shell_quote
from data.split_files import (
    DESCRIPTION,
    FILES,
    FINGERPRINTED,
    FORMAT_VERSION,
    SPLITS,
    Origin,
)
from storage.json_file import read_json_object
from storage.manifest import sha256_of_file, trusts_files
from storage.replacement import restore
from storage.verified import VerifiedFile, open_verified, recorded

# A conversation alone, or a pair: two conversations that differ in their last turn.
GROUP_SIZES = (1, 2)


class TokenizedDataset:
    """One split of a dataset, memory-mapped: its files are read on access.

    group_size: How many conversations that follow one another belong together: 1, or 2 in a dataset
        of pairs, where conversation 2i ends with the chosen reply and 2i+1 with the rejected one.
    """

    def __init__(self, directory: Path, split: str, description: Mapping[str, Any]) -> None:
        self.directory = directory
        self.split = split
        self.description = description
        self.chat_format: str = description["chat_format"]
        self.tokenizer_sha256: str = description["tokenizer_sha256"]
        self.vocab_size: int = description["vocab_size"]
        self.special_tokens: Mapping[str, int] = description["special_tokens"]
        self.group_size: int = description.get("group_size", 1)
        counts = description["splits"][split]
        self.fingerprint: str = counts["fingerprint"]
        self.total_tokens: int = counts["tokens"]
        self.trained_tokens: int = counts["trained_tokens"]
        self.longest: int = counts["longest"]
        conversations = counts["conversations"]
        self._tokens = self._map("tokens", "<u4", self.total_tokens)
        self._trained = self._map("trained", "?", self.total_tokens)
        self._roles = self._map("roles", "u1", self.total_tokens)
        self._origin_offsets = self._map("origin_offsets", "<i8", conversations + 1)
        self._origins = open_verified(self._file("origins"))
        self._check_fingerprint()
        self._offsets = self._map("offsets", "<i8", conversations + 1)[:]
        self.lengths: np.ndarray = np.diff(self._offsets)
        self._check_offsets()

    @staticmethod
    def open(directory: Path | str, split: str) -> "TokenizedDataset":
        """Open one split, "train" or "validation"; ValueError when files are short or foreign."""
        directory = Path(directory)
        if split not in SPLITS:
            raise ValueError(f"no split {split!r} in a dataset; there are {', '.join(SPLITS)}")
        return TokenizedDataset(directory, split, read_description(directory))

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, index: int) -> np.ndarray:
        """Return the token ids of one conversation, uint32."""
        return self._tokens[self._span(index)]

    def trained(self, index: int) -> np.ndarray:
        """Return which tokens of one conversation are to be predicted, bool."""
        return self._trained[self._span(index)]

    def roles(self, index: int) -> np.ndarray:
        """Return the role of each token's turn, uint8; see chat.formats.rendering.TOKEN_ROLES."""
        return self._roles[self._span(index)]

    def pieces(self, most: int) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield all conversations in pieces of about `most` tokens, each end to end.

        A piece is the number of its first conversation, its tokens, its mask, and the lengths of
        its conversations.
        """
        first = 0
        while first < len(self):
            end = int(np.searchsorted(self._offsets, self._offsets[first] + most, side="right")) - 1
            end = min(max(end, first + 1), len(self))
            span = slice(int(self._offsets[first]), int(self._offsets[end]))
            yield first, self._tokens[span], self._trained[span], self.lengths[first:end]
            first = end

    def origin(self, index: int) -> Origin:
        """Return where one conversation came from."""
        self._span(index)
        start, end = self._origin_offsets[index : index + 2].tolist()
        self._origins.check(start, end)
        with self._file("origins").open("rb") as stream:
            stream.seek(start)
            return self._as_origin(stream.read(end - start))

    def id_of(self, index: int) -> str:
        """Return the id of one conversation, or its number where it has none."""
        return self.origin(index).id or f"number {index}"

    def origins(self) -> Iterator[Origin]:
        """Yield where each conversation came from, in order, reading the file once."""
        end = 0
        with self._file("origins").open("rb") as stream:
            for line in stream:
                start, end = end, end + len(line)
                self._origins.check(start, end)
                yield self._as_origin(line)

    def _as_origin(self, line: bytes) -> Origin:
        try:
            return Origin(**json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self._file('origins')} has a line that is no origin ({error}); "
                f"{_rebuild(self.directory)}"
            ) from None

    def _span(self, index: int) -> slice:
        if not 0 <= index < len(self):
            raise IndexError(f"no conversation {index}: the {self.split} split has {len(self)}")
        return slice(int(self._offsets[index]), int(self._offsets[index + 1]))

    def _file(self, part: str) -> Path:
        return self.directory / f"{self.split}.{FILES[part]}"

    def _check_fingerprint(self) -> None:
        """Raise ValueError unless the files' hashes are those that the fingerprint was made of.

        They are the manifest's, compared where a part is read; without a manifest the files are
        read now.
        """
        if trusts_files():
            return
        found = hashlib.sha256()
        for part in FINGERPRINTED:
            entry = recorded(self._file(part))
            sha256 = entry["sha256"] if entry else sha256_of_file(self._file(part))
            found.update(bytes.fromhex(sha256))
        if found.hexdigest() != self.fingerprint:
            raise ValueError(
                f"{self.directory}: the files of the {self.split} split are not those whose "
                f"fingerprint {DESCRIPTION} has: they were damaged or changed; "
                f"{_rebuild(self.directory)}, or take them as they are with --trust-files"
            )

    def _check_offsets(self) -> None:
        """Raise ValueError unless the conversations lie end to end in all of the tokens."""
        if self._offsets[0] or self._offsets[-1] != self.total_tokens or self.lengths.min() < 1:
            raise ValueError(
                f"{self._file('offsets')} does not cut {self.total_tokens:,} tokens into "
                f"{len(self)} conversations: it was damaged; {_rebuild(self.directory)}"
            )

    def _map(self, part: str, kind: str, count: int) -> "_VerifiedArray":
        file, wanted = self._file(part), count * np.dtype(kind).itemsize
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; {_rebuild(self.directory)}")
        found = file.stat().st_size
        if found != wanted:
            raise ValueError(
                f"{file} has {found} bytes and dataset.json wants {wanted}: it was cut short or "
                f"changed; {_rebuild(self.directory)}"
            )
        array = np.memmap(file, dtype=kind, mode="r", shape=(count,))
        return _VerifiedArray(array, open_verified(file))


class _VerifiedArray:
    """A mapped array [N] whose parts are compared with their recorded hashes when first taken."""

    def __init__(self, array: np.ndarray, file: VerifiedFile) -> None:
        self.array, self.file = array, file

    def __getitem__(self, span: slice) -> np.ndarray:
        found = self.array[span]
        start, end, _ = span.indices(len(self.array))
        self.file.check(start * self.array.itemsize, end * self.array.itemsize)
        return found


def read_description(directory: Path | str) -> dict[str, Any]:
    """Return what dataset.json says; one line when `directory` is not a dataset."""
    file = Path(directory) / DESCRIPTION
    restore(Path(directory))
    if Path(directory).is_file():
        raise FileNotFoundError(
            f"{directory} is a file, wanted a dataset's directory; make one of it with: python "
            f"scripts/clean_dataset.py --source-file {shell_quote(directory)} --save-file F, then "
            "python scripts/build_dataset.py --source-file F --tokenizer-file F --save-dir D"
        )
    if not file.is_file():
        raise FileNotFoundError(
            f"{directory} is not a dataset (it has no {DESCRIPTION}); {_rebuild(directory)}"
        )
    description = read_json_object(file)
    try:
        version = description["format_version"]
        counts = [description["splits"][split]["conversations"] for split in SPLITS]
        group_size = description.get("group_size", 1)
        whole = group_size in GROUP_SIZES and not any(count % group_size for count in counts)
        sound = all(_is_sound(description["splits"][split]) for split in SPLITS)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error!r}); {_rebuild(directory)}") from error
    if not sound:
        raise ValueError(
            f"{file} has counts that are no whole numbers, or no fingerprint; {_rebuild(directory)}"
        )
    if version != FORMAT_VERSION or not all(counts):
        raise ValueError(
            f"{file} is of format {version!r}, wanted {FORMAT_VERSION}; {_rebuild(directory)}"
        )
    if not whole:
        raise ValueError(
            f"{file} says group_size {group_size!r} of {counts} conversations, wanted 1, or 2 with "
            f"both conversations of each pair; {_rebuild(directory)}"
        )
    return description


def _is_sound(split: Mapping[str, Any]) -> bool:
    """Whether what dataset.json says of a split is of the types that it is written in."""
    names = ("conversations", "tokens", "trained_tokens", "longest")
    numbers = all(type(split[name]) is int and split[name] >= 0 for name in names)
    return numbers and isinstance(split["fingerprint"], str)


def _rebuild(directory: Path | str) -> str:
    return (
        "make it with: python scripts/build_dataset.py --source-file F --tokenizer-file F "
        f"--save-dir {shell_quote(directory)}"
    )
