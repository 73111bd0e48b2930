"""Attention through the cache equals attention over the whole sequence, however it is fed."""

from dataclasses import replace
from itertools import accumulate, chain

import pytest
import torch
from tiny_models import FAMILY_SHAPES, LLAMA3_SHAPES, TINY, random_model
from torch import Tensor

from inference.kv_cache import MASK_STEP, KVCache
from model.attention import Documents
from model.transformer import Transformer


def random_tokens(length: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(TINY.vocab_size, (length,), generator=generator).tolist()


@torch.no_grad()
def whole_logits(model: Transformer, tokens: list[int]) -> Tensor:
    return model(torch.tensor(tokens), torch.arange(len(tokens)), Documents([0, len(tokens)]))


@torch.no_grad()
def feed(model: Transformer, cache: KVCache, pieces: list[list[int]]) -> list[Tensor]:
    """Run one pass over a piece of each row; return the logits of each piece."""
    counts = [len(piece) for piece in pieces]
    positions = cache.plan(counts).positions
    logits = model(torch.tensor(list(chain.from_iterable(pieces))), positions, cache)
    return list(logits.split(counts))


SHAPES = {**LLAMA3_SHAPES, **FAMILY_SHAPES}


@pytest.mark.parametrize("shape", SHAPES)
def test_cached_logits_equal_uncached_however_rows_are_fed(shape: str) -> None:
    model = random_model(SHAPES[shape])
    rows = [random_tokens(length, seed) for seed, length in enumerate((90, 61, 75))]
    # Passes of one, equal and unequal numbers of tokens; the third row starts in the second pass.
    passes = [(5, 40), (1, 1, 7), (1, 1, 1), (3, 3, 3), (60, 2, 50), (20, 14, 14)]
    cache = KVCache(model.config, batch_size=3, max_length=90)
    seen: list[list[Tensor]] = [[], [], []]
    done = [0, 0, 0]
    for counts in passes:
        pieces = [rows[i][done[i] : done[i] + count] for i, count in enumerate(counts)]
        for i, logits in enumerate(feed(model, cache, pieces)):
            seen[i].append(logits)
            done[i] += len(pieces[i])
    assert done == cache.lengths == [90, 61, 75]
    for tokens, pieces_seen in zip(rows, seen, strict=True):
        torch.testing.assert_close(
            torch.cat(pieces_seen), whole_logits(model, tokens), atol=1e-5, rtol=0
        )


def test_one_pass_over_empty_rows_equals_packed_documents(tiny_model: Transformer) -> None:
    rows = [random_tokens(length, length) for length in (3, 70, 1)]
    offsets = [0, *accumulate(len(row) for row in rows)]
    positions = torch.cat([torch.arange(len(row)) for row in rows])
    with torch.no_grad():
        packed = tiny_model(
            torch.tensor(list(chain.from_iterable(rows))), positions, Documents(offsets)
        )
    cached = feed(tiny_model, KVCache(TINY, 3, 70), rows)
    assert torch.equal(torch.cat(cached), packed)


def test_rows_that_are_dropped_leave_the_others_as_they_were(tiny_model: Transformer) -> None:
    rows = [random_tokens(length, length) for length in (20, 9, 33, 14, 27)]
    cache = KVCache(TINY, batch_size=5, max_length=40)
    feed(tiny_model, cache, [row[:-2] for row in rows])
    order = cache.drop([0, 3])
    assert sorted(order) == [1, 2, 4]
    assert cache.lengths == [len(rows[i]) - 2 for i in order]
    for step in (-2, -1):
        for i, logits in zip(
            order, feed(tiny_model, cache, [[rows[i][step]] for i in order]), strict=True
        ):
            expected = whole_logits(tiny_model, rows[i])[[step]]
            torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_freed_place_serves_a_new_row_beside_running_ones(tiny_model: Transformer) -> None:
    old, kept, new = (random_tokens(length, length) for length in (50, 12, 8))
    cache = KVCache(TINY, batch_size=2, max_length=50)
    feed(tiny_model, cache, [old, kept[:-1]])
    assert cache.drop([0]) == [1]
    running, started = feed(tiny_model, cache, [kept[-1:], new])
    expected = whole_logits(tiny_model, kept)[-1:]
    torch.testing.assert_close(running, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(started, whole_logits(tiny_model, new), atol=1e-5, rtol=0)


def test_dropping_nothing_or_everything() -> None:
    cache = KVCache(TINY, batch_size=3, max_length=8)
    cache.plan([2, 3, 4])
    assert cache.drop([]) == [0, 1, 2]
    assert cache.drop([2, 0, 1]) == []
    assert cache.lengths == []


def test_positions_continue_where_each_row_stopped() -> None:
    cache = KVCache(TINY, batch_size=3, max_length=8)
    assert cache.plan([2, 3]).positions.tolist() == [0, 1, 0, 1, 2]
    assert cache.plan([1, 2, 2]).positions.tolist() == [2, 3, 4, 0, 1]


def test_the_memory_is_the_formula_of_the_docstring() -> None:
    cache = KVCache(TINY, batch_size=3, max_length=100, dtype=torch.bfloat16)
    formula = 2 * TINY.n_layers * 3 * 100 * TINY.n_kv_heads * TINY.head_dim * 2
    assert cache.keys.nbytes + cache.values.nbytes == formula


def test_attention_reads_only_as_far_as_the_longest_row_reaches() -> None:
    cache = KVCache(TINY, batch_size=2, max_length=10 * MASK_STEP)
    cache.plan([MASK_STEP - 1, 5])
    cache.plan([1, 1])
    assert cache.layer(0).current.mask.shape == (2, 1, 1, MASK_STEP)
    cache.plan([1, 3])
    assert cache.layer(0).current.mask.shape == (2, 1, 3, 2 * MASK_STEP)


def test_rows_of_one_length_attend_without_a_mask() -> None:
    cache = KVCache(TINY, batch_size=2, max_length=10 * MASK_STEP)
    cache.plan([MASK_STEP, MASK_STEP])
    cache.plan([1, 1])
    assert (cache.layer(0).current.mask, cache.layer(0).current.reach) == (
        None,
        slice(0, MASK_STEP + 1),
    )


def test_row_longer_than_the_cache_is_refused_unchanged() -> None:
    cache = KVCache(TINY, batch_size=2, max_length=8)
    cache.plan([5, 8])
    with pytest.raises(ValueError, match="row 1 would hold 9 positions, the cache has 8"):
        cache.plan([1, 1])
    assert cache.lengths == [5, 8]


@pytest.mark.parametrize("counts", [[1], [1, 0], [1, 1, 1]])
def test_counts_must_cover_the_rows_and_fit_the_batch(counts: list[int]) -> None:
    cache = KVCache(TINY, batch_size=2, max_length=8)
    cache.plan([1, 1])
    with pytest.raises(ValueError, match="wanted one count of at least 1 for each row"):
        cache.plan(counts)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2)], ids=str
)
def test_cache_on_gpu_agrees_with_whole_rows_on_cpu(
    tiny_model: Transformer, dtype: torch.dtype, tolerance: float
) -> None:
    rows = [random_tokens(length, length) for length in (70, 33, 12)]
    expected = [whole_logits(tiny_model, row) for row in rows]
    model = tiny_model.to("cuda", dtype)
    cache = KVCache(TINY, 3, 70, "cuda", dtype)
    for cut, end in ((None, -4), (-4, -3), (-3, None)):
        pieces = [row[cut:end] for row in rows]
        positions = cache.plan([len(piece) for piece in pieces]).positions
        with torch.no_grad():
            tokens = torch.tensor(list(chain.from_iterable(pieces)), device="cuda")
            logits = model(tokens, positions, cache).float().cpu()
        wanted = torch.cat([expected_call[cut:end] for expected_call in expected])
        torch.testing.assert_close(logits, wanted, atol=tolerance, rtol=0)


def test_reach_begins_where_the_window_of_the_nearest_row_does() -> None:
    cache = KVCache(
        replace(TINY, sliding_window=MASK_STEP), batch_size=2, max_length=10 * MASK_STEP
    )
    cache.plan([4 * MASK_STEP, 5 * MASK_STEP])
    cache.plan([1, 1])
    assert cache.layer(0).current.reach == slice(3 * MASK_STEP, 6 * MASK_STEP)
    cache.drop([0])
    cache.plan([1])
    current = cache.layer(0).current
    assert (current.mask, current.reach) == (None, slice(4 * MASK_STEP + 2, 5 * MASK_STEP + 2))
