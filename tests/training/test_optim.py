"""The optimizers."""

import pytest
import torch

from training.config import OptimizerSection
from training.optim import make_optimizer


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_optimizers_follow_the_rate_set_before_the_step(kind: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = make_optimizer([parameter], OptimizerSection.model_validate({"kind": kind}))
    parameter.grad = torch.ones(3)
    optimizer.step()
    assert parameter.tolist() == [1, 1, 1], "the rate starts at zero"
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.full((3,), 0.5), rtol=1e-5, atol=1e-5)
