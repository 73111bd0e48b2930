"""Rows to tokens: what each process of a build does with a block of rows, and what it counts."""

from array import array
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chat.conversation import Conversation
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import (
    Tokens,
    check_last_sequence,
    check_readable,
    encode_conversation,
)
from chat.tokenizers.tokenizer import Tokenizer
from data.bounded_counts import MOST_NAMED, add_count
from data.building.fitting import without_spare_tools
from data.building.mixture import Part, Work, copies
from data.building.splitting import load_places, place_by_prompt, place_by_tools
from data.building.trained_turns import trained_sequences, whole_text
from data.conversations import content_sha256, fraction, read_conversation
from data.reading.rows import RawRow, parsed
from data.split_files import Block, Origin, Sample, make_block


@dataclass(frozen=True)
class Job:
    """What every row of a build is encoded with."""

    parts: tuple[Part, ...]
    tokenizer_file: Path
    chat_format: str
    max_seq_len: int
    val_ratio: float
    seed: int
    # One of TRAIN_ON of data/building/trained_turns.py.
    train_on: str = "assistant"
    # One of SPLITS_BY of data/building/splitting.py.
    split_by: str = "conversation"
    # Where the places of the tools are, when tools decide the split.
    places_file: Path | None = None


# The lists of a tally.
LISTS = ("overlong", "untrained", "unwritable", "tools_dropped")


@dataclass
class Tally:
    """What was taken and what was left out, in a form that JSON keeps.

    files: For each part of the mixture its rows ("conversations"), and of them how many were not
        drawn; and how many samples they became in each split.
    overlong, untrained, unwritable, tools_dropped: What was left out or shortened; `unwritable`
        is what the chat format has no way to write. Of all blocks together, the first MOST_NAMED
        of each.
    counts: How many there were of each of these.
    longest: The entry of the longest of the overlong ones.
    least, greatest: The places of the taken conversations lie between these.
    """

    files: list[dict[str, int]]
    sources: dict[str, int] = field(default_factory=dict)
    overlong: list[dict[str, Any]] = field(default_factory=list)
    untrained: list[str] = field(default_factory=list)
    unwritable: list[dict[str, str]] = field(default_factory=list)
    tools_dropped: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LISTS, 0))
    longest: dict[str, Any] | None = None
    least: float = 1.0
    greatest: float = 0.0

    @staticmethod
    def empty(parts: int) -> "Tally":
        """Return the tally of no rows."""
        names = ("conversations", "not_drawn", "train", "validation")
        return Tally([dict.fromkeys(names, 0) for _ in range(parts)])

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return sum(file["conversations"] for file in self.files)

    @property
    def entries(self) -> int:
        """How many entries it has that grow with the rows."""
        return len(self.sources) + sum(len(getattr(self, name)) for name in LISTS)

    def add(self, other: "Tally") -> None:
        """Count what another process counted in one block."""
        for mine, theirs in zip(self.files, other.files, strict=True):
            for name, number in theirs.items():
                mine[name] += number
        for source, count in other.sources.items():
            add_count(self.sources, source, count)
        for name in LISTS:
            mine, theirs = getattr(self, name), getattr(other, name)
            self.counts[name] += len(theirs)
            mine += theirs[: MOST_NAMED - len(mine)]
        for entry in other.overlong:
            if self.longest is None or entry["tokens"] > self.longest["tokens"]:
                self.longest = entry
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Encoded:
    """A block of rows as blocks of the splits, and what was counted; `size` is that of the work."""

    blocks: dict[str, Block]
    tally: Tally
    size: int


def encode(work: Work, job: Job) -> Encoded:
    """Encode the rows of one block; ValueError names the row that cannot be used."""
    format = find_format(job.chat_format)
    tokenizer = load_tokenizer(job.tokenizer_file, job.chat_format)
    encoder = _Encoder(job, work.part, format, tokenizer)
    samples: dict[str, list[Sample]] = {}
    for row in work.rows:
        for sample in encoder.samples(parsed(row)):
            samples.setdefault(sample.split, []).append(sample)
    blocks = {split: make_block(taken, tokenizer.vocab_size) for split, taken in samples.items()}
    return Encoded(blocks, encoder.tally, work.size)


@cache
def load_tokenizer(path: Path, chat_format: str) -> Tokenizer:
    """Load a tokenizer once in each process."""
    return find_format(chat_format).load_tokenizer(path)


