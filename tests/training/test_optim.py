"""The learning rate by step, and the optimizers."""

import pytest
import torch

from training.config import OptimizerSection, ScheduleSection
from training.optim import learning_rate, make_optimizer


def rates(total: int, **schedule: object) -> list[float]:
    section = ScheduleSection.model_validate({"learning_rate": 1.0, **schedule})
    return [learning_rate(step, total, section) for step in range(total)]


def test_cosine_warms_up_peaks_and_ends_at_the_minimum() -> None:
    found = rates(21, warmup_steps=4, min_learning_rate=0.1)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[12] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1)
    assert found[4:] == sorted(found[4:], reverse=True)


def test_linear_falls_evenly() -> None:
    assert rates(5, kind="linear") == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_constant_stays_after_its_warm_up() -> None:
    assert rates(4, kind="constant", warmup_steps=1) == pytest.approx([0.5, 1, 1, 1])


def test_decay_longer_than_the_run_is_cut_off() -> None:
    assert rates(3, kind="linear", total_steps=5) == pytest.approx([1.0, 0.75, 0.5])


def test_decay_over_fewer_steps_stays_at_the_minimum() -> None:
    assert rates(5, kind="linear", total_steps=3, min_learning_rate=0.2) == pytest.approx(
        [1.0, 0.6, 0.2, 0.2, 0.2]
    )


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
