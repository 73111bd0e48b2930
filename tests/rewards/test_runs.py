"""Runs that learn from their own replies: what they learn and report, how they go on."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from tiny_runs import train_natively
from wavering_model import rewarded_in, write_wavering_base

from training.config import Config
from training.reward import MISMATCH_BOUNDS
from training.reward_section import RewardParts

Rewarded = Callable[..., Config]
TIMED = ("seconds", "share", "per_second", "memory")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wavering_base(tmp_path_factory.mktemp("wavering") / "base")


@pytest.fixture
def rewarded(tmp_path: Path, base: Path) -> Rewarded:
    return rewarded_in(tmp_path, base)


def figures(config: Config) -> list[dict[str, Any]]:
    """Return what each step reported, but for times."""
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        {name: value for name, value in row.items() if not any(t in name for t in TIMED)}
        for row in rows
        if row["kind"] == "train"
    ]


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run of three draws with two steps on each."""
    config = rewarded_in(tmp_path_factory.mktemp("whole"), base)(
        training__epochs=3,
        checkpoint__every=3,
        reward__updates=2,
        schedule__learning_rate=2e-2,
    )
    train_natively(config)
    return config


@pytest.mark.parametrize("seed", [3, 4])
def test_model_learns_what_is_rewarded(rewarded: Rewarded, seed: int) -> None:
    config = rewarded(seed=seed, training__epochs=8, reward__group_size=8, checkpoint__every=None)
    train_natively(config)
    rewards = [row["reward"] for row in figures(config)]
    # From 0.35 and 0.48 to 0.66 and 0.77.
    assert sum(rewards[-3:]) / 3 > sum(rewards[:2]) / 2 + 0.2


def test_killed_run_goes_on_bit_for_bit(whole: Config, tmp_path: Path) -> None:
    run_dir = whole.run_dir
    before = {name: load_file(run_dir / name / "state.safetensors") for name in ("step-000006",)}
    draws = {file.name: file.read_bytes() for file in (run_dir / "rollouts").iterdir()}
    rows = figures(whole)
    kept = tmp_path / "kept"
    shutil.copytree(run_dir, kept)
    try:
        # As if it had been killed while it drew a third time: step 3 is the first of two on draw 2.
        shutil.rmtree(run_dir / "step-000006")
        shutil.rmtree(run_dir / "final")
        (run_dir / "latest").write_text("step-000003\n")
        (run_dir / "rollouts" / "draw-000003.jsonl").unlink()
        second = (run_dir / "rollouts" / "draw-000002.jsonl").stat().st_mtime_ns
        train_natively(whole, resume=True)
        after = load_file(run_dir / "step-000006" / "state.safetensors")
        assert (run_dir / "rollouts" / "draw-000002.jsonl").stat().st_mtime_ns == second
        assert {file.name: file.read_bytes() for file in (run_dir / "rollouts").iterdir()} == draws
        assert figures(whole) == rows
        assert all(torch.equal(after[name], t) for name, t in before["step-000006"].items())
    finally:
        shutil.rmtree(run_dir)
        shutil.copytree(kept, run_dir)


def test_step_reports_rewards_by_kind_and_the_mismatch(whole: Config) -> None:
    first, second, *_ = figures(whole)
    assert {"reward", "reward_of/call", "reward_of/no_call", "part/exact_match"} <= first.keys()
    assert first["mismatch"] < 1e-5 < second["mismatch"], "the second step's weights have moved"
    assert first["entropy"] > 0 and first["reply_tokens"] > 2 and first["clipped"] == 0


def test_shares_of_time_are_those_of_the_whole_step(whole: Config) -> None:
    lines = (whole.log_dir / "metrics.jsonl").read_text().splitlines()
    first, second = (json.loads(line) for line in lines[:2])
    names = [f"{name}_share" for name in ("generation", "judging", "training")]
    assert sum(first[name] for name in names) == pytest.approx(1)
    assert not set(names) & second.keys(), "nothing is drawn for the second step on a draw"


def test_mismatch_above_its_bound_is_warned_of_once(
    rewarded: Rewarded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MISMATCH_BOUNDS, "float32", 1e-12)
    train_natively(rewarded(training__max_steps=2))
    shown = capsys.readouterr().out
    assert shown.count("warning: step 1: mismatch is ") == 1
    assert "warning: step 2" not in shown


