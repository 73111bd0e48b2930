"""Replies while a model is trained: scored, logged, resumed, and what best/ follows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import run_command
from safetensors.torch import load_file
from talking_runs import (
    HELD_OUT,
    TRAINED,
    talking_in,
    told,
    write_talking_base,
    write_talking_dataset,
)
from tiny_runs import train_natively

import finetune
from data.conversations import write_conversations
from evaluation.answers.model import model_answers
from evaluation.figures import MEANINGS, figures
from evaluation.items import conversation_items
from inference.generate import Decoding
from inference.loading import Source, load_chat_model
from training.config import Config

Talking = Callable[..., Config]
GENERATED = {"prompts": 5, "max_new_tokens": 60, "batch_size": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_talking_base(tmp_path_factory.mktemp("talking") / "base")


@pytest.fixture
def talking(tmp_path: Path, base: Path) -> Talking:
    return talking_in(tmp_path, base)


class Run:
    """A run that is over, and what it left."""

    def __init__(self, config: Config) -> None:
        self.config = config
        lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.validations = [row for row in self.rows if row["kind"] == "validation"]

    def progress(self, name: str = "best") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.config.run_dir / name / "progress.json").read_text()
        )
        return found

    def untimed(self) -> list[dict[str, Any]]:
        timed = ("reply_seconds", "tokens_per_second", "share_of_matmul_peak", "memory_gib")
        return [{k: v for k, v in row.items() if k not in timed} for row in self.rows]


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose loss is lowest when it has learned no call yet."""
    config = talking_in(tmp_path_factory.mktemp("run"), base)()
    train_natively(config)
    return Run(config)


def scored(base: Path, checkpoint: Path, folder: Path) -> float:
    """The exact matches of a checkpoint by the steps of scripts/evaluate.py."""
    write_conversations(folder / "held_out.jsonl", HELD_OUT)
    items = list(conversation_items(folder / "held_out.jsonl"))
    chat_model = load_chat_model(Source(str(base), str(checkpoint)))
    answers = dict(model_answers(chat_model, items, Decoding((), max_new_tokens=60)))
    verdicts = [item.judge(answers[index].reply) for index, item in enumerate(items)]
    return figures(verdicts)["exact_match"].value


def test_best_holds_the_most_accurate_weights_despite_higher_loss(
    run: Run, base: Path, tmp_path: Path
) -> None:
    by_loss = min(run.validations, key=lambda row: row["loss"])
    by_calls = max(run.validations, key=lambda row: row["exact_match"])
    assert by_calls["exact_match"] > by_loss["exact_match"]
    assert by_calls["loss"] > 1.5 * by_loss["loss"]
    assert by_calls["step"] < run.validations[-1]["step"], "nor is it the last one"
    best = run.progress()
    assert (best["step"], best["best"]) == (by_calls["step"], by_calls["exact_match"])
    for row in (by_loss, by_calls):
        step = run.config.run_dir / f"step-{row['step']:06d}"
        assert scored(base, step, tmp_path) == row["exact_match"]
    assert scored(base, run.config.run_dir / "best", tmp_path) == by_calls["exact_match"]


def test_best_follows_balanced_by_default(
    talking: Talking, capsys: pytest.CaptureFixture[str]
) -> None:
    """At first the base's two texts are right; they are forgotten while calls are learned."""
    config = talking(validation={"every": 5, "generated": GENERATED}, training__max_steps=20)
    train_natively(config)
    found = Run(config)
    best = found.progress()
    by_both = max(found.validations, key=lambda row: row["balanced"])
    assert (best["step"], best["best"]) == (by_both["step"], by_both["balanced"])
    assert [len(row) for row in best["best_counts"]] == [4] * 5
    assert sum(row[1] for row in best["best_counts"]) == 3
    assert "warning" not in capsys.readouterr().out


@pytest.mark.long
def test_best_follows_calls_alone_without_text_prompts(
    talking: Talking, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [c for c in HELD_OUT if c.messages[-1].tool_calls]
    dataset = write_talking_dataset(tmp_path / "calls", base, calls, TRAINED)
    config = talking(
        data={"dataset_dir": str(dataset)},
        validation={"every": 5, "generated": GENERATED},
        training__max_steps=25,
    )
    train_natively(config)
    found = Run(config)
    assert capsys.readouterr().out.count("none of the 3 prompts drawn from") == 1
    assert all("balanced" not in row for row in found.validations)
    best = found.progress()
    assert best["best"] == max(row["exact_match"] for row in found.validations) > 0


def test_best_follows_the_loss_where_configured(talking: Talking) -> None:
    validation = {"every": 5, "best_metric": "loss", "generated": GENERATED}
    config = talking(validation=validation, training__max_steps=15)
    train_natively(config)
    found = Run(config)
    by_loss = min(found.validations, key=lambda row: row["loss"])
    assert found.progress()["step"] == by_loss["step"]
    assert "exact_match" in by_loss


def test_replies_change_no_weight_and_no_draw(talking: Talking) -> None:
    """With dropout, whose random draws would change if generation drew any."""
    adapters = []
    for name, generated in (("with", GENERATED), ("without", None)):
        config = talking(
            name=name,
            lora={"rank": 8, "alpha": 16, "dropout": 0.2},
            training__max_steps=10,
            validation={"every": 5, "generated": generated},
        )
        train_natively(config)
        adapters.append(load_file(config.run_dir / "final" / "adapter.safetensors"))
    assert all(torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[0])


def test_a_resumed_run_keeps_best_and_equals_an_uninterrupted_one(
    run: Run, talking: Talking
) -> None:
    train_natively(talking(training__max_steps=27))
    best = Run(talking()).progress()
    assert best["step"] < 27, "the rest of the run has nothing better"
    train_natively(talking(), resume=True)
    found = Run(talking())
    # The schedule is constant; where it would end is where the run did when it began.
    shorter = {"schedule_steps": 27}
    assert found.progress() == best == run.progress() | shorter
    assert found.progress("final") == run.progress("final") | shorter
    # Before, it also validated where it was to end.
    assert [row for row in found.untimed() if row["step"] > 27] == [
        row for row in run.untimed() if row["step"] > 27
    ]


def test_every_scorer_figure_is_in_metrics_jsonl_and_tensorboard(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.config.log_dir)).Reload()
    last = run.validations[-1]
    assert set(MEANINGS) - {"parallel_match"} < set(last)
    assert (last["prompts_replied_to"], last["prompts_left_out"]) == (5, 0)
    for name in last.keys() - {"kind", "step"}:
        scalar = events.Scalars(f"validation/{name}")[-1]
        assert (scalar.step, scalar.value) == (30, pytest.approx(last[name], rel=1e-6)), name


