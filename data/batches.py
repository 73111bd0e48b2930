"""Which conversations make up a step, and how they are packed into flat sequences.

Everything is a pure function of the dataset, the settings and the step's number, so a resumed
run, or one with another number of devices, trains on the same conversations at the same step.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Conversations(Protocol):
    """What batches need of a dataset; `data.tokenized.TokenizedDataset` is one."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each conversation, int64."""

    def __len__(self) -> int: ...

    def tokens(self, index: int) -> np.ndarray:
        """Return the token ids of one conversation."""

    def trained(self, index: int) -> np.ndarray:
        """Return which of its tokens are to be predicted."""


@dataclass(frozen=True)
class Batch:
    """Conversations packed end to end, T tokens of which N are to be predicted.

    `tokens` and `positions` [T] int64; positions begin anew in each conversation; conversation i
    is offsets[i] : offsets[i + 1]. The hidden state at rows[n] predicts targets[n], both int64.
    `starts` are the offsets again, int32, where the tensors are on a device. `values` are what an
    objective needs beside them, by name: one a conversation, or one a row.
    """

    tokens: Tensor
    positions: Tensor
    offsets: tuple[int, ...]
    rows: Tensor
    targets: Tensor
    starts: Tensor | None = None
    values: Mapping[str, Tensor] | None = None

    def row_counts(self) -> Tensor:
        """Return how many rows each conversation has, int64 [conversations]; rows are in order."""
        starts = torch.tensor(self.offsets) if self.starts is None else self.starts
        return torch.searchsorted(self.rows, starts.long()).diff()

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch on `device`, without waiting until it is there.

        It is sent in one piece, and each of `values` in another; to CUDA from pinned memory: from
        any other the host would wait.
        """
        device = torch.device(device)
        if self.tokens.device.type == device.type:
            return self
        parts = (self.tokens, self.positions, self.rows, self.targets, torch.tensor(self.offsets))
        sent = _send(torch.cat(parts), device).split([len(part) for part in parts])
        tokens, positions, rows, targets, starts = sent
        values = self.values and {name: _send(v, device) for name, v in self.values.items()}
        return Batch(tokens, positions, self.offsets, rows, targets, starts.int(), values)


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


def make_batch(
    dataset: Conversations,
    indices: Sequence[int],
    values: Mapping[str, np.ndarray] | None = None,
) -> Batch:
    """Pack the conversations `indices` in this order; with none, one token without a target.

    `values` has one for each conversation of the dataset, by name; the batch gets those of its own.
    """
    own: dict[str, Tensor] | None = None
    if values is not None:
        own = {name: torch.from_numpy(every[list(indices)]) for name, every in values.items()}
    if not indices:
        none = torch.empty(0, dtype=torch.int64)
        zero = torch.zeros(1, dtype=torch.int64)
        return Batch(zero, zero, offsets=(0, 1), rows=none, targets=none, values=own)
    pieces = [dataset.tokens(index) for index in indices]
    lengths = [len(piece) for piece in pieces]
    offsets = np.cumsum([0, *lengths])
    tokens = np.concatenate(pieces).astype(np.int64)
    trained = np.concatenate([dataset.trained(index) for index in indices])
    # A conversation's first token follows the last token of another one, so it is no target.
    trained[offsets[:-1]] = False
    predicted = np.flatnonzero(trained)
    return Batch(
        tokens=torch.from_numpy(tokens),
        positions=torch.from_numpy(np.concatenate([np.arange(length) for length in lengths])),
        offsets=tuple(offsets.tolist()),
        rows=torch.from_numpy(predicted - 1),
        targets=torch.from_numpy(tokens[predicted]),
        values=own,
    )


class Batches:
    """The micro-batches of every training step, as seen by one rank.

    Conversations i * group_size and those after it, up to the next group, belong together: they are
    packed into one micro-batch, side by side and in their order. A step trains on `batch_size`
    groups over all ranks; an epoch's last step on what is left. Raises ValueError when a group is
    longer than `micro_batch_tokens`. `values` are as in `make_batch`.
    """

    def __init__(
        self,
        dataset: Conversations,
        batch_size: int,
        micro_batch_tokens: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        group_size: int = 1,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, wanted 1 or more")
        check_lengths(dataset, micro_batch_tokens, group_size)
        _check_rank(rank, world_size)
        self.dataset = dataset
        self.batch_size = batch_size
        self.micro_batch_tokens = micro_batch_tokens
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.group_size = group_size
        self.values = values
        self.lengths = group_lengths(dataset, group_size)
        self.steps_per_epoch = -(-len(self.lengths) // batch_size)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def step(self, number: int) -> list[Batch]:
        """Return this rank's micro-batches of step `number`, counted from 0 over all epochs.

        Every rank gets the same number of them; a rank with less work gets batches of one token.
        """
        return [make_batch(self.dataset, part, self.values) for part in self.indices(number)]

    def counts(self, number: int) -> tuple[int, int]:
        """Return how many tokens of step `number` are to be predicted, and how many it has.

        Over all ranks, which need not ask one another: each can read the whole dataset.
        """
        conversations = self.conversations(number)
        trained = sum(int(self.dataset.trained(index)[1:].sum()) for index in conversations)
        return trained, int(self.dataset.lengths[conversations].sum())

    def indices(self, number: int) -> list[list[int]]:
        """Return the conversations of each of this rank's micro-batches of step `number`."""
        groups = self.groups(number)
        parts = _share(groups, self.lengths, self.micro_batch_tokens, self.rank, self.world_size)
        return [_members(part, self.group_size) for part in parts]

    def conversations(self, number: int) -> list[int]:
        """Return all conversations of step `number`, whichever rank takes them."""
        return _members(self.groups(number), self.group_size)

    def groups(self, number: int) -> list[int]:
        """Return all groups of step `number`, whichever rank takes them."""
        epoch, step = divmod(number, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, epoch_order(len(self.lengths), self.seed, epoch))
        order = self._order[1]
        return order[step * self.batch_size : (step + 1) * self.batch_size].tolist()


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return a permutation of range(count) that is the same on every machine and numpy."""
    # numpy promises the same raw stream in every version, but not the same result of shuffle.
    generator = np.random.Philox(key=np.array([seed % 2**64, epoch], dtype=np.uint64))
    return np.argsort(generator.random_raw(count), kind="stable")


def whole_split(
    dataset: Conversations,
    micro_batch_tokens: int,
    rank: int = 0,
    world_size: int = 1,
    limit: int | None = None,
    group_size: int = 1,
) -> list[list[int]]:
    """Return this rank's micro-batches, as indices for `make_batch`, of every conversation.

    Groups are as in `Batches`. With a `limit`, of that many groups, evenly spaced. Every rank gets
    equally many lists; some may be empty. Raises ValueError when a group does not fit.
    """
    check_lengths(dataset, micro_batch_tokens, group_size)
    _check_rank(rank, world_size)
    lengths = group_lengths(dataset, group_size)
    count = len(lengths) if limit is None else min(limit, len(lengths))
    chosen = (np.arange(count) * len(lengths) // max(count, 1)).tolist()
    parts = _share(chosen, lengths, micro_batch_tokens, rank, world_size)
    return [_members(part, group_size) for part in parts]


def group_lengths(dataset: Conversations, group_size: int) -> np.ndarray:
    """Return the tokens of each group; ValueError where the last one is not whole."""
    if len(dataset) % group_size:
        raise ValueError(
            f"the dataset has {len(dataset)} conversations, wanted a multiple of {group_size}, "
            "because so many belong together; rebuild it with scripts/build_dataset.py"
        )
    return dataset.lengths.reshape(-1, group_size).sum(1)


def _members(groups: Sequence[int], group_size: int) -> list[int]:
    """Return the conversations of some groups."""
    return [group * group_size + place for group in groups for place in range(group_size)]


def _share(
    groups: list[int], all_lengths: np.ndarray, capacity: int, rank: int, world_size: int
) -> list[list[int]]:
    """Deal groups to all ranks and return what `rank` packs, padded to the busiest rank's."""
    lengths = {group: int(all_lengths[group]) for group in groups}
    packed = [pack(share, lengths, capacity) for share in _deal(groups, lengths, world_size)]
    most = max(1, *(len(bins) for bins in packed))
    return packed[rank] + [[] for _ in range(most - len(packed[rank]))]


