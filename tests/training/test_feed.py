"""The steps of a run, made ahead, with the counts of all ranks."""

import numpy as np
import pytest
import torch

from benchmarks.conversations import RandomConversations
from data.batches import Batch, Batches
from training.feed import Feed

CPU = torch.device("cpu")
# The last step of an epoch is shorter, and a rank may have nothing to do in it.
BATCH_SIZE, STEPS = 17, 7


def batches_of(rank: int, world_size: int) -> Batches:
    return Batches(RandomConversations(384), BATCH_SIZE, 2048, 3, rank, world_size)


class Counting(Batches):
    """Writes down which steps it was asked for."""

    asked: list[int]

    def step(self, number: int) -> list[Batch]:
        self.asked.append(number)
        return super().step(number)


@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_counts_are_sums_over_the_batches_of_all_ranks(world_size: int) -> None:
    ranks = [batches_of(rank, world_size) for rank in range(world_size)]
    for number in range(STEPS):
        made = [batch for rank in ranks for batch in rank.step(number)]
        trained = sum(len(batch.targets) for batch in made)
        # A rank without work gets batches of one token, which is no conversation's.
        tokens = sum(len(batch.tokens) for batch in made if len(batch.tokens) > 1)
        assert {rank.counts(number) for rank in ranks} == {(trained, tokens)}
        assert Feed(ranks[0], CPU).step(number)[1:4] == (
            trained,
            tokens,
            len(ranks[0].groups(number)),
        )


def test_a_conversation_whose_first_token_is_marked_counts_without_it() -> None:
    data = RandomConversations(384)
    data.trained(0)[0] = True
    batches = Batches(data, len(data), 2048, 3)
    assert batches.counts(0)[0] == sum(len(batch.targets) for batch in batches.step(0))


def test_a_prepared_step_is_made_once_and_the_same() -> None:
    batches = Counting(RandomConversations(384), BATCH_SIZE, 2048, 3)
    batches.asked = []
    feed = Feed(batches, CPU)
    for number in range(STEPS):
        found, wanted = feed.step(number), batches_of(0, 1).step(number)
        feed.prepare(number + 1)
        for batch, other in zip(found.batches, wanted, strict=True):
            assert torch.equal(batch.tokens, other.tokens) and batch.offsets == other.offsets
    assert batches.asked == list(range(STEPS + 1))


def test_another_step_than_the_prepared_one_is_made() -> None:
    feed = Feed(batches_of(0, 1), CPU)
    feed.prepare(5)
    tokens = [batch.tokens for batch in feed.step(2).batches]
    assert all(map(torch.equal, tokens, (batch.tokens for batch in batches_of(0, 1).step(2))))


def test_a_batch_arrives_on_another_device_in_one_piece() -> None:
    (batch, *_) = batches_of(0, 1).step(0)
    sent = batch.to("meta")
    assert sent.offsets == batch.offsets and sent.starts is not None
    assert sent.starts.shape == np.shape(batch.offsets) and sent.starts.dtype == torch.int32
    for name in ("tokens", "positions", "rows", "targets"):
        there, here = getattr(sent, name), getattr(batch, name)
        assert there.device.type == "meta" and there.shape == here.shape
        assert there.dtype == here.dtype