def test_tensorboard_shows_the_same_prompts_with_reply_and_verdict(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.config.log_dir)).Reload()
    shown = {
        number: [
            (event.step, event.tensor_proto.string_val[0].decode())
            for event in events.Tensors(f"replies/{number}/text_summary")
        ]
        for number in range(1, 6)
    }
    for number, texts in shown.items():
        assert [step for step, _ in texts] == [5, 10, 15, 20, 25, 30]
        asked = {text.partition("    wanted:")[0].partition("\n\n")[2] for _, text in texts}
        assert len(asked) == 1, number
    last = "\n".join(texts[-1][1] for texts in shown.values())
    assert last.count("**right**") == round(5 * run.validations[-1]["correct"])
    assert "    User: Rain in Oslo?" in last
    assert '      {"name": "weather", "arguments": {"city": "Oslo"}}' in last
    assert "    found:\n      calls weather" in last


def test_the_console_prints_each_figure_with_its_count(
    talking: Talking, capsys: pytest.CaptureFixture[str]
) -> None:
    train_natively(talking(training__max_steps=1))
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if line.startswith("replies after"))
    assert line.startswith("replies after step 1: balanced 0.0% (0 of 3 and ")
    assert "  correct " in line
    assert "exact match 0.0% (0 of 3)" in line and "5 of 5 prompts in " in line


def test_prompts_beyond_the_time_stay_left_out_after_resuming(
    talking: Talking, capsys: pytest.CaptureFixture[str]
) -> None:
    def config(seconds: float, steps: int) -> Config:
        generated = {**GENERATED, "seconds": seconds}
        validation = {"every": 5, "best_metric": "call_or_not", "generated": generated}
        return talking(validation=validation, training__max_steps=steps)

    train_natively(config(1e-6, 10))
    train_natively(config(1000.0, 15), resume=True)
    found = Run(config(1000.0, 15))
    counted = [(r["prompts_replied_to"], r["prompts_left_out"]) for r in found.validations]
    assert counted == [(2, 3)] * 3, "the first batch is always whole"
    assert "2 of 5 prompts" in (said := capsys.readouterr().out)
    assert said.count("the others are left out from now on (validation.generated.seconds)") == 3
    assert len(found.progress()["best_counts"]) == 2


@pytest.mark.long
def test_replies_may_be_rarer_than_other_validation(talking: Talking) -> None:
    generated = {**GENERATED, "every": 10}
    validation = {"every": 5, "best_metric": "exact_match", "generated": generated}
    config = talking(validation=validation, training__max_steps=25)
    train_natively(config)
    found = Run(config)
    replied = {row["step"] for row in found.validations if "exact_match" in row}
    assert [row["step"] for row in found.validations] == [5, 10, 15, 20, 25]
    assert replied == {10, 20, 25}
    assert found.progress()["step"] in replied


@pytest.mark.parametrize("change", ["prompts", "max_new_tokens"])
def test_a_run_is_not_resumed_on_other_prompts(talking: Talking, change: str) -> None:
    train_natively(talking(training__max_steps=5))
    generated = {**GENERATED, change: 4}
    validation = {"every": 5, "best_metric": "exact_match", "generated": generated}
    with pytest.raises(ValueError, match="this run was scored on other prompts so far"):
        train_natively(talking(validation=validation), resume=True)


@pytest.mark.parametrize("trained", ["lora", "full"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_replies_are_scored_in_every_precision(talking: Talking, trained: str, dtype: str) -> None:
    full = {"lora": None, "schedule": {"learning_rate": 1e-3}} if trained == "full" else {}
    config = talking(model__dtype=dtype, training__max_steps=5, **full)
    train_natively(config)
    (row,) = Run(config).validations
    assert row["irrelevance"] == 1.0, "the base's texts, still known"


def test_a_dataset_without_held_out_calls_is_refused_before_training(
    talking: Talking,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    silent = [told("Who?", "Me."), told("What?", "That.")]
    dataset = write_talking_dataset(tmp_path / "silent", base, silent, TRAINED)
    config = talking(data={"dataset_dir": str(dataset)})
    file = tmp_path / "run.json"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    ended = run_command(finetune.main, ["--config-file", file], monkeypatch, capsys)
    assert (ended.code, ended.error.count("\n")) == (1, 1)
    assert "none of the 2 prompts drawn from" in ended.error
    assert not config.run_dir.exists() and not config.log_dir.exists()
