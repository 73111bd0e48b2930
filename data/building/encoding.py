"""Rows to tokens: what each process of a build does with a block of rows, and what it counts."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from chat.conversation import Conversation, Tool
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import (
    Tokens,
    check_last_sequence,
    check_readable,
    encode_conversation,
    training_sequences,
)
from chat.tokenizers.tokenizer import Tokenizer
from data.building.fitting import without_spare_tools
from data.building.mixture import Part, Work, copies
from data.building.splitting import load_places, place_by_prompt, place_by_tools
from data.building.tally import Tally
from data.building.trained_turns import trained_sequences, whole_text
from data.conversations import content_sha256, fraction, read_conversation
from data.pairs import ReplyPair, not_learnt, read_pair, said
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
    # Whether the rows are pairs of replies.
    pairs: bool = False


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
        """Return the samples of a row: one, none, or several if its file has a weight above 1.

        Those of a pair are two, the chosen side and the rejected one.
        """
        read = read_pair if self.job.pairs else read_conversation
        found = read(row, self.part.file)
        self.counts["conversations"] += 1
        try:
            return self._taken_pair(found) if isinstance(found, ReplyPair) else self._taken(found)
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
        where = self._place(conversation, content)
        return [
            sample
            for sequence, tokens in self._encoded(conversation)
            for sample in self._counted(sequence, tokens, where, times)
        ]

    def _taken_pair(self, pair: ReplyPair) -> list[Sample]:
        """Return the chosen and the rejected side, as often as the file's weight says."""
        content = f"{pair.prompt_sha256} {said(pair.chosen)} {said(pair.rejected)}"
        times = copies(self.part.weight, content, self.job.seed)
        if times == 0:
            self.counts["not_drawn"] += 1
            return []
        where = self._place(pair.prompt, content)
        taken = []
        for number, (side, tokens) in enumerate(self._encoded_pair(pair)):
            # Replies of validation are judged by the chosen one alone.
            kept = replace(side, messages=not_learnt(side.messages)) if number else side
            taken.append(self._counted(kept, tokens, where, times, pair.kind))
        return [sample for both in zip(*taken, strict=True) for sample in both]

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
                elif fitted := self._fitted([sequence], len(tokens.ids)):
                    encoded += fitted
                else:
                    # Those that follow are longer still.
                    break
        except CannotWrite as error:
            self.tally.unwritable.append({"id": conversation.id, "reason": str(error)})
            return []
        if not learnt:
            self.tally.untrained.append(conversation.id)
        return encoded

    def _encoded_pair(self, pair: ReplyPair) -> list[tuple[Conversation, Tokens]]:
        """Return both sides with their tokens where both can be learnt from; else it is counted."""
        chosen, rejected = pair.sides
        try:
            # What is wrong with a rejected reply may be just that it cannot be read.
            check_readable(chosen, self.format)
            sides = [
                (sequence, self._rendered(sequence))
                for side in (chosen, rejected)
                for sequence in training_sequences(side, self.format)
            ]
            if sides[0][1].ids == sides[1][1].ids:
                raise CannotWrite("chosen and rejected are written alike")
        except CannotWrite as error:
            self.tally.unwritable.append({"id": pair.id, "reason": str(error)})
            return []
        if not all(any(tokens.trained) for _, tokens in sides):
            self.tally.untrained.append(pair.id)
            return []
        longest = max(len(tokens.ids) for _, tokens in sides)
        if longest <= self.job.max_seq_len:
            return sides
        return self._fitted([side for side, _ in sides], longest)

    def _fitted(
        self, sequences: Sequence[Conversation], length: int
    ) -> list[tuple[Conversation, Tokens]]:
        """Return sequences without tools that none of them calls; none where this is not enough."""

        def rendered(tools: tuple[Tool, ...]) -> list[tuple[Conversation, Tokens]]:
            shortened = [replace(sequence, tools=tools) for sequence in sequences]
            return [(sequence, self._rendered(sequence)) for sequence in shortened]

        def longest(tools: tuple[Tool, ...]) -> int:
            return max(len(tokens.ids) for _, tokens in rendered(tools))

        together = chain.from_iterable(sequence.messages for sequence in sequences)
        conversation = replace(sequences[0], messages=tuple(together))
        fitted = without_spare_tools(
            conversation, lambda shortened: longest(shortened.tools), self.job.max_seq_len
        )
        if fitted is None:
            self.tally.overlong.append({"id": conversation.id, "tokens": length})
            return []
        kept = {tool.name for tool in fitted.tools}
        dropped = [tool.name for tool in conversation.tools if tool.name not in kept]
        self.tally.tools_dropped.append(
            {
                "id": conversation.id,
                "tools": dropped,
                "tokens_before": length,
                "tokens": longest(fitted.tools),
            }
        )
        return rendered(fitted.tools)

    def _rendered(self, conversation: Conversation) -> Tokens:
        tokens = encode_conversation(conversation, self.format, self.tokenizer)
        return whole_text(tokens) if self.job.train_on == "all" else tokens

    def _counted(
        self,
        conversation: Conversation,
        tokens: Tokens,
        place: float,
        times: int,
        kind: str | None = None,
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
        origin = Origin(conversation.id, source, conversation.sha256, kept, kind)
        # Converting a list directly takes three times as long.
        ids = np.frombuffer(array("I", tokens.ids), dtype=np.uint32)
        trained = np.frombuffer(bytes(tokens.trained), dtype=np.bool_)
        roles = np.frombuffer(tokens.roles, dtype=np.uint8)
        return [Sample(ids, trained, split, origin, roles)] * times


def place(content: str) -> float:
    """Return a number in [0, 1) from a conversation's content alone: copies share a split."""
    return fraction(content)
