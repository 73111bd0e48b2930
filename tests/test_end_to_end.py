"""The journey of `make demo`, command by command as a user types them, with less training."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from command_lines import ROOT, next_commands, problem_of
from small_datasets import write_dataset

from chat.conversation import Conversation
from chat.formats.known import find_format
from chat.formats.rendering import render, tokenize
from chat.tokenizers.tokenizer import load_tokenizer
from console.journey import Done
from data.split_files import Encoding, Sample
from data.tokenized import TokenizedDataset
from evaluation.behaviours import ALL_CALLS, KINDS
from scripts.run_demo import COLUMNS, PROMPTS, accuracy, journey, write_summary
from weights.table import bitwise_equal

META = ROOT / "demo/base"
STEPS = 12
# What a printed next command holds where only the user can know the name, and what another
# project's command begins with.
PLACEHOLDERS = ("D", "F", "MODEL_DIR", "NAME")
ELSEWHERE = ("tensorboard ", "python convert_checkpoint.py ")


@dataclass(frozen=True)
class Ran:
    """One command of the journey and how it ended."""

    command: str
    code: int
    out: str
    error: str


def run(command: str, typed: str | None = None) -> Ran:
    """Run a command, given without `python`, in the project's root, with the lines of a file."""
    lines = (ROOT / typed).read_text(encoding="utf-8") if typed else ""
    done = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        input=lines,
    )
    return Ran(command, done.returncode, done.stdout, done.stderr)


def shorter(command: str) -> str:
    """Return a command of the journey that makes less of everything."""
    count = 20 if "_prompts.jsonl" in command else 60
    command = re.sub(r"--count \d+", f"--count {count}", command)
    command = command.replace("--max-new-tokens 176", "--max-new-tokens 16")
    if command.startswith("chat_completion.py"):
        command += " --max-gen-len 24"
    if command.startswith("finetune.py"):
        command += (
            f" --training.max_steps={STEPS} --validation.every=6 --logging.every=6"
            " --validation.generated.prompts=8 --validation.generated.max_new_tokens=16"
            " --schedule.warmup_steps=2"
        )
    if "--reward." in command:
        command += " --training.batch_size=1 --reward.group_size=2 --reward.max_new_tokens=16"
    return command


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.path.relpath(tmp_path_factory.mktemp("journey"), ROOT))


@pytest.fixture(scope="module")
def ran(output: Path) -> list[Ran]:
    """Every command of the journey, in order."""
    return [run(shorter(stage.command), stage.typed) for stage in journey(output)]


@pytest.fixture(scope="module")
def folder(output: Path, ran: list[Ran]) -> Path:
    """Where the journey wrote, after it."""
    return (ROOT / output).resolve()


def test_every_command_succeeds_without_warnings(ran: list[Ran]):
    """The one warning is that the shortened training hardly teaches, which is so."""
    assert [(ended.command, ended.code, ended.error) for ended in ran] == [
        (ended.command, 0, "") for ended in ran
    ]
    lines = [line for ended in ran for line in ended.out.splitlines()]
    warnings = [line for line in lines if "warning" in line.lower()]
    assert len(warnings) == 1
    assert "warning: this run took" in warnings[0]


def test_every_command_prints_valid_next_commands(ran: list[Ran]):
    for ended in ran:
        commands = next_commands(ended.out)
        assert commands, ended.command
        for command in commands:
            if not command.startswith(ELSEWHERE):
                assert problem_of(command) == "", command


def test_paths_in_next_commands_exist_or_are_placeholders(ran: list[Ran]):
    reads = ("--ckpt-dir", "--tokenizer-path", "--config-dir", "--base-ckpt-path", "--source-file")
    for command in (c for ended in ran for c in next_commands(ended.out)):
        words = command.split()
        for flag, value in pairwise(words):
            if flag in reads and value not in PLACEHOLDERS:
                assert (ROOT / value).exists(), command


def test_no_partial_output_is_left(folder: Path):
    assert not [path for path in folder.rglob("*") if path.name.endswith((".partial", ".old"))]


def test_meta_to_native_and_back_gives_the_same_shards(folder: Path, tmp_path: Path):
    base = folder / "base"
    ended = run(
        f"scripts/convert_to_meta_weights.py --config-file {base}/params.json "
        f"--ckpt-file {base}/consolidated.pth --num-shards 2 --output-dir {tmp_path}/again"
    )
    assert (ended.code, ended.error) == (0, "")
    for name in ("consolidated.00.pth", "consolidated.01.pth"):
        found, wanted = (torch.load(folder / name) for folder in (tmp_path / "again", META))
        assert list(found) == list(wanted)
        assert all(bitwise_equal(found[key], tensor) for key, tensor in wanted.items())
    tokenizers = [folder / "tokenizer.model" for folder in (META, tmp_path / "again")]
    assert tokenizers[0].read_bytes() == tokenizers[1].read_bytes()
    params = [json.loads((d / "params.json").read_text()) for d in (META, tmp_path / "again")]
    assert params[0] == params[1]


def test_the_merged_model_survives_the_export_bit_for_bit(folder: Path):
    merged, returned = (
        (folder / name / "consolidated.safetensors").read_bytes() for name in ("merged", "returned")
    )
    assert merged == returned
    assert merged != (folder / "base/consolidated.safetensors").read_bytes()


