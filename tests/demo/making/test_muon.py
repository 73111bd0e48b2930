"""Muon beside torch.optim.Muon, which rounds to bfloat16 on its way."""

import pytest
import torch

from demo.making.muon import Muon, orthogonal

SHAPES = ((24, 24), (40, 16), (16, 40), (24, 24))


def matrices() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_steps_match_those_of_torch_optim_muon(dtype: torch.dtype):
    ours, theirs = matrices(), matrices()
    own = Muon(ours, dtype, lr=0.1)
    other = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.0, momentum=0.95)
    generator = torch.Generator().manual_seed(2)
    for _ in range(4):
        for one, another in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            another.grad = one.grad.clone()
        own.step()
        other.step()
    for one, another, begun in zip(ours, theirs, matrices(), strict=True):
        moved = (another - begun).norm()
        assert moved > 0.5
        assert (one - another).norm() < 0.05 * moved


def test_orthogonal_brings_all_singular_values_near_one():
    drawn = torch.randn(3, 32, 48, generator=torch.Generator().manual_seed(3))
    for stretched in (drawn, drawn * torch.logspace(-1, 1, 32)[:, None], drawn.mT):
        lengths = torch.linalg.svdvals(orthogonal(stretched))
        assert lengths.min() > 0.5
        assert lengths.max() < 1.3


def test_matrices_without_a_gradient_are_not_moved():
    both = matrices()[:2]
    before = [matrix.detach().clone() for matrix in both]
    both[0].grad = torch.ones_like(both[0])
    Muon(both, torch.float32, lr=0.1).step()
    assert not torch.equal(both[0], before[0])
    assert torch.equal(both[1], before[1])
