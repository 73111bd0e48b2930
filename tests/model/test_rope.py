import math
from dataclasses import replace

import pytest
import torch
from operations import Operations
from tiny_models import LONG_ROPE, TINY

from model.config import RopeScaling
from model.rope import inverse_frequencies, rotate, rotation

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
    turned = rotate(heads, rotation(TINY, positions))
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
        turned_query = rotate(query, rotation(TINY, torch.tensor([query_at])))
        turned_key = rotate(key, rotation(TINY, torch.tensor([key_at])))
        return (turned_query * turned_key).sum().item()

    assert score(7, 3) == pytest.approx(score(107, 103), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(7, 4), abs=1e-2)


def test_rotation_keeps_the_dtype_and_is_exact_far_out() -> None:
    heads = torch.ones(1, 1, 16, dtype=torch.bfloat16)
    turned = rotate(heads, rotation(TINY, torch.tensor([100_001])))
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
