"""Checkpoints: whole, self-sufficient, few, resumable."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_datasets import write_dataset

from data.split_files import Encoding, Sample
from data.tokenized import TokenizedDataset
from storage.atomic import directory_lock
from storage.manifest import damaged_files, write_manifest
from training.backends import NativeBackend, Result
from training.checkpoint import KIND
from training.config import Config
from training.setup import build_model, open_checkpoints, open_splits, train

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]


def names(config: Config) -> list[str]:
    return sorted(path.name for path in config.run_dir.iterdir() if path.is_dir())


def rows(config: Config) -> list[dict[str, float]]:
    """The logged figures that do not depend on the clock."""
    kept = ("kind", "step", "loss", "gradient_norm", "learning_rate", "token_accuracy")
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    return [{key: row[key] for key in kept if key in row} for row in map(json.loads, lines)]


def test_the_last_steps_best_and_final_are_kept(settings: Settings, train_run: Train) -> None:
    config = settings()
    train_run(config)
    assert names(config) == ["best", "final", "step-000004", "step-000006"]


def test_a_checkpoint_is_self_sufficient_and_matches_its_manifest(
    settings: Settings, train_run: Train
) -> None:
    config = settings()
    train_run(config)
    weights = {"adapter.safetensors", "lora.json"}
    common = {
        "params.json",
        "base.json",
        "tokenizer.model",
        "config.json",
        "progress.json",
        "manifest.json",
        "chat_format.json",
    }
    for name in names(config):
        files = {path.name for path in (config.run_dir / name).iterdir()}
        state = {"state.safetensors"} if name.startswith("step") else set()
        assert files == weights | common | state
        assert damaged_files(config.run_dir / name) == []


def test_best_follows_the_metric_named(settings: Settings, train_run: Train) -> None:
    config = settings(validation__every=1, schedule__learning_rate=0.3, schedule__kind="constant")
    train_run(config)
    validation = [row for row in rows(config) if row["kind"] == "validation"]
    progress = json.loads((config.run_dir / "best" / "progress.json").read_text())
    best = min(validation, key=lambda row: row["loss"])
    assert (progress["step"], progress["best"]) == (best["step"], pytest.approx(best["loss"]))


@pytest.mark.parametrize("lora", [{"rank": 4, "alpha": 8, "dropout": 0.2}, None])
def test_resuming_continues_bit_for_bit(
    settings: Settings, train_run: Train, lora: dict[str, float] | None
) -> None:
    whole = settings(name="whole", lora=lora)
    half = settings(name="half", lora=lora, training__max_steps=4)
    rest = settings(name="half", lora=lora)
    # The schedule must not depend on where the first half stopped.
    for config in (whole, half, rest):
        object.__setattr__(config.schedule, "total_steps", 6)
    wanted = dict(train_run(whole).trained_state())
    train_run(half)
    found = dict(train_run(rest, resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    train_rows = [row for row in rows(whole) if row["kind"] == "train"]
    assert [row for row in rows(rest) if row["kind"] == "train"] == train_rows


def test_resuming_skips_and_reports_a_damaged_newest_checkpoint(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings()
    wanted = dict(train_run(config).trained_state())
    newest = config.run_dir / "step-000006" / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    found = dict(train_run(config, resume=True).trained_state())
    assert "step-000006 is damaged (state.safetensors has" in capsys.readouterr().out
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_damaged_checkpoint_is_set_aside_and_not_counted(
    settings: Settings, train_run: Train
) -> None:
    longer = {"training__epochs": 2, "checkpoint__keep_last": 1, "training__max_steps": 8}
    config = settings(training__epochs=2)
    train_run(config)
    manifest = config.run_dir / "step-000006" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:20])
    train_run(settings(**longer), resume=True)
    assert names(config) == ["best", "final", "step-000006.damaged", "step-000008"]
    assert damaged_files(config.run_dir / "step-000008") == []


def test_a_damaged_best_is_named_set_aside_and_written_anew(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(validation__every=2)
    wanted = dict(train_run(config).trained_state())
    shutil.rmtree(config.run_dir / "step-000006")
    best = config.run_dir / "best"
    (best / "progress.json").write_text("{}")
    found = dict(train_run(config, resume=True).trained_state())
    assert f"{best} is damaged (progress.json has" in capsys.readouterr().out
    assert names(config)[:2] == ["best", "best.damaged"]
    assert damaged_files(best) == []
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_half_removed_checkpoint_is_removed_by_the_next_save(
    settings: Settings, train_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    remove = shutil.rmtree

    def begin_to_remove(path: Path, ignore_errors: bool = False) -> None:
        if path.suffix == ".partial":
            return remove(path, ignore_errors)
        (path / "state.safetensors").unlink()
        raise Killed

    config = settings(checkpoint__keep_last=1)
    with monkeypatch.context() as patch:
        patch.setattr("training.checkpoint.shutil.rmtree", begin_to_remove)
        with pytest.raises(Killed):
            train_run(config)
    steps = list(config.run_dir.glob("step-*"))
    assert steps and all(damaged_files(step) == [] for step in steps)
    train_run(config, resume=True)
    assert names(config) == ["best", "final", "step-000006"]
    assert not list(config.run_dir.glob(".*"))


def test_a_renamed_checkpoint_is_neither_resumed_from_nor_removed(
    settings: Settings, train_run: Train
) -> None:
    config = settings(training__epochs=2, training__max_steps=4)
    train_run(config)
    (config.run_dir / "step-000002").rename(config.run_dir / "step-000009-mine")
    train_run(settings(training__epochs=2, training__max_steps=8), resume=True)
    assert names(config) == ["best", "final", "step-000006", "step-000008", "step-000009-mine"]


def test_weights_left_from_an_earlier_run_are_not_overwritten(
    settings: Settings, train_run: Train
) -> None:
    config = settings()
    train_run(config)
    for path in config.run_dir.glob("step-*"):
        shutil.rmtree(path)
    with pytest.raises(FileExistsError, match=r"best is left from an earlier run; choose another"):
        train_run(config)


def test_resuming_without_a_checkpoint_is_refused(settings: Settings, train_run: Train) -> None:
    with pytest.raises(FileNotFoundError, match="no whole checkpoint to resume"):
        train_run(settings(), resume=True)


def test_a_second_run_of_the_same_name_is_refused(settings: Settings, train_run: Train) -> None:
    train_run(settings())
    with pytest.raises(FileExistsError, match=r"already holds a run \(newest step-000006\)"):
        train_run(settings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora__rank": 8}, r"was trained with lora = .*\"rank\": 4"),
        ({"validation__best_metric": "token_accuracy"}, r"validation.best_metric = \"loss\""),
    ],
)
def test_resuming_with_changed_fixed_settings_is_refused(
    settings: Settings, train_run: Train, change: dict[str, object], message: str
) -> None:
    train_run(settings())
    with pytest.raises(ValueError, match=message):
        train_run(settings(**change), resume=True)


def change_saved_settings(step: Path, change: Callable[[dict[str, Any]], object]) -> None:
    settings = json.loads((step / "config.json").read_text())
    change(settings)
    (step / "config.json").write_text(json.dumps(settings))
    write_manifest(step, KIND)


def test_settings_that_an_older_run_lacks_have_their_defaults(
    settings: Settings, train_run: Train
) -> None:
    config = settings(training__max_steps=4)
    train_run(config)

    def make_older(saved: dict[str, Any]) -> None:
        del saved["optimizer"]["eps"], saved["lora"]["dropout"], saved["schedule"]["kind"]

    change_saved_settings(config.run_dir / "step-000004", make_older)
    train_run(settings(), resume=True)
    assert (config.run_dir / "step-000006").is_dir()


def test_resuming_with_unknown_saved_settings_is_refused(
    settings: Settings, train_run: Train
) -> None:
    config = settings(training__max_steps=4)
    train_run(config)
    step = config.run_dir / "step-000004"
    change_saved_settings(step, lambda saved: saved["optimizer"].update(momentum=0.9))
    with pytest.raises(ValueError, match=r"config.json: unknown key 'optimizer.momentum'"):
        train_run(settings(), resume=True)


def test_resuming_with_reordered_patterns_is_refused(settings: Settings, train_run: Train) -> None:
    alphas = {"wq": 8.0, "layers.1.*": 64.0}
    train_run(settings(lora__alphas=alphas))
    turned = dict(reversed(alphas.items()))
    with pytest.raises(ValueError, match=r"was trained with lora = .*this run has .*layers.1"):
        train_run(settings(lora__alphas=turned), resume=True)


def test_resuming_on_a_rebuilt_dataset_is_refused(
    settings: Settings, train_run: Train, tmp_path: Path
) -> None:
    config = settings(training__max_steps=4)
    train_run(config)
    Path(config.data.dataset_dir).rename(tmp_path / "moved")
    moved = settings(data__dataset_dir=str(tmp_path / "moved"))
    train_run(moved, resume=True)
    rows = TokenizedDataset.open(tmp_path / "moved", "train")
    samples = [
        Sample(rows.tokens(i), rows.trained(i), split)
        for split in ("train", "validation")
        for i in range(len(rows) - (split == "validation"))
    ]
    write_dataset(
        config.data.dataset_dir, samples, Encoding("llama3", rows.tokenizer_sha256, 384, {})
    )
    with pytest.raises(ValueError, match=r"was trained on a dataset with the fingerprints"):
        train_run(config, resume=True)


def test_a_run_resumed_after_sigterm_ends_at_the_same_weights(
    settings: Settings, train_run: Train
) -> None:
    rate = {"learning_rate": 1e-2, "kind": "constant", "warmup_steps": 0}
    long: dict[str, Any] = {"training__epochs": 40, "checkpoint__every": 1000, "schedule": rate}
    config = settings(**long, training__max_steps=80)
    file = Path(config.run_dir).parent / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(config.model_dump(mode="json")))
    command = [sys.executable, "finetune.py", "--config-file", str(file)]
    log = config.log_dir / "metrics.jsonl"
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and (not log.is_file() or log.read_text().count("\n") < 5):
        assert time.monotonic() < deadline, "five steps took more than a minute"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: stopped by SIGTERM and saved after step")
    assert errors.count("\n") == 1
    saved = sorted(path.name for path in config.run_dir.glob("step-*"))
    assert len(saved) == 1 and "final" not in names(config)
    # The rate is constant, so that a run may end earlier and need not take so long.
    long["training__max_steps"] = int(saved[0].removeprefix("step-")) + 4
    found = dict(train_run(settings(**long), resume=True).trained_state())
    wanted = dict(train_run(settings(name="whole", **long)).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert load_file(config.run_dir / "final" / "adapter.safetensors").keys() == wanted.keys()


class TerminatedInItsThirdStep(NativeBackend):
    """Gets SIGTERM while a step is under way, as from a scheduler."""

    steps = 0

    def step(self, learning_rate: float, skip: bool = False) -> torch.Tensor | str:
        self.steps += 1
        if self.steps == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().step(learning_rate, skip)


def test_sigterm_ends_the_run_after_the_current_step(settings: Settings) -> None:
    config, device = settings(), torch.device("cpu")
    model = build_model(config, device, torch.float32)
    backend = TerminatedInItsThirdStep(model, config.optimizer, device, torch.float32)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedError, match="saved after step 3 of 6"):
        train(
            config, open_splits(config), open_checkpoints(config, "llama3", False), backend, False
        )
    assert "step-000003" in names(config)
    assert signal.getsignal(signal.SIGTERM) == handler


def test_resuming_on_other_weights_under_the_same_path_is_refused(
    settings: Settings, train_run: Train
) -> None:
    config = settings()
    base = Path(config.model.checkpoint_dir)
    write_manifest(base, "native model")
    train_run(config)
    weights = load_file(base / "consolidated.safetensors")
    save_file(
        {name: 2 * tensor for name, tensor in weights.items()}, base / "consolidated.safetensors"
    )
    write_manifest(base, "native model")
    with pytest.raises(ValueError, match="was trained on weights with sha256"):
        train_run(config, resume=True)


class OnAnotherNode(NativeBackend):
    """Work of rank 0 writes to a directory that this process does not see."""

    def on_first_rank(self, work: Callable[[], Result]) -> Result:
        try:
            done = work()
        except FileNotFoundError:
            done = None  # type: ignore[assignment]
        if isinstance(done, Path):
            done.rmdir()
        return done


def test_a_directory_not_shared_by_the_nodes_is_refused(settings: Settings) -> None:
    config, device = settings(), torch.device("cpu")
    model = build_model(config, device, torch.float32)
    backend = OnAnotherNode(model, config.optimizer, device, torch.float32)
    checkpoints = open_checkpoints(config, "llama3", False)
    with pytest.raises(FileNotFoundError, match=r"set checkpoint\.output_dir to storage that all"):
        checkpoints.check_shared_directory(backend)


def test_resuming_parts_of_several_ranks_on_one_device_is_refused(
    settings: Settings, train_run: Train
) -> None:
    config = settings()
    train_run(config)
    newest = config.run_dir / "step-000006"
    (newest / "state.safetensors").unlink()
    (newest / "deepspeed.json").write_text('{"ranks": 2, "zero_stage": 3}')
    write_manifest(newest, "checkpoint")
    with pytest.raises(ValueError, match=r"holds the parts of several ranks; resume it with ds_fi"):
        train_run(config, resume=True)


def test_a_run_resumes_from_a_latest_edited_by_hand(settings: Settings, train_run: Train) -> None:
    config = settings(training__epochs=2)
    train_run(config)
    (config.run_dir / "latest").write_text("step-000004")
    longer = settings(training__epochs=2, training__max_steps=8, checkpoint__every=5)
    train_run(longer, resume=True)
    steps = [row["step"] for row in rows(config) if row["kind"] == "train"]
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (config.run_dir / "latest").read_text() == "step-000008\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [("global_step4", "names 'global_step4', wanted a checkpoint such as step-000006")],
)
def test_a_latest_that_names_no_checkpoint_is_refused(
    settings: Settings, train_run: Train, text: str, message: str
) -> None:
    config = settings()
    train_run(config)
    (config.run_dir / "latest").write_text(text)
    with pytest.raises(ValueError, match=message):
        train_run(config, resume=True)


def test_resuming_skips_and_reports_a_missing_newest_checkpoint(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings()
    wanted = dict(train_run(config).trained_state())
    shutil.rmtree(config.run_dir / "step-000006")
    found = dict(train_run(config, resume=True).trained_state())
    assert "latest names step-000006, which is missing" in capsys.readouterr().out
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_two_runs_of_one_name_at_once_are_refused(settings: Settings, train_run: Train) -> None:
    config = settings()
    config.run_dir.mkdir(parents=True)
    with (
        directory_lock(config.run_dir),
        pytest.raises(FileExistsError, match="is being written by another"),
    ):
        train_run(config)
    train_run(config)