class _Encoder:
    """Turns the rows of one part into samples."""

    def __init__(self, job: Job, part: int, format: ChatFormat, tokenizer: Tokenizer) -> None:
        self.job = job
        self.part = job.parts[part]
        self.format = format
        self.tokenizer = tokenizer
        self.tally = Tally.empty(len(job.parts))
        self.counts = self.tally.files[part]

    def samples(self, row: RawRow) -> list[Sample]:
        """Return the samples of a row: one, none, or several if its file has a weight above 1."""
        conversation = read_conversation(row, self.part.file)
        self.counts["conversations"] += 1
        try:
            return self._taken(conversation)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{self.part.file}: row {row.index} ({row.place}) holds "
                f"{error.object[error.start]!r}, half of a character, which is no text; leave such "
                f"rows out with: python scripts/clean_dataset.py --source-file {self.part.file} "
                "--save-file F"
            ) from error
        except ValueError as error:
            raise ValueError(f"{self.part.file}: row {row.index} ({row.place}): {error}") from error

    def _taken(self, conversation: Conversation) -> list[Sample]:
        content = content_sha256(conversation)
        times = copies(self.part.weight, content, self.job.seed)
        if times == 0:
            self.counts["not_drawn"] += 1
            return []
        encoded = self._encoded(conversation)
        if not encoded:
            return []
        where = self._place(conversation, content)
        return [
            sample
            for sequence, tokens in encoded
            for sample in self._counted(sequence, tokens, where, times)
        ]

    def _place(self, conversation: Conversation, content: str) -> float:
        """Return the place of a conversation whose content has this sha256."""
        if self.job.places_file is not None:
            return place_by_tools(conversation, load_places(self.job.places_file))
        return place_by_prompt(conversation) if self.job.split_by == "prompt" else place(content)

    def _encoded(self, conversation: Conversation) -> list[tuple[Conversation, Tokens]]:
        """Return what is trained on and fits, with its tokens; the rest is counted."""
        encoded: list[tuple[Conversation, Tokens]] = []
        learnt = False
        try:
            check_readable(conversation, self.format)
            check_last_sequence(conversation, self.format)
            for sequence in trained_sequences(conversation, self.format, self.job.train_on):
                tokens = self._rendered(sequence)
                learnt = learnt or any(tokens.trained)
                if not learnt:
                    continue
                if len(tokens.ids) <= self.job.max_seq_len:
                    encoded.append((sequence, tokens))
                elif fitted := self._fitted(sequence, len(tokens.ids)):
                    encoded.append(fitted)
                else:
                    # Those that follow are longer still.
                    break
        except CannotWrite as error:
            self.tally.unwritable.append({"id": conversation.id, "reason": str(error)})
            return []
        if not learnt:
            self.tally.untrained.append(conversation.id)
        return encoded

    def _fitted(
        self, conversation: Conversation, length: int
    ) -> tuple[Conversation, Tokens] | None:
        fitted = without_spare_tools(
            conversation,
            lambda shortened: len(self._rendered(shortened).ids),
            self.job.max_seq_len,
        )
        if fitted is None:
            self.tally.overlong.append({"id": conversation.id, "tokens": length})
            return None
        kept = {tool.name for tool in fitted.tools}
        tokens = self._rendered(fitted)
        dropped = [tool.name for tool in conversation.tools if tool.name not in kept]
        self.tally.tools_dropped.append(
            {
                "id": conversation.id,
                "tools": dropped,
                "tokens_before": length,
                "tokens": len(tokens.ids),
            }
        )
        return fitted, tokens

    def _rendered(self, conversation: Conversation) -> Tokens:
        tokens = encode_conversation(conversation, self.format, self.tokenizer)
        return whole_text(tokens) if self.job.train_on == "all" else tokens

    def _counted(
        self, conversation: Conversation, tokens: Tokens, place: float, times: int
    ) -> list[Sample]:
        split = "validation" if place < self.job.val_ratio else "train"
        # Validation measures each conversation once, whatever its weight.
        times = times if split == "train" else 1
        tally, source = self.tally, conversation.source
        tally.sources[source] = tally.sources.get(source, 0) + times
        tally.least, tally.greatest = min(tally.least, place), max(tally.greatest, place)
        self.counts[split] += times
        kept = None
        if split == "validation":
            record = conversation.to_record()
            kept = {"tools": record["tools"], "messages": record["messages"]}
        origin = Origin(conversation.id, source, conversation.sha256, kept)
        # Converting a list directly takes three times as long.
        ids = np.frombuffer(array("I", tokens.ids), dtype=np.uint32)
        trained = np.frombuffer(bytes(tokens.trained), dtype=np.bool_)
        roles = np.frombuffer(tokens.roles, dtype=np.uint8)
        return [Sample(ids, trained, split, origin, roles)] * times


def place(content: str) -> float:
    """Return a number in [0, 1) from a conversation's content alone: copies share a split."""
    return fraction(content)
