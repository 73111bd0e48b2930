"""Numbers that are not finite, and losses that jump: nothing of them is saved, all is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from training.backends import NativeBackend
from training.config import Config
from training.divergence import MOST_LEFT_OUT
from training.feed import Feed
from training.finite import finite_on_cpu, norm_not_finite, spread_not_finite
from training.losses import Losses, format_rows
from training.objective import Supervised

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]

BAD_UPDATE = "after its update the norm of the weights is not finite: schedule.learning_rate "
SKIP = {"training__on_nonfinite": "skip"}
# 30 conversations, 5 a step.
LONGER = {"training__epochs": 10, "training__max_steps": 14, "checkpoint__every": 2}


def poison(
    monkeypatch: pytest.MonkeyPatch, steps: Callable[[int], bool], factor: float = float("nan")
) -> None:
    """Multiply the loss of some steps, counted from 1, in one of their micro-batches."""
    loss, take = Supervised.loss, Feed.step
    seen = {"step": 0, "batch": 0}

    def poisoned(self: Supervised, backend: Any, batch: Any) -> tuple[Tensor, Tensor]:
        found, figures = loss(self, backend, batch)
        seen["batch"] += 1
        bad = steps(seen["step"]) and seen["batch"] == 1
        return found * factor if bad else found, figures

    def numbered(self: Feed, number: int) -> Any:
        seen["step"], seen["batch"] = number + 1, 0
        return take(self, number)

    monkeypatch.setattr(Feed, "step", numbered)
    monkeypatch.setattr(Supervised, "loss", poisoned)


def rows(config: Config, kind: str = "train") -> list[dict[str, Any]]:
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def weights(config: Config) -> list[Path]:
    return sorted(config.run_dir.glob("*/*.safetensors"))


def all_saved_is_finite(config: Config) -> bool:
    return all(t.isfinite().all() for file in weights(config) for t in load_file(file).values())


def stopped(train_run: Train, config: Config, **more: Any) -> str:
    with pytest.raises(ValueError) as error:
        train_run(config, **more)
    return str(error.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_single_value_that_is_not_finite_is_found(dtype: torch.dtype) -> None:
    largest = min(torch.finfo(dtype).max, 1e18)
    fine = [torch.zeros(3, dtype=dtype), torch.tensor([-largest, largest]).to(dtype)]
    assert norm_not_finite([*fine, torch.empty(0, dtype=dtype)]) == 0
    for value in (float("nan"), float("inf"), -float("inf"), -1e30):
        assert norm_not_finite([torch.full((5,), value).to(dtype), *fine]) == 1


def test_gradients_of_an_infinite_loss_are_not_finite() -> None:
    weight = torch.ones(3, requires_grad=True)
    infinite = (weight * torch.tensor([1.0, 1.0, 0.0])).sum() + float("inf")
    spread_not_finite(infinite).backward()
    assert weight.grad is not None and weight.grad.isnan().all()


def test_a_finite_loss_keeps_its_gradients_bit_for_bit() -> None:
    weight = torch.randn(100, requires_grad=True)
    [plain] = torch.autograd.grad((weight.exp() / 3).sum(), weight)
    [found] = torch.autograd.grad(spread_not_finite((weight.exp() / 3).sum()), weight)
    assert torch.equal(plain, found)


@pytest.mark.parametrize(
    "attack",
    [
        {"optimizer__weight_decay": 1e30},
        {"schedule__learning_rate": 1e39, "checkpoint__every": 1},
        {"schedule__learning_rate": 1e39, "training__max_steps": 1, "schedule__warmup_steps": 0},
        {"lora": None, "optimizer__weight_decay": 1e38, "schedule__learning_rate": 1e10},
    ],
)
def test_an_update_that_is_not_finite_is_never_saved(
    settings: Settings, train_run: Train, attack: dict[str, Any]
) -> None:
    config = settings(**attack)
    said = stopped(train_run, config)
    assert BAD_UPDATE in said
    assert weights(config) == []
    assert f"weight_decay {config.optimizer.weight_decay:g} is too large" in said
    assert "no step was saved yet, so start again with a --schedule.learning_rate below" in said


def test_a_loss_that_is_not_finite_stops_with_its_rows(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda step: step == 4)
    config = settings()
    said = stopped(train_run, config)
    assert said.startswith("step 4: loss nan, gradient norm nan, wanted finite ones; its rows are ")
    named = said.partition("its rows are ")[2].partition(";")[0].split(", ")
    assert len(named) == 5 and all(int(name) % 4 != 3 for name in named), "of the train split"
    assert "go on from step-000002 with --resume --new-schedule and a --schedule.learning" in said
    assert "or with --resume and --training.on_nonfinite=skip where the rows are" in said
    assert all_saved_is_finite(config)
    assert [row["step"] for row in rows(config)] == [1, 2, 3]


def test_the_advice_to_skip_is_followed_to_the_end(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda step: step == 4)
    stopped(train_run, settings())
    train_run(settings(**SKIP), resume=True)
    assert (settings().run_dir / "final").is_dir()


@pytest.mark.parametrize(
    ("kind", "factor"),
    [("adamw", float("nan")), ("sgd", float("inf")), ("adamw8bit", float("nan"))],
)
def test_a_skipped_step_moves_neither_weights_nor_moments(
    settings: Settings,
    train_run: Train,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    factor: float,
) -> None:
    poison(monkeypatch, lambda step: step == 2, factor)
    # A step is many micro-batches, of which one is not finite.
    config = settings(optimizer__kind=kind, checkpoint__every=1, checkpoint__keep_last=9, **SKIP)
    train_run(config)
    before, after, later = (
        load_file(config.run_dir / f"step-00000{step}" / "state.safetensors") for step in (1, 2, 3)
    )
    moving = [name for name in before if not name.startswith("rng/")]
    assert all(torch.equal(before[name], after[name]) for name in moving)
    assert not all(torch.equal(after[name], later[name]) for name in moving)
    [left_out] = [row for row in rows(config) if "rows" in row]
    assert left_out["step"] == 2 and "gradient_norm" not in left_out
    assert left_out["loss"] is None and len(left_out["rows"]) == 5
    said = " ".join(capsys.readouterr().out.split())
    named = ", ".join(left_out["rows"])
    assert (
        f"step 2/6 was left out: its loss or its gradients are not finite; its rows are {named}"
        in said
    )


def test_steps_that_are_finite_are_the_same_with_skip(settings: Settings, train_run: Train) -> None:
    stopping, skipping = settings(name="stop"), settings(name="skip", **SKIP)
    wanted = dict(train_run(stopping).trained_state())
    found = dict(train_run(skipping).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in rows(skipping)] == [row[name] for row in rows(stopping)]


def test_a_run_with_a_skipped_step_resumes_bit_for_bit(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda step: step in (2, 5))
    config = settings(lora={"rank": 4, "alpha": 8, "dropout": 0.2}, **SKIP)
    wanted = dict(train_run(config).trained_state())
    (config.run_dir / "latest").write_text("step-000004")
    found = dict(train_run(config, resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize("resumed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_ten_skipped_steps_in_a_row_end_the_run(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    poison(monkeypatch, lambda step: step > 2)
    if resumed:
        train_run(settings(**{**LONGER, "training__max_steps": 8}, **SKIP))
    said = stopped(train_run, settings(**LONGER, **SKIP), resume=resumed)
    assert said.startswith(f"steps 3 to {2 + MOST_LEFT_OUT} were left out")


@pytest.mark.long
def test_skipped_steps_with_finite_ones_between_end_no_run(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda step: step != 9)
    train_run(settings(**LONGER, **SKIP))
    assert [row["step"] for row in rows(settings()) if "gradient_norm" in row] == [9]


@pytest.mark.long
def test_float16_skips_rows_that_no_loss_scale_mends(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.precision.FIRST_SCALE", 2.0)
    poison(monkeypatch, lambda step: step in (2, 3))
    config = settings(model__dtype="float16", **SKIP)
    train_run(config)
    assert [row["step"] for row in rows(config) if "gradient_norm" not in row] == [2, 3]
    assert all_saved_is_finite(config)


def test_skip_is_refused_where_weights_move_in_backward(settings: Settings) -> None:
    in_backward = {"in_backward": True, "clip_norm": None}
    with pytest.raises(ValueError, match=r"on_nonfinite 'skip'.*--optimizer.in_backward=false"):
        settings(lora=None, optimizer=in_backward, **SKIP)


def test_a_bad_update_in_backward_is_found_after_it(settings: Settings, train_run: Train) -> None:
    in_backward = {"in_backward": True, "clip_norm": None, "weight_decay": 1e38}
    whole = {"training__micro_batch_tokens": 4096, "lora": None}
    config = settings(optimizer=in_backward, schedule__learning_rate=1e10, **whole)
    said = stopped(train_run, config)
    assert BAD_UPDATE in said
    assert "skip" not in said and weights(config) == []


def test_a_weight_too_large_for_its_file_is_not_written() -> None:
    large = torch.full((2, 2), 1e5)
    with pytest.raises(
        ValueError, match=r"^the norm of w1 is not finite in float16, so it was not"
    ):
        list(finite_on_cpu([("w1", large)], torch.float16))
    [(name, kept)] = finite_on_cpu([("w1", large)], torch.float32)
    assert name == "w1" and torch.equal(kept, large)


@pytest.mark.parametrize("value", ["1e400", "NaN", "-Infinity"])
def test_a_setting_that_is_not_finite_is_refused(settings: Settings, value: str) -> None:
    text = settings().model_dump_json().replace('"learning_rate":0.01', f'"learning_rate":{value}')
    with pytest.raises(ValueError, match=r"schedule\.learning_rate\n.*finite number"):
        Config.model_validate_json(text)


def test_a_validation_that_is_not_finite_is_null_and_never_best(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"loss": float("inf"), "perplexity": float("nan"), "token_accuracy": 0.5}
    monkeypatch.setattr(Supervised, "validate", lambda self, backend, batches: figures)
    config = settings()
    train_run(config)
    assert not (config.run_dir / "best").exists()
    null = {"loss": None, "perplexity": None, "token_accuracy": 0.5}
    assert [row | null == row for row in rows(config, "validation")] == [True, True]
    text = (config.log_dir / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text


def test_a_run_whose_loss_no_longer_moves_says_so(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(schedule__learning_rate=1e10)
    train_run(config)
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: the loss was 5.9506 in each of the last 5 steps, whatever their rows" in said
    assert all_saved_is_finite(config)


def test_a_run_that_made_its_model_worse_says_so() -> None:
    assert Losses([6.2, 6.3, 9.1, 8.9, 8.7]).format_outcome() == (
        "the loss was 6.2000 in the first step and 8.7000 in the last step: this run made the "
        "model worse"
    )


@pytest.mark.parametrize("losses", [[], [2.0], [2.0, 2.1], [2.0, 1.5, 1.4, 1.6], [0.01, 0.04]])
def test_losses_that_hardly_rose_are_no_matter(losses: list[float]) -> None:
    assert Losses(losses).format_outcome() == ""


def test_a_run_that_learns_is_not_warned_of(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train_run(settings())
    assert "warning" not in capsys.readouterr().out


def test_a_loss_far_above_the_last_ones_is_a_spike() -> None:
    losses = Losses(2.0 + 0.1 * (step % 2) for step in range(30))
    assert losses.add(2.2) == ""
    assert losses.add(4.0) == "the last 31 have a mean of 2.0548 and a standard deviation of 0.0559"


def test_no_loss_is_a_spike_before_twenty_others() -> None:
    losses = Losses([1.0] * 19)
    assert losses.add(9.0) == ""


def test_losses_that_hardly_differ_leave_room_for_a_tenth() -> None:
    losses = Losses([1.0] * 30)
    assert losses.add(1.09) == "" and losses.add(1.2) != ""


def test_a_spike_is_reported_with_its_rows(
    settings: Settings,
    train_run: Train,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.losses.LEAST", 3)
    poison(monkeypatch, lambda step: step == 5, factor=20.0)
    config = settings(training__micro_batch_tokens=4096)
    train_run(config)
    [spike] = [row for row in rows(config) if "rows" in row]
    assert spike["step"] == 5 and len(spike["rows"]) == 5
    said = " ".join(capsys.readouterr().out.split())
    assert f"step 5/6 has a spike, loss {spike['loss']:.4f}: the last 4 have a mean of" in said
    assert f"its rows are {', '.join(spike['rows'])} (a single one is common" in said


def test_many_rows_are_named_in_part() -> None:
    assert format_rows([str(number) for number in range(32)]) == (
        "0, 1, 2, 3, 4, 5, 6, 7 and 24 more"
    )
