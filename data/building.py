"""Turn canonical conversations into a tokenised dataset: render, tokenise, split, write."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from chat.conversation import Conversation
from chat.formats import find_format, render, stop_ids, tokenize, unreadable_turns
from chat.tokenizer import Tokenizer, load_tokenizer
from console.progress import byte_bar
from data.conversations import content_sha256, fraction, read_conversation
from data.parallel import in_order
from data.sources.rows import RawRow, counted, read_rows, size_of
from data.tokenized import KIND, Encoding, Origin, Sample, write_dataset
from storage.atomic import refuse_foreign_directory
from storage.manifest import sha256_of_file


@dataclass(frozen=True)
class Settings:
    """What a user chooses; the flags of scripts/build_dataset.py say what each does."""

    val_ratio: float = 0.15
    chat_format: str = "llama3"
    max_seq_len: int = 8192
    skip_overlong: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.val_ratio, float | int) or not 0 < self.val_ratio < 1:
            raise ValueError(
                f"--val-ratio is {self.val_ratio!r}, wanted more than 0 and less than 1"
            )
        if not isinstance(self.max_seq_len, int) or self.max_seq_len < 2:
            raise ValueError(f"--max-seq-len is {self.max_seq_len!r}, wanted a number from 2 up")


def build_dataset(
    source_file: Path | str,
    tokenizer_file: Path | str,
    save_dir: Path | str,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Write the dataset of a file of conversations and return its description.

    Nothing is written, and ValueError says what to do, when a row cannot be read, when
    conversations are too long or train nothing and are not to be skipped, or a split is empty.
    """
    settings = settings or Settings()
    source, directory = Path(source_file), Path(save_dir)
    refuse_foreign_directory(directory, KIND)
    format = find_format(settings.chat_format)
    tokenizer = load_tokenizer(tokenizer_file, format.special_table)
    stop_ids(format, tokenizer)
    encode = partial(_encode, source=source, tokenizer_file=tokenizer.path, settings=settings)
    taken = _Taken(source, settings)
    with byte_bar("Tokenising", size_of(source)) as advance:
        samples = taken.samples(in_order(encode, counted(read_rows(source), advance)))
        return write_dataset(directory, samples, _encoding(tokenizer, format.name), taken.notes)


@dataclass(frozen=True)
class _Encoded:
    """A conversation as ids and mask; its place in [0, 1) decides its split."""

    tokens: np.ndarray
    trained: np.ndarray
    origin: Origin
    place: float


@cache
def _tokenizer(path: Path, special_table: str) -> Tokenizer:
    """Load a tokenizer once in each process."""
    return load_tokenizer(path, special_table)


def _encode(row: RawRow, source: Path, tokenizer_file: Path, settings: Settings) -> _Encoded:
    conversation = read_conversation(row, source)
    format = find_format(settings.chat_format)
    try:
        if unreadable := unreadable_turns(conversation, format):
            raise ValueError(f"{unreadable[0]}; reword that turn or leave the row out")
        tokens = tokenize(
            render(conversation, format), _tokenizer(tokenizer_file, format.special_table)
        )
    except ValueError as error:
        raise ValueError(f"{source}: row {row.index} ({row.place}): {error}") from error
    return _Encoded(
        tokens=np.array(tokens.ids, dtype=np.uint32),
        trained=np.array(tokens.trained, dtype=np.bool_),
        origin=Origin(conversation.id, conversation.source, conversation.sha256),
        place=_place(conversation),
    )


def _place(conversation: Conversation) -> float:
    """Return a number from the conversation's content alone, so copies fall into one split."""
    return fraction(content_sha256(conversation))


def _encoding(tokenizer: Tokenizer, chat_format: str) -> Encoding:
    return Encoding(
        chat_format, tokenizer.sha256, tokenizer.vocab_size, dict(tokenizer.special_tokens)
    )


@dataclass
class _Taken:
    """What was taken into the dataset and what was left out, and what dataset.json says of it."""

    source: Path
    settings: Settings
    rows: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    overlong: list[tuple[str, int]] = field(default_factory=list)
    untrained: list[str] = field(default_factory=list)
    least: float = 1.0
    greatest: float = 0.0

    def samples(self, encoded: Iterator[_Encoded]) -> Iterator[Sample]:
        """Yield what can be trained on; ValueError at the end when that is not as wanted."""
        for each in encoded:
            self.rows += 1
            if len(each.tokens) > self.settings.max_seq_len:
                self.overlong.append((each.origin.id, len(each.tokens)))
                continue
            if not each.trained.any():
                self.untrained.append(each.origin.id)
                continue
            self.sources[each.origin.source] += 1
            self.least = min(self.least, each.place)
            self.greatest = max(self.greatest, each.place)
            split = "validation" if each.place < self.settings.val_ratio else "train"
            yield Sample(each.tokens, each.trained, split, each.origin)
        self._refuse_left_out()
        self._refuse_empty_split()

    def notes(self) -> dict[str, Any]:
        """Return the provenance and the rejected conversations for dataset.json."""
        return {
            "provenance": {
                "file": self.source.name,
                "sha256": sha256_of_file(self.source),
                "conversations": self.rows,
                "sources": dict(self.sources),
                "val_ratio": self.settings.val_ratio,
                "max_seq_len": self.settings.max_seq_len,
            },
            "rejected": {
                "overlong": [{"id": id, "tokens": tokens} for id, tokens in self.overlong],
                "untrained": self.untrained,
            },
        }

    def _refuse_left_out(self) -> None:
        if self.settings.skip_overlong:
            return
        if self.overlong:
            id, tokens = max(self.overlong, key=lambda each: each[1])
            raise ValueError(
                f"{self.source}: {len(self.overlong)} of {self.rows} conversations are longer than "
                f"--max-seq-len {self.settings.max_seq_len}, the longest, {id}, has {tokens} "
                "tokens; raise --max-seq-len, or leave them out with --skip-overlong"
            )
        if self.untrained:
            raise ValueError(
                f"{self.source}: {len(self.untrained)} of {self.rows} conversations have no "
                f"assistant turn to train on, the first is {self.untrained[0]}; clean the file "
                "with scripts/clean_dataset.py, or leave them out with --skip-overlong"
            )

    def _refuse_empty_split(self) -> None:
        ratio, count = self.settings.val_ratio, sum(self.sources.values())
        if self.least < ratio <= self.greatest:
            return
        if self.least >= self.greatest:
            raise ValueError(
                f"{self.source} holds {count} conversations that can be trained on; training and "
                "validation need two that differ"
            )
        empty = "validation" if ratio <= self.least else "train"
        raise ValueError(
            f"{self.source}: with --val-ratio {ratio} the {empty} split of {count} conversations "
            f"would be empty; use --val-ratio {_between(self.least, self.greatest)}"
        )


def _between(least: float, greatest: float) -> str:
    """Return a short ratio that puts the least place into validation, the greatest into train."""
    for digits in range(1, 17):
        step = 10**-digits
        ratio = (int(least / step) + 1) * step
        if least < ratio < greatest:
            return f"{ratio:.{digits}f}"
    return repr(greatest)
