"""How long a run is, and at which of its steps it saves."""

import json
from collections.abc import Callable

import pytest

from training.backends import NativeBackend
from training.config import Config
from training.length import run_length
from training.setup import make_batches, open_splits

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]


def saved_steps(config: Config) -> list[int]:
    return sorted(int(path.name[5:]) for path in config.run_dir.glob("step-*"))


def test_a_token_budget_ends_the_run_at_its_last_whole_step(
    settings: Settings, train_run: Train
) -> None:
    endless = {"training__epochs": None, "training__max_steps": None}
    config = settings(**endless, training__max_tokens=1500)
    train_run(config)
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    tokens = [row["tokens"] for row in map(json.loads, lines) if row["kind"] == "train"]
    assert len(tokens) > 6, "the budget is larger than an epoch"
    assert sum(tokens) <= 1500
    exact = settings(**endless, training__max_tokens=int(sum(tokens)))
    less = settings(**endless, training__max_tokens=int(sum(tokens)) - 1)
    batches = make_batches(config, open_splits(config))
    assert run_length(exact.training, batches) == len(tokens)
    assert run_length(less.training, batches) == len(tokens) - 1
    next_step = sum(len(batch.tokens) for batch in batches.step(len(tokens)))
    assert sum(tokens) + next_step > 1500


def test_a_token_budget_below_the_first_step_is_refused(
    settings: Settings, train_run: Train
) -> None:
    with pytest.raises(ValueError, match=r"max_tokens is 3, and the first step alone has \d+ tok"):
        train_run(settings(training__max_tokens=3))


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({"epochs": 2, "max_steps": None}, 12),
        ({"epochs": 2, "max_steps": 7}, 7),
        ({"epochs": None, "max_steps": 20}, 20),
        ({"epochs": 1, "max_steps": 20, "max_tokens": 10**9}, 6),
    ],
)
def test_the_first_limit_that_is_reached_ends_the_run(
    settings: Settings, limits: dict[str, int | None], steps: int
) -> None:
    config = settings(**{f"training__{name}": value for name, value in limits.items()})
    batches = make_batches(config, open_splits(config))
    assert run_length(config.training, batches) == steps


def test_steps_that_another_limit_leaves_out_are_told(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train_run(settings(training__epochs=1, training__max_steps=50))
    told = "of training.max_steps (50), since training.epochs ends it before; set that to null"
    assert told in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("every", "steps"), [("epoch", [6, 12, 14]), (None, [14]), (5, [5, 10, 14])]
)
def test_runs_validate_and_save_by_epoch_step_or_at_the_end(
    settings: Settings, train_run: Train, every: str | int | None, steps: list[int]
) -> None:
    longer = {"training__epochs": 3, "training__max_steps": 14, "checkpoint__keep_last": 9}
    config = settings(checkpoint__every=every, validation__every=every, **longer)
    train_run(config)
    assert saved_steps(config) == steps
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    kinds = [json.loads(line) for line in lines]
    assert [line["step"] for line in kinds if line["kind"] == "validation"] == steps
