import math
from dataclasses import replace

import pytest
import torch
from operations import Operations
from tiny_models import LONG_ROPE, TINY
from torch import Tensor

from model.config import RopeScaling
from model.rope import FEW_TOKENS, inverse_frequencies, rotate, rotation

LLAMA3 = replace(TINY, head_dim=128)
CPU = torch.device("cpu")


def stretched_by_definition(frequency: float, factor: float) -> float:
    """Llama 3.1's rule in wavelengths, one frequency at a time."""
    wavelength = 2 * math.pi / frequency
    if wavelength < 8192 / 4:
        return frequency
    if wavelength > 8192:
        return frequency / factor
    share = (8192 / wavelength - 1) / (4 - 1)
    return (1 - share) * frequency / factor + share * frequency


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_stretched_frequencies_follow_the_definition(factor: float) -> None:
    plain = [500000.0 ** (-2 * pair / 128) for pair in range(64)]
    wanted = torch.tensor([stretched_by_definition(frequency, factor) for frequency in plain])
    scaled = replace(LLAMA3, rope_scaling=RopeScaling(factor=factor))
    torch.testing.assert_close(inverse_frequencies(LLAMA3, CPU), torch.tensor(plain))
    torch.testing.assert_close(inverse_frequencies(scaled, CPU), wanted)
    kept, divided = wanted == torch.tensor(plain), wanted == torch.tensor(plain) / factor
    assert kept.any() and divided.any() and not (kept | divided).all()


def test_neighbouring_pairs_turn_by_position_times_frequency() -> None:
    heads = torch.randn(3, 2, TINY.head_dim, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([0, 1, 1000])
    turned, _ = rotate(heads, heads, rotation(TINY, positions))
    for token, position in enumerate(positions.tolist()):
        for pair in range(TINY.head_dim // 2):
            angle = position * 500000.0 ** (-2 * pair / TINY.head_dim)
            x, y = heads[token, :, 2 * pair], heads[token, :, 2 * pair + 1]
            wanted_x = x * math.cos(angle) - y * math.sin(angle)
            wanted_y = x * math.sin(angle) + y * math.cos(angle)
            torch.testing.assert_close(turned[token, :, 2 * pair], wanted_x, atol=1e-4, rtol=0)
            torch.testing.assert_close(turned[token, :, 2 * pair + 1], wanted_y, atol=1e-4, rtol=0)


def test_scores_depend_on_the_distance_only() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 1, 16, generator=generator)
    key = torch.randn(1, 1, 16, generator=generator)

    def score(query_at: int, key_at: int) -> float:
        turned_query, _ = rotate(query, query, rotation(TINY, torch.tensor([query_at])))
        _, turned_key = rotate(key, key, rotation(TINY, torch.tensor([key_at])))
        return (turned_query * turned_key).sum().item()

    assert score(7, 3) == pytest.approx(score(107, 103), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(7, 4), abs=1e-2)


def test_rotation_keeps_the_dtype_and_is_exact_far_out() -> None:
    heads = torch.ones(1, 1, 16, dtype=torch.bfloat16)
    turned, _ = rotate(heads, heads, rotation(TINY, torch.tensor([100_001])))
    assert turned.dtype == torch.bfloat16
    wanted = math.cos(100_001) - math.sin(100_001)
    assert turned[0, 0, 0].item() == pytest.approx(wanted, abs=0.01)


def test_a_mixed_pack_sends_one_number_a_token() -> None:
    lengths = (10, 90)
    positions = torch.empty(sum(lengths), dtype=torch.long, device="meta")
    with Operations() as operations:
        turned = rotation(LONG_ROPE, positions, [(length, length) for length in lengths])
    assert turned.shape == (100, 1, 6)
    assert operations.sent == 100 + 2 * 6


def test_a_mixed_pack_turns_each_sequence_as_if_alone() -> None:
    parts = [torch.arange(10), torch.arange(90)]
    spans = [(10, 10), (90, 90)]
    alone = [rotation(LONG_ROPE, part, [span]) for part, span in zip(parts, spans, strict=True)]
    assert torch.equal(rotation(LONG_ROPE, torch.cat(parts), spans), torch.cat(alone))


def by_definition(heads: Tensor, positions: Tensor, pairs: int) -> Tensor:
    """Rotate the first `pairs` pairs of heads [T, H, E] by real numbers alone."""
    exponents = torch.arange(pairs, dtype=torch.float32) / pairs
    angles = (positions[:, None].float() * (1.0 / 500000.0**exponents))[:, None]
    x, y = heads.float()[..., : 2 * pairs].unflatten(-1, (-1, 2)).unbind(-1)
    turned = [x * angles.cos() - y * angles.sin(), x * angles.sin() + y * angles.cos()]
    rest = heads.float()[..., 2 * pairs :]
    return torch.cat([torch.stack(turned, -1).flatten(-2), rest], -1).type_as(heads)


@pytest.mark.parametrize("pairs", [8, 6, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_queries_and_keys_turn_as_the_definition_both_ways(dtype: torch.dtype, pairs: int) -> None:
    positions = torch.cat([torch.arange(9), torch.arange(300, 304)])
    turn = rotation(replace(TINY, rotary_dim=2 * pairs), positions)
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(13, heads, 16, generator=generator).to(dtype) for heads in (4, 2)]
    results = []
    for function in (
        lambda q, k: rotate(q, k, turn),
        lambda q, k: [by_definition(heads, positions, pairs) for heads in (q, k)],
    ):
        leaves = [part.clone().requires_grad_() for part in parts]
        outputs = function(*leaves)
        torch.stack(
            [(y.float() * y.float().detach().cos()).sum() for y in outputs]
        ).sum().backward()
        results.append([*outputs, *(leaf.grad for leaf in leaves)])
    for found, wanted in zip(*results, strict=True):
        assert found.dtype == dtype
        if dtype == torch.float32:
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        else:
            # At most one of both is rounded to the other side.
            torch.testing.assert_close(found, wanted, rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pairs", [8, 5])
def test_many_tokens_are_rotated_as_few_are(pairs: int, dtype: torch.dtype) -> None:
    tokens = 2 * FEW_TOKENS
    draw = torch.Generator().manual_seed(0)
    q, k = (torch.randn(tokens, heads, 16, generator=draw).to(dtype) for heads in (4, 2))
    angles = torch.randn(tokens, 1, pairs, generator=draw)
    turns = torch.polar(torch.ones_like(angles), angles)
    many = rotate(q, k, turns)
    for start in (0, FEW_TOKENS):
        own = slice(start, start + FEW_TOKENS)
        few = rotate(q[own], k[own], turns[own])
        for some, all_of_them in zip(few, many, strict=True):
            assert torch.equal(some, all_of_them[own])