def test_terminal_shows_where_the_time_of_a_step_went(
    rewarded: Rewarded, capsys: pytest.CaptureFixture[str]
) -> None:
    train_natively(rewarded(training__max_steps=1))
    shown = capsys.readouterr().out
    shares = re.findall(r"(generation|judging|training) (\d+)%", shown)
    assert [name for name, _ in shares] == ["generation", "judging", "training"]
    assert sum(int(share) for _, share in shares) == pytest.approx(100, abs=2)


def test_draws_hold_tokens_verdicts_and_rewards(whole: Config) -> None:
    file = whole.run_dir / "rollouts" / "draw-000001.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(records) == 3 * 6
    for record in records:
        (turn,) = record["turns"]
        assert len(turn["tokens"]) == len(turn["logprobs"]) > 0
        assert max(turn["logprobs"]) <= 0 <= record["reward"] <= 1
        assert record["said"][0]["role"] == "assistant" and record["ended"] in ("reply", "tokens")


def test_run_with_other_prompts_is_not_resumed(whole: Config) -> None:
    about = whole.run_dir / "rollouts" / "about.json"
    text = about.read_text()
    about.write_text(json.dumps({**json.loads(text), "reward.prompts_file": "0"}))
    with pytest.raises(ValueError, match=r"reward\.prompts_file is not as it was when this run"):
        train_natively(whole, resume=True)
    about.write_text(text)


def test_step_where_all_groups_are_level_moves_nothing(
    rewarded: Rewarded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "same.py").write_text("def judge(attempt): return 1")
    parts = {name: float(name == "function") for name in RewardParts.model_fields}
    config = rewarded(
        training__max_steps=2, reward__function=f"{tmp_path}/same.py:judge", reward__parts=parts
    )
    trained = dict(train_natively(config).trained_state())
    assert not any(trained[name].any() for name in trained if name.endswith("lora_b"))
    shown = capsys.readouterr().out
    assert "was left out: all replies to each of its prompts earned the same" in shown
    assert "best/ follows the loss on recorded replies" in shown
    assert figures(config)[0]["groups_without_spread"] == 1


@pytest.mark.long
def test_one_and_two_ranks_train_the_same(rewarded: Rewarded, tmp_path: Path) -> None:
    cases, output = tmp_path / "cases", tmp_path / "out"
    cases.mkdir()
    output.mkdir()
    alone = rewarded(name="alone", training__epochs=3)
    backend = train_natively(alone)
    for stage in (0, 1, 2):
        zero = {"zero_optimization": {"stage": stage}}
        config = rewarded(name=f"zero{stage}", training__epochs=3, deepspeed_config=zero)
        (cases / f"zero{stage}.json").write_text(config.model_dump_json())
    done = launch(2, "tests/training/zero/zero_cases.py", "--cases", cases, "--output-dir", output)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for stage in (0, 1, 2):
        found = load_file(output / f"zero{stage}.safetensors")
        for name, master in backend.trained_state():
            assert (found[name] - master).abs().max() < 1e-5, (stage, name)


@pytest.mark.long
def test_two_ranks_resume_bit_for_bit_replies_included(rewarded: Rewarded, tmp_path: Path) -> None:
    def train(name: str, steps: int, *flags: str) -> None:
        config = rewarded(
            name=name,
            training__epochs=None,
            training__max_steps=steps,
            reward__updates=2,
            schedule__learning_rate=2e-2,
            deepspeed_config={"zero_optimization": {"stage": 2}},
        )
        file = tmp_path / "config.json"
        file.write_text(config.model_dump_json())
        done = launch(2, "ds_finetune.py", "--config-file", file, *flags)
        assert done.returncode == 0, done.stderr[-3000:]

    train("whole", 5)
    # Stopped between the two steps on the second draw, which the run that goes on reads again.
    train("cut", 3)
    train("cut", 5, "--resume")
    whole, cut = (tmp_path / "checkpoints" / name for name in ("whole", "cut"))
    for file in sorted((whole / "rollouts").iterdir()):
        assert file.read_bytes() == (cut / "rollouts" / file.name).read_bytes(), file.name
    before, after = (load_file(run / "final/adapter.safetensors") for run in (whole, cut))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(part.any() for name, part in before.items() if name.endswith("lora_b"))
