"""Stochastic rounding to bfloat16."""

import pytest
import torch

from training.rounding import generator_of, round_stochastically

CPU = torch.device("cpu")


@pytest.mark.parametrize("value", [1.001, -1.001, 3.3e-5, -7.7e8, 1e-39])
def test_mean_of_ten_thousand_draws_is_the_value(value: float) -> None:
    drawn = round_stochastically(torch.full((10_000,), value), generator_of(CPU, 1)).double()
    low, high = drawn.min(), drawn.max()
    step, exact = high - low, torch.tensor(value).double()
    assert low < exact < high, "both neighbours are drawn"
    # Four standard deviations of a mean of 10,000, half a step at most each.
    assert (drawn.mean() - exact).abs() < 4 * 0.5 * step / 100


def test_only_neighbours_are_drawn() -> None:
    values = torch.randn(4096, generator=generator_of(CPU, 2))
    rounded = round_stochastically(values, generator_of(CPU, 3))
    assert ((rounded.float() - values).abs() < values.abs() / 128).all()


def test_values_of_bfloat16_stay_as_they_are() -> None:
    values = torch.randn(4096, generator=generator_of(CPU, 4)).bfloat16()
    values[:2] = torch.tensor([0.0, -0.0])
    rounded = round_stochastically(values.float(), generator_of(CPU, 5))
    assert torch.equal(rounded.view(torch.int16), values.view(torch.int16))


def test_values_that_are_not_finite_stay_so() -> None:
    values = torch.tensor([float("inf"), float("-inf"), float("nan")]).repeat(1000)
    rounded = round_stochastically(values, generator_of(CPU, 6))
    assert torch.equal(rounded.isnan(), values.isnan())
    assert torch.equal(rounded[~values.isnan()].float(), values[~values.isnan()])


def test_same_numbers_give_the_same_draws() -> None:
    values = torch.full((1000,), 1.001)
    draws = [round_stochastically(values, generator_of(CPU, *n)) for n in ((1, 2), (1, 2), (2, 1))]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
