"""What a dataset holds, counted from the arrays that training reads."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chat.formats.known import find_format
from chat.formats.rendering import TOKEN_ROLES, parse_reply
from chat.tokenizers.tokenizer import TOKENIZER_FILES, Tokenizer
from data.batches import Batches, pack
from data.inspection.masks import Reader, predicted, trained_texts
from data.tokenized import TokenizedDataset

PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)
# Conversations are decoded to find their calls; of larger splits so many, evenly spaced.
DECODED = 10_000
# How many conversations are packed at once to say how full sequences could be.
WINDOW = 10_000
# How many steps are packed to say how full they are.
STEPS = 200
_BEHAVIOUR = re.compile(r"synthetic-([a-z_]+)-\d+")


@dataclass(frozen=True)
class Packing:
    """How full sequences of `capacity` tokens are.

    windows: The share of tokens in sequences packed from whole windows of conversations.
    steps: The share in the micro-batches of training steps; what is left is never computed.
    micro_batches: How many a step has, on average.
    """

    capacity: int
    batch_size: int
    windows: float
    steps: float
    micro_batches: float


@dataclass(frozen=True)
class Statistics:
    """The figures of one split; those from `decoded` conversations on are about these alone.

    lengths, trained: For each conversation its tokens, and those it trains.
    roles: For each role its tokens and how many of them are trained.
    calls: Conversations by their number of calls; `tools`: calls by the tool's name.
    turns: Conversations by their number of trained turns.
    unreadable: Trained turns that look like a call and cannot be read as one.
    """

    split: str
    lengths: np.ndarray
    trained: np.ndarray
    packing: Packing | None
    decoded: int
    roles: dict[str, tuple[int, int]]
    calls: Counter[int]
    tools: Counter[str]
    turns: Counter[int]
    behaviours: Counter[str]
    sources: Counter[str]
    unreadable: int

    @property
    def percentiles(self) -> dict[int, int]:
        """Lengths in tokens by percentile, 0 the shortest and 100 the longest."""
        values = np.percentile(self.lengths, PERCENTILES, method="nearest").tolist()
        return dict(zip(PERCENTILES, map(int, values), strict=True))


def open_tokenizer(dataset: TokenizedDataset, file: Path | str | None = None) -> Tokenizer:
    """Load the tokenizer a dataset was built with: the copy in it, unless a file is named."""
    place = Path(file) if file else dataset.directory
    if file is None and not any((place / name).is_file() for name in TOKENIZER_FILES):
        raise FileNotFoundError(
            f"{place} has no copy of its tokenizer; name it with --tokenizer-file F"
        )
    tokenizer = find_format(dataset.chat_format).load_tokenizer(place)
    if tokenizer.sha256 != dataset.tokenizer_sha256:
        raise ValueError(
            f"{tokenizer.path} (sha256 {tokenizer.sha256[:12]}) is not the tokenizer that "
            f"{dataset.directory} was built with ({dataset.tokenizer_sha256[:12]})"
        )
    return tokenizer


def statistics(
    dataset: TokenizedDataset,
    tokenizer: Tokenizer,
    micro_batch_tokens: int = 8192,
    batch_size: int = 32,
    most: int = DECODED,
) -> Statistics:
    """Count what a split holds; lengths of all conversations, contents of up to `most`."""
    reader = Reader.of(dataset.chat_format, tokenizer)
    counted = _Counted(reader)
    count = min(most, len(dataset))
    for place in range(count):
        index = place * len(dataset) // count
        counted.add(*predicted(dataset, index), dataset.roles(index))
        counted.add_origin(dataset, index)
    return Statistics(
        split=dataset.split,
        lengths=dataset.lengths,
        trained=_trained_by_conversation(dataset),
        packing=packing(dataset, micro_batch_tokens, batch_size),
        decoded=count,
        roles={role: (numbers[0], numbers[1]) for role, numbers in counted.roles.items()},
        calls=counted.calls,
        tools=counted.tools,
        turns=counted.turns,
        behaviours=counted.behaviours,
        sources=counted.sources,
        unreadable=counted.unreadable,
    )


class _Counted:
    """Counts over decoded conversations."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.roles: dict[str, list[int]] = {}
        self.calls: Counter[int] = Counter()
        self.tools: Counter[str] = Counter()
        self.turns: Counter[int] = Counter()
        self.behaviours: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.unreadable = 0

    def add(self, tokens: np.ndarray, trained: np.ndarray, roles: np.ndarray) -> None:
        for role in dict.fromkeys(roles.tolist()):
            here = roles == role
            numbers = self.roles.setdefault(TOKEN_ROLES[role], [0, 0])
            numbers[0] += int(here.sum())
            numbers[1] += int((here & trained).sum())
        texts = trained_texts(tokens, trained, self.reader)
        replies = [parse_reply(text, self.reader.format) for text in texts]
        names = [call.name for reply in replies for call in reply.tool_calls]
        self.unreadable += sum(reply.problem is not None for reply in replies)
        self.calls[len(names)] += 1
        self.turns[len(texts)] += 1
        self.tools.update(names)

    def add_origin(self, dataset: TokenizedDataset, index: int) -> None:
        origin = dataset.origin(index)
        self.sources[origin.source or "unknown"] += 1
        found = _BEHAVIOUR.search(origin.id)
        if found:
            self.behaviours[found[1]] += 1


def _trained_by_conversation(dataset: TokenizedDataset) -> np.ndarray:
    counts = [
        np.add.reduceat(mask, np.cumsum(lengths) - lengths, dtype=np.int64)
        for _, _, mask, lengths in dataset.pieces(most=4_000_000)
    ]
    return np.concatenate(counts)


def packing(dataset: TokenizedDataset, capacity: int, batch_size: int) -> Packing | None:
    """Pack windows and steps as training does; None when a conversation is longer than that."""
    if dataset.longest > capacity:
        return None
    batches = Batches(dataset, batch_size, capacity, seed=3)
    count = min(STEPS, batches.steps_per_epoch)
    steps = [batches.indices(place * batches.steps_per_epoch // count) for place in range(count)]
    tokens = sum(int(dataset.lengths[bin].sum()) for bins in steps for bin in bins)
    used = sum(map(len, steps))
    return Packing(
        capacity=capacity,
        batch_size=batch_size,
        windows=fill(dataset.lengths, capacity),
        steps=tokens / (used * capacity),
        micro_batches=used / count,
    )


def fill(lengths: Sequence[int] | np.ndarray, capacity: int, window: int = WINDOW) -> float:
    """Return how full sequences are when whole windows of conversations are packed, up to 1."""
    lengths = np.asarray(lengths)
    sequences = 0
    for start in range(0, len(lengths), window):
        part = dict(enumerate(lengths[start : start + window].tolist()))
        longest_first = sorted(part, key=lambda index: -part[index])
        sequences += len(pack(longest_first, part, capacity))
    return float(lengths.sum() / (sequences * capacity))


def provenance(dataset: TokenizedDataset) -> list[dict[str, Any]]:
    """Return what dataset.json says of each source file; nothing where it does not say."""
    return list(dataset.description.get("provenance", {}).get("files", []))
