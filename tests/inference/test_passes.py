"""Passes of fixed shapes say what others say, and numbers that are sent together arrive so."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_models import FAMILY_SHAPES, LLAMA3_SHAPES, LONG_ROPE, random_model, sharp_model
from torch import Tensor

from inference.generate import Batch, Decoding, Row, complete, generate
from inference.kv_cache import MASK_STEP, KVCache
from inference.passes import StaticPasses, check_cuda_graphs
from inference.upload import bits_to_floats, float_bits, upload, upload_into
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer

SHAPES = {**LLAMA3_SHAPES, **FAMILY_SHAPES}
# Beyond the first bucket of positions, and of unequal length.
PROMPTS = [[11, 250, 3], [7], list(range(100, 160)), [5, 4, 3, 2, 300, 12, 9], [8, 8]]
HOW = Decoding(stop_ids=(), max_new_tokens=20)
CPU = torch.device("cpu")


def replies(model: Transformer, decoding: Decoding) -> dict[int, list[int]]:
    return {row: found.tokens for row, found in complete(model, PROMPTS, decoding)}


@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_recorded_passes_say_the_same(shape: str, temperature: float) -> None:
    model = sharp_model(SHAPES[shape])
    # Three at once: a row that ends makes room for one that waits.
    how = replace(HOW, batch_size=3, temperature=temperature, top_p=0.95, seed=4)
    assert replies(model, replace(how, cuda_graphs=True)) == replies(model, how)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_graphs_on_a_gpu_say_the_same(shape: str, temperature: float) -> None:
    model = sharp_model(SHAPES[shape]).cuda()
    how = replace(HOW, batch_size=3, temperature=temperature, top_p=0.95, seed=4)
    assert replies(model, replace(how, cuda_graphs=True)) == replies(model, how)


def test_rows_joining_recorded_passes_keep_their_own_settings() -> None:
    model = sharp_model().eval()
    how = [replace(HOW, max_new_tokens=7), replace(HOW, temperature=1.5, top_p=0.9, seed=4), HOW]
    prompts = PROMPTS[:3]
    alone = [
        dict(complete(model, [prompt], decoding))[0].tokens
        for prompt, decoding in zip(prompts, how, strict=True)
    ]
    rows = [Row.of(0, prompt, decoding) for prompt, decoding in zip(prompts, how, strict=True)]
    batch, coming = Batch(model, 2, 100, cuda_graphs=True), list(rows)
    said: dict[int, list[int]] = {id(row): [] for row in rows}
    while coming or batch.rows:
        if coming and not batch.full:
            batch.rows.append(coming.pop(0))
        for row, token, _ in batch.step():
            said[id(row)].append(token)
    assert [said[id(row)] for row in rows] == alone


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the shapes, rows and positions, that are recorded while a test runs."""
    shapes: list[tuple[int, int]] = []
    make = StaticPasses._recorded

    def note(passes: StaticPasses, size: int, reach: int) -> Callable[[], Tensor]:
        shapes.append((size, reach))
        return make(passes, size, reach)

    monkeypatch.setattr(StaticPasses, "_recorded", note)
    return shapes


def test_recorded_shapes_are_powers_of_two(recorded: list[tuple[int, int]]) -> None:
    batch = Batch(sharp_model().eval(), 8, 300, cuda_graphs=True)
    # The longest row's new tokens come to lie at the last position of 64, then beyond.
    prompts = [[5] * (MASK_STEP - 3 + row) for row in range(3)]
    batch.rows = [Row.of(row, prompt, HOW) for row, prompt in enumerate(prompts)]
    for _ in range(5):
        batch.step()
    assert list(dict.fromkeys(recorded)) == [(4, MASK_STEP), (4, 2 * MASK_STEP)]


def test_recorded_shapes_stay_within_the_cache(recorded: list[tuple[int, int]]) -> None:
    prompts = [[5] * (MASK_STEP + row) for row in range(3)]
    generate(sharp_model(), prompts, stop_ids=(), max_new_tokens=2, cuda_graphs=True)
    assert recorded == [(3, MASK_STEP + 4)]


def test_long_rotation_is_not_recorded() -> None:
    with pytest.raises(ValueError, match="long RoPE cannot be recorded"):
        replies(random_model(LONG_ROPE), replace(HOW, cuda_graphs=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_graphs_without_a_cuda_device_are_refused() -> None:
    check_cuda_graphs(False)
    with pytest.raises(ValueError, match="there is none; leave it out"):
        check_cuda_graphs(True)


def test_recorded_rows_longer_than_the_cache_are_refused() -> None:
    cache = KVCache(LLAMA3_SHAPES["llama3"], batch_size=2, max_length=8)
    cache.plan([5, 8])
    with pytest.raises(ValueError, match="row 1 would hold 9 positions, the cache has 8"):
        cache.advance()
    assert cache.lengths == [5, 8]


def test_recorded_passes_keep_an_adapter(recorded: list[tuple[int, int]]) -> None:
    model = sharp_model()
    plain = replies(model, HOW)
    add_lora(model, LoraConfig(rank=4))
    for tensor in adapter_state(model).values():
        tensor.normal_(std=0.3)
    adapted = replies(model, HOW)
    assert adapted != plain
    assert replies(model, replace(HOW, cuda_graphs=True)) == adapted
    assert recorded


# What is sent


def test_lists_arrive_as_they_were_sent() -> None:
    parts = upload(CPU, [3, 1], [], [2**40], [7])
    assert [part.tolist() for part in parts] == [[3, 1], [], [2**40], [7]]
    buffer = torch.full((6,), 9)
    upload_into(buffer, [3, 1], [], [2])
    assert buffer.tolist() == [3, 1, 2, 9, 9, 9]


def test_draws_arrive_bit_for_bit() -> None:
    draws = [0.1, 1 - 2**-53, 0.0, 5e-324]
    (bits,) = upload(CPU, float_bits(draws))
    assert bits_to_floats(bits).tolist() == draws