def test_every_raw_row_is_counted(folder: Path):
    report = json.loads((folder / "cleaned.report.json").read_text(encoding="utf-8"))
    sample = json.loads((ROOT / "demo/glaive-sample.json").read_text(encoding="utf-8"))
    assert report["input"] == len(sample)
    assert report["kept"] + report["repaired"] + report["rejected"] == len(sample)
    files = [folder / f"{name}.jsonl" for name in ("cleaned", "everyday", "made_up")]
    lines = [file.read_text(encoding="utf-8").splitlines() for file in files]
    splits = [TokenizedDataset.open(folder / "dataset", name) for name in ("train", "validation")]
    assert report["kept"] + report["repaired"] == len(lines[0])
    # Of the raw rows a part is taken, of the generated conversations all.
    generated = sum(map(len, lines[1:]))
    assert generated < sum(map(len, splits)) < generated + len(lines[0])


def test_the_adapter_lowers_the_loss_on_rows_it_never_saw(folder: Path):
    records = metrics(folder / "logs/demo")
    trained = [record["loss"] for record in records if record["kind"] == "train"]
    held_out = [record["loss"] for record in records if record["kind"] == "validation"]
    assert len(trained) == STEPS
    assert held_out[-1] < held_out[0] < trained[0] - 1
    assert trained[-1] < trained[0] - 2


def test_every_typed_line_is_shown_and_answered(ran: list[Ran]):
    [chat] = [ended.out for ended in ran if ended.command.startswith("chat_completion.py")]
    lines = (ROOT / "demo/chat.txt").read_text(encoding="utf-8").splitlines()
    assert [line[2:] for line in chat.splitlines() if line[:2] == "> " and line != "> "] == lines
    assert "Tools: count_bikes, hire_bikes, greet_guest" in chat


def test_the_mask_of_a_sample_is_shown(ran: list[Ran]):
    [shown] = [ended.out for ended in ran if ended.command.startswith("scripts/inspect_dataset.py")]
    assert "<|eot_id|>" in shown


@pytest.mark.long
def test_the_demo_learns_on_from_rewards_and_scores_it(
    output: Path, folder: Path, ran: list[Ran]
) -> None:
    stages = journey(output, reward=True)[len(ran) :]
    more = [run(shorter(stage.command)) for stage in stages]
    assert [(ended.code, ended.error) for ended in more] == [(0, "")] * len(stages)
    outcomes = [stage.outcome(folder) for stage in stages]
    assert re.match(rf"reward \d\.\d\d to \d\.\d\d in {STEPS} steps", outcomes[0])
    assert set(accuracy(folder)["unseen"]) == set(COLUMNS)
    for prompts in PROMPTS:
        (folder / f"scores/rewarded-{prompts}.json").unlink()


def test_the_summary_holds_accuracy_seconds_and_sizes(folder: Path, ran: list[Ran]):
    done = [Done(ended.command, ended.command, 1.5, "fine") for ended in ran]
    write_summary(folder, done)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["accuracy"]) == set(PROMPTS)
    for prompts, models in summary["accuracy"].items():
        assert set(models) == set(COLUMNS) - {"rewarded"}
        for model, figures in models.items():
            scored = json.loads((folder / f"scores/{model}-{prompts}.json").read_text())
            counted = sum(figure["count"] for kind, figure in figures.items() if kind in KINDS)
            assert counted == len(scored["verdicts"]) + figures[ALL_CALLS]["count"]
            for figure in figures.values():
                assert figure["low"] <= figure["value"] <= figure["high"]
                # What balances two shares has a value of its own.
                if "sides" not in figure:
                    assert figure["value"] == figure["hits"] / figure["count"]
    assert summary["seconds"] == 1.5 * len(ran)
    assert [stage["title"] for stage in summary["stages"]] == [ended.command for ended in ran]
    assert set(summary["losses"]) == {"train", "validation"}
    assert {"base", "merged", "exported", "returned"} <= set(summary["bytes"])


@pytest.mark.long
def test_forty_rows_can_be_learnt_by_heart(folder: Path, tmp_path: Path):
    write_forty_rows(folder, tmp_path / "forty")
    ended = run(
        f"finetune.py --config-file configs/demo.json --model.checkpoint_dir={folder}/base "
        f"--data.dataset_dir={tmp_path}/forty --checkpoint.output_dir={tmp_path}/checkpoints "
        f"--logging.output_dir={tmp_path}/logs --validation.every=1000 --training.epochs=14 "
        "--validation.generated=null --validation.best_metric=loss "
        "--training.batch_size=4 --lora.rank=128 --lora.alpha=128 --schedule.learning_rate=6e-3 "
        "--schedule.warmup_steps=10 --model.dtype=float32"
    )
    assert (ended.code, ended.error) == (0, "")
    steps = [record for record in metrics(tmp_path / "logs/demo") if record["kind"] == "train"]
    last_epoch = steps[-10:]
    tokens = sum(step["trained_tokens"] for step in last_epoch)
    loss = sum(step["loss"] * step["trained_tokens"] for step in last_epoch) / tokens
    assert loss < 0.1 * steps[0]["loss"]


def write_forty_rows(folder: Path, directory: Path) -> None:
    """Write a dataset of the sample's 40 shortest conversations, and one more to validate on."""
    format, tokenizer = find_format("llama3"), load_tokenizer(folder / "base")
    lines = (folder / "cleaned.jsonl").read_text(encoding="utf-8").splitlines()
    conversations = [Conversation.from_record(json.loads(line)) for line in lines]
    rendered = [tokenize(render(conversation, format), tokenizer) for conversation in conversations]
    chosen = sorted(rendered, key=lambda tokens: len(tokens.ids))[:41]
    samples = [
        Sample(tokens.ids, tokens.trained, "train" if number < 40 else "validation")
        for number, tokens in enumerate(chosen)
    ]
    encoding = Encoding(
        format.name, tokenizer.sha256, tokenizer.vocab_size, tokenizer.special_tokens
    )
    write_dataset(directory, samples, encoding)


def metrics(log_dir: Path) -> list[dict]:
    """Return the records of a run's metrics.jsonl."""
    lines = (log_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
