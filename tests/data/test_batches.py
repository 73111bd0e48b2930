"""Batches: every conversation once an epoch, whatever the ranks and the token budget."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from data.batches import Batches, epoch_order, make_batch, pack, whole_split


class Rows:
    """Conversations held in memory: tokens rise by one, every third token is trained."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = np.array(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, index: int) -> np.ndarray:
        return np.arange(self.lengths[index], dtype=np.uint32) + 1000 * index

    def trained(self, index: int) -> np.ndarray:
        return np.arange(self.lengths[index]) % 3 == 0


LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=40)


@given(
    lengths=LENGTHS,
    batch_size=st.integers(1, 12),
    room=st.integers(50, 200),
    ranks=st.integers(1, 5),
    seed=st.integers(0, 2**40),
)
@tries(60)
def test_conversations_of_a_step_do_not_depend_on_ranks(
    lengths: list[int], batch_size: int, room: int, ranks: int, seed: int
) -> None:
    rows = Rows(lengths)
    alone = Batches(rows, batch_size, 10**6, seed)
    shared = [Batches(rows, batch_size, room, seed, rank, ranks) for rank in range(ranks)]
    seen = []
    for number in range(alone.steps_per_epoch):
        shares = [batches.indices(number) for batches in shared]
        taken = [index for share in shares for micro in share for index in micro]
        assert sorted(taken) == sorted(alone.conversations(number))
        assert sorted(taken) == sorted(i for micro in alone.indices(number) for i in micro)
        assert len({len(share) for share in shares}) == 1
        assert all(sum(lengths[i] for i in micro) <= room for share in shares for micro in share)
        seen += taken
    assert sorted(seen) == list(range(len(lengths)))


GROUPS = st.integers(1, 3).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.lists(st.lists(st.integers(1, 50), min_size=size, max_size=size), min_size=1),
    )
)


@given(groups=GROUPS, batch_size=st.integers(1, 9), ranks=st.integers(1, 4))
@tries(40)
def test_a_group_stays_whole_in_one_micro_batch(
    groups: tuple[int, list[list[int]]], batch_size: int, ranks: int
) -> None:
    size, lengths = groups
    rows = Rows([length for group in lengths for length in group])
    shared = [Batches(rows, batch_size, 150, 3, rank, ranks, size) for rank in range(ranks)]
    held_out = [
        part for rank in range(ranks) for part in whole_split(rows, 150, rank, ranks, None, size)
    ]
    seen: list[int] = []
    for number in range(shared[0].steps_per_epoch):
        parts = [part for batches in shared for part in batches.indices(number)]
        assert len(shared[0].groups(number)) <= batch_size
        assert all(int(rows.lengths[part].sum()) <= 150 for part in parts if part)
        for part in parts:
            assert part == [first + place for first in part[::size] for place in range(size)]
            assert all(first % size == 0 for first in part[::size])
            seen += part
    assert sorted(seen) == sorted(i for part in held_out for i in part) == list(range(len(rows)))


def test_groups_that_are_not_whole_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="has 3 conversations, wanted a multiple of 2"):
        Batches(Rows([3, 4, 5]), 1, 30, seed=0, group_size=2)
    with pytest.raises(ValueError, match=r"1 groups of 2 conversations are longer than .* = 30"):
        Batches(Rows([3, 4, 25, 6]), 1, 30, seed=0, group_size=2)


def test_values_and_row_counts_follow_the_conversations_of_a_batch() -> None:
    rows = Rows([9, 1, 4, 6])
    batch = make_batch(rows, [2, 1, 3], {"reference": np.array([0.5, 1.5, 2.5, 3.5])})
    assert batch.values is not None and batch.values["reference"].tolist() == [2.5, 1.5, 3.5]
    counts = [int(rows.trained(index)[1:].sum()) for index in (2, 1, 3)]
    assert batch.row_counts().tolist() == counts
    sent = batch.to("meta")
    assert sent.values is not None and sent.values["reference"].dtype == torch.float64
    assert make_batch(rows, [], {"reference": np.zeros(4)}).row_counts().tolist() == [0]


