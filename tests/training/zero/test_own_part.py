"""The values of a weight that a rank holds at stage 3: not what fills its part up."""

from types import SimpleNamespace

import pytest
import torch

from training.finite import norm_not_finite
from training.zero.engine import own_part


@pytest.mark.parametrize("ranks", [2, 3, 7, 12])
def test_what_fills_up_the_last_parts_is_left_out(ranks: int) -> None:
    weight = torch.arange(10.0)
    length = -(-len(weight) // ranks)
    padded = torch.cat([weight, torch.full((ranks * length - len(weight),), torch.nan)])
    parts = [
        own_part(SimpleNamespace(ds_tensor=part, ds_numel=len(weight)), rank)
        for rank, part in enumerate(padded.split(length))
    ]
    assert torch.equal(torch.cat(parts), weight)
    assert not any(norm_not_finite([part]) for part in parts)
    parts[0][0] = torch.inf
    assert norm_not_finite(parts[:1])