def _deal(group: Sequence[int], lengths: Mapping[int, int], shares: int) -> list[list[int]]:
    """Give each conversation, longest first, to the share with the fewest tokens so far."""
    dealt: list[list[int]] = [[] for _ in range(shares)]
    loads = [(0, share) for share in range(shares)]
    for index in sorted(group, key=lambda index: (-lengths[index], index)):
        load, share = heappop(loads)
        dealt[share].append(index)
        heappush(loads, (load + lengths[index], share))
    return dealt


def pack(share: Sequence[int], lengths: Mapping[int, int], capacity: int) -> list[list[int]]:
    """Pack into few sequences: by best fit, or evenly where that takes fewer.

    `share` holds indices, those of the longest conversations first. Best fit leaves room where no
    conversation is short enough to fill it; there an even share of all sequences is fuller.
    """
    bins = _best_fit(share, lengths, capacity)
    least, most = -(-sum(lengths[index] for index in share) // capacity), len(bins)
    while least < most:
        middle = (least + most) // 2
        even = _deal(share, lengths, middle)
        if all(sum(lengths[index] for index in part) <= capacity for part in even):
            bins, most = even, middle
        else:
            least = middle + 1
    return bins


def _best_fit(share: Sequence[int], lengths: Mapping[int, int], capacity: int) -> list[list[int]]:
    """Put each conversation, the longest first, where the least room is left over."""
    bins: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (free tokens, bin), sorted
    for index in share:
        length = lengths[index]
        place = bisect_left(rooms, (length, -1))
        if place < len(rooms):
            room, chosen = rooms.pop(place)
        else:
            room, chosen = capacity, len(bins)
            bins.append([])
        bins[chosen].append(index)
        insort(rooms, (room - length, chosen))
    return bins


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} does not exist among {world_size} devices")


def check_lengths(dataset: Conversations, micro_batch_tokens: int, group_size: int = 1) -> None:
    """Raise ValueError when a group does not fit a micro-batch; none is ever cut."""
    lengths = group_lengths(dataset, group_size)
    longest = int(lengths.max(initial=0))
    if longest > micro_batch_tokens:
        index = int(lengths.argmax())
        count = int((lengths > micro_batch_tokens).sum())
        what = "conversations" if group_size == 1 else f"groups of {group_size} conversations"
        raise ValueError(
            f"{count} {what} are longer than micro_batch_tokens = {micro_batch_tokens}; the "
            f"longest is number {index} with {longest} tokens: set micro_batch_tokens to {longest} "
            "or more, or build the dataset with a smaller --max-seq-len and --skip-overlong"
        )