@given(lengths=LENGTHS, room=st.integers(50, 120), ranks=st.integers(1, 4))
@tries(40)
def test_validation_visits_each_conversation_once_over_all_ranks(
    lengths: list[int], room: int, ranks: int
) -> None:
    shares = [whole_split(Rows(lengths), room, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(i for s in shares for micro in s for i in micro) == list(range(len(lengths)))


def test_limited_validation_is_spread_over_the_split() -> None:
    chosen = sorted(i for micro in whole_split(Rows([5] * 100), 20, limit=4) for i in micro)
    assert chosen == [0, 25, 50, 75]
    assert len(whole_split(Rows([5] * 3), 5, limit=10)) == 3


def test_each_epoch_visits_all_conversations_in_its_own_order() -> None:
    batches = Batches(Rows([3] * 25), 4, 12, seed=7)
    assert batches.steps_per_epoch == 7
    epochs = [
        [i for step in range(7 * epoch, 7 * epoch + 7) for i in batches.conversations(step)]
        for epoch in range(3)
    ]
    assert all(sorted(epoch) == list(range(25)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(batches.conversations(6)) == 1


def test_step_does_not_depend_on_earlier_steps() -> None:
    rows = Rows(list(range(1, 40)))
    walked = Batches(rows, 5, 64, seed=1)
    steps = [walked.indices(number) for number in range(20)]
    assert Batches(rows, 5, 64, seed=1).indices(17) == steps[17]
    assert walked.indices(3) == steps[3]
    assert Batches(rows, 5, 64, seed=2).conversations(3) != walked.conversations(3)


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_rows_and_targets_match_a_loop_over_conversations(lengths: list[int]) -> None:
    rows = Rows(lengths)
    tokens: list[int] = []
    positions: list[int] = []
    expected: list[tuple[int, int]] = []
    for index, length in enumerate(lengths):
        start = len(tokens)
        for j in range(length):
            tokens.append(int(rows.tokens(index)[j]))
            positions.append(j)
            if rows.trained(index)[j] and j > 0:
                expected.append((start + j - 1, int(rows.tokens(index)[j])))
    batch = make_batch(rows, range(len(lengths)))
    assert batch.tokens.tolist() == tokens
    assert batch.positions.tolist() == positions
    assert batch.offsets == tuple(np.cumsum([0, *lengths]).tolist())
    assert list(zip(batch.rows.tolist(), batch.targets.tolist(), strict=True)) == expected
    tensors = (batch.tokens, batch.positions, batch.rows, batch.targets)
    assert all(tensor.dtype == torch.int64 for tensor in tensors)


def test_a_rank_without_work_gets_one_token_and_no_target() -> None:
    batches = [Batches(Rows([9, 4]), 1, 10, seed=0, rank=rank, world_size=3) for rank in range(3)]
    working = [[batch for batch in b.step(0) if len(batch.rows)] for b in batches]
    assert sorted(len(work) for work in working) == [0, 0, 1]
    idle = next(b.step(0) for b, work in zip(batches, working, strict=True) if not work)
    assert [batch.offsets for batch in idle] == [(0, 1)]
    assert idle[0].tokens.tolist() == [0] and idle[0].targets.numel() == 0


def test_packing_fills_sequences_and_starts_with_the_longest() -> None:
    rows = Rows([60, 20, 40, 50, 30, 80, 70, 50])
    packed = Batches(rows, 8, 100, seed=0).indices(0)
    assert [sum(int(rows.lengths[i]) for i in micro) for micro in packed] == [100] * 4
    assert packed[0][0] == 5


def test_ranks_carry_nearly_equal_numbers_of_tokens() -> None:
    lengths = np.random.default_rng(0).integers(50, 900, 64).tolist()
    loads = [
        sum(
            lengths[i]
            for micro in Batches(Rows(lengths), 64, 4096, 0, r, 8).indices(0)
            for i in micro
        )
        for r in range(8)
    ]
    assert max(loads) < 1.03 * min(loads)


def test_epoch_order_is_fixed_across_processes_and_versions() -> None:
    assert epoch_order(10, seed=42, epoch=1).tolist() == [4, 9, 5, 3, 0, 2, 7, 1, 6, 8]
    code = (
        "import numpy as np; from data.batches import epoch_order; "
        "print(epoch_order(1000, seed=9, epoch=3).tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert printed.strip() == str(epoch_order(1000, seed=9, epoch=3).tolist())


def test_overlong_conversation_error_names_the_needed_budget() -> None:
    with pytest.raises(ValueError, match="2 conversations are longer than micro_batch_tokens = 30"):
        Batches(Rows([10, 31, 45]), 2, 30, seed=0)
    with pytest.raises(ValueError, match="number 2 with 45 tokens: set micro_batch_tokens to 45"):
        whole_split(Rows([10, 31, 45]), 30)


def test_impossible_sizes_and_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        Batches(Rows([3]), 0, 30, seed=0)
    with pytest.raises(ValueError, match="rank 2 does not exist among 2 devices"):
        Batches(Rows([3]), 1, 30, seed=0, rank=2, world_size=2)


def test_packing_is_even_where_best_fit_takes_more_sequences() -> None:
    lengths = dict(enumerate([600] * 40 + [350] * 40))
    found = pack(range(80), lengths, 2000)
    assert sorted(index for bin in found for index in bin) == list(range(80))
    assert all(sum(lengths[index] for index in bin) <= 2000 for bin in found)
    assert len(found) == 20  # 600 + 600 + 350 + 350; best fit puts three of 600 together first


@pytest.mark.parametrize("capacity", [700, 1000, 8192])
def test_packing_loses_nothing_and_never_exceeds_its_capacity(capacity: int) -> None:
    draw = np.random.default_rng(capacity)
    for count in (0, 1, 2, 33, 500):
        lengths = dict(enumerate(draw.integers(1, 700, count).tolist()))
        longest_first = sorted(lengths, key=lambda index: -lengths[index])
        found = pack(longest_first, lengths, capacity)
        assert sorted(index for bin in found for index in bin) == list(range(count))
        assert all(0 < sum(lengths[index] for index in bin) <= capacity for bin in found)
