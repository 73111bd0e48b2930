"""What a finished run says, where its log shows that it learnt little."""

from collections.abc import Callable
from typing import Any

import pytest
from tiny_runs import train_natively

from training.config import Config
from training.ending import FEW_STEPS, little_learnt, say_what_is_next

Settings = Callable[..., Config]
LONG = {"kind": "train", "step": FEW_STEPS, "loss": 1.0}


def replied(**figures: float) -> dict[str, Any]:
    return {"kind": "validation", "step": FEW_STEPS, "loss": 1.0, **figures}


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([LONG, replied()], ""),
        ([LONG, replied(exact_match=0.0, balanced=0.1)], ""),
        ([replied(balanced=0.0), LONG, replied(balanced=0.5)], ""),
        ([LONG, replied(exact_match=0.0)], "this run ended with exact_match 0 in its last val"),
        ([replied(balanced=0.5), replied(balanced=0.0), replied()], "this run ended with balanced"),
        ([{**LONG, "step": 19}], "this run took 19 steps, which teach hardly anything; raise"),
        ([{**replied(balanced=0.0), "step": 1}], "took 1 step, which teach hardly anything, and e"),
    ],
)
def test_a_run_that_learnt_little_is_told_why(
    settings: Settings, records: list[dict[str, Any]], told: str
) -> None:
    found = little_learnt(settings(training__max_steps=None), records)
    assert told in found if told else found == ""
    if told:
        assert "; raise --training.epochs, lower --training.batch_size (5), or try" in found
        assert found.endswith("another --schedule.learning_rate (0.01)")


def test_the_warning_stands_before_what_is_next(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(training__max_steps=2)
    train_natively(config)
    capsys.readouterr()
    say_what_is_next(config)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("warning: this run took 2 steps, which teach hardly anything; raise ")
    assert "--training.epochs and --training.max_steps" in first
    assert any("tensorboard --logdir" in line for line in rest)
