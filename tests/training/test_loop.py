"""The training loop: the same result however a step is split, and correct figures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from data.batches import make_batch
from model.attention import Documents
from training.backends import NativeBackend
from training.config import Config
from training.setup import open_splits

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]

SPLITS = [
    {"training__micro_batch_tokens": 64},
    {"training__micro_batch_tokens": 90},
    {"training__micro_batch_tokens": 4096},
]


def losses(config: Config) -> list[float]:
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if row["kind"] == "train"]


def adapter(config: Config, name: str = "final") -> dict[str, Tensor]:
    return load_file(config.run_dir / name / "adapter.safetensors")


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_micro_batch_size_and_accumulation_do_not_change_the_result(
    settings: Settings, train_run: Train, kind: str
) -> None:
    runs = []
    for number, split in enumerate(SPLITS):
        rate = 0.5 if kind == "sgd" else 1e-2
        config = settings(
            name=f"run{number}", optimizer__kind=kind, schedule__learning_rate=rate, **split
        )
        train_run(config)
        runs.append((losses(config), adapter(config)))
    first_losses, first_adapter = runs[0]
    assert len(first_losses) == 6
    moved = max(tensor.abs().max() for name, tensor in first_adapter.items() if "lora_b" in name)
    assert moved > 1e-2, "the comparison means nothing if the adapter stood still"
    for other_losses, other_adapter in runs[1:]:
        assert other_losses == pytest.approx(first_losses, abs=1e-5)
        if kind == "sgd":
            for name, tensor in first_adapter.items():
                assert (tensor - other_adapter[name]).abs().max() <= 1e-6, name


def test_only_targeted_layers_gain_adapters_and_the_base_is_unchanged(
    settings: Settings, train_run: Train
) -> None:
    config = settings(lora__targets=["wq", "wv"])
    before = load_file(Path(config.model.checkpoint_dir) / "consolidated.safetensors")
    backend = train_run(config)
    after = {
        name.replace(".base.", "."): tensor
        for name, tensor in backend.model.state_dict().items()
        if "lora_" not in name
    }
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    trained = adapter(config)
    wanted = {
        f"layers.{layer}.attention.{linear}.lora_{half}"
        for layer in range(2)
        for linear in ("wq", "wv")
        for half in "ab"
    }
    assert trained.keys() == wanted
    assert all(tensor.any() for name, tensor in trained.items() if name.endswith("lora_b"))


def test_activation_checkpointing_changes_nothing_but_memory(
    settings: Settings, train_run: Train
) -> None:
    runs = []
    for kind in ("none", "full"):
        config = settings(name=kind, training__activation_checkpointing=kind, lora__dropout=0.1)
        train_run(config)
        runs.append((losses(config), adapter(config)))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(runs[0][1][name], runs[1][1][name]) for name in runs[0][1])


def test_validation_figures_equal_their_definition(settings: Settings, train_run: Train) -> None:
    config = settings()
    model = train_run(config).model.eval()
    held_out = open_splits(config).validation
    loss, hits, count = 0.0, 0, 0
    for index in range(len(held_out)):
        batch = make_batch(held_out, [index])
        with torch.no_grad():
            logits = model(batch.tokens, batch.positions, Documents(batch.offsets))[batch.rows]
        loss += torch.nn.functional.cross_entropy(logits, batch.targets, reduction="sum").item()
        hits += int((logits.argmax(-1) == batch.targets).sum())
        count += len(batch.targets)
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    last = [row for row in map(json.loads, lines) if row["kind"] == "validation"][-1]
    assert last["step"] == 6
    assert last["loss"] == pytest.approx(loss / count, rel=1e-5)
    assert last["perplexity"] == pytest.approx(torch.tensor(loss / count).exp().item(), rel=1e-4)
    assert last["token_accuracy"] == pytest.approx(hits / count)


def test_loss_falls_30_percent_in_120_steps(settings: Settings, train_run: Train) -> None:
    seldom = {"checkpoint__every": 120, "validation__every": 120}
    config = settings(training__epochs=40, training__max_steps=120, **seldom)
    train_run(config)
    found = losses(config)
    assert found[-1] < 0.7 * found[0], "random tokens can only be learnt by heart"


def test_full_training_moves_every_weight_and_writes_a_model(
    settings: Settings, train_run: Train
) -> None:
    config = settings(lora=None, schedule__learning_rate=1e-3)
    before = load_file(Path(config.model.checkpoint_dir) / "consolidated.safetensors")
    train_run(config)
    after = load_file(config.run_dir / "final" / "consolidated.safetensors")
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_full_training_in_bfloat16_writes_bfloat16_from_float32_masters(
    settings: Settings, train_run: Train
) -> None:
    config = settings(lora=None, schedule__learning_rate=1e-5, model__dtype="bfloat16")
    backend = train_run(config)
    written = load_file(config.run_dir / "final" / "consolidated.safetensors")
    for name, master in backend.trained_state():
        assert master.dtype == torch.float32
        assert torch.equal(written[name], master.bfloat16()), name
    assert any((master != master.bfloat16()).any() for master in backend.parameters.values())


def test_bfloat16_base_trains_float32_adapters_to_nearly_the_same_losses(
    settings: Settings, train_run: Train
) -> None:
    runs = {}
    for dtype in ("float32", "bfloat16"):
        config = settings(name=dtype, model__dtype=dtype)
        backend = train_run(config)
        assert all(p.dtype == torch.float32 for p in backend.parameters.values())
        runs[dtype] = losses(config)
    assert runs["bfloat16"] == pytest.approx(runs["float32"], abs=3e-2)


def test_every_figure_is_in_tensorboard_and_in_metrics_jsonl(
    settings: Settings, train_run: Train
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = settings()
    train_run(config)
    events = EventAccumulator(str(config.log_dir)).Reload()
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        for name in row.keys() - {"kind", "step"}:
            scalars = events.Scalars(f"{row['kind']}/{name}")
            found = next(scalar.value for scalar in scalars if scalar.step == row["step"])
            assert found == pytest.approx(row[name], rel=1e-6), (row["kind"], name)
