"""A run ends early when validation no longer improves, resumed or not."""

import json
from collections.abc import Callable

import pytest
import torch

from training.backends import NativeBackend
from training.best import improves
from training.config import Config
from training.progress import Progress

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]

# Weights that stand still: the first validation is the best, and none after it is better.
STILL = {
    "validation__every": 1,
    "schedule__learning_rate": 1e-30,
    "checkpoint__every": 1,
    "checkpoint__keep_last": 9,
}


def final_step(config: Config, name: str = "final") -> int:
    return json.loads((config.run_dir / name / "progress.json").read_text())["step"]


def test_a_run_ends_after_patience_validations_without_improvement(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(validation__patience=2, **STILL)
    train_run(config)
    assert (final_step(config), final_step(config, "best")) == (3, 1)
    said = capsys.readouterr().out
    assert "stopped after step 3 of 6: loss has not improved in 2 validations" in said


def test_a_resumed_run_ends_early_at_the_same_step(settings: Settings, train_run: Train) -> None:
    config = settings(validation__patience=3, **STILL)
    wanted = dict(train_run(config).trained_state())
    (config.run_dir / "latest").write_text("step-000002")
    found = dict(train_run(config, resume=True).trained_state())
    assert final_step(config) == 4
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_an_ended_run_resumes_only_with_more_patience(settings: Settings, train_run: Train) -> None:
    config = settings(validation__patience=2, **STILL)
    train_run(config)
    train_run(config, resume=True)
    assert final_step(config) == 3
    patient = settings(validation__patience=3, **STILL)
    train_run(patient, resume=True)
    assert final_step(patient) == 4


def test_an_improvement_begins_the_count_anew() -> None:
    progress, counts = Progress(), []
    for loss in (3.0, 3.0, 2.0, 2.5, float("nan")):
        improves({"loss": loss}, None, "loss", progress)
        counts.append(progress.without_improvement)
    assert counts == [0, 1, 0, 1, 2]


def test_a_validation_without_replies_does_not_count() -> None:
    progress = Progress()
    improves({"loss": 1.0}, None, "balanced", progress)
    assert progress.without_improvement == 0


def test_the_validation_at_a_shorter_end_does_not_count(
    settings: Settings, train_run: Train
) -> None:
    every_two = {**STILL, "validation__every": 2, "validation__patience": 2}
    train_run(settings(training__max_steps=3, **every_two))
    longer = settings(**every_two)
    train_run(longer, resume=True)
    assert final_step(longer) == 6
