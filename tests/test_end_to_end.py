"""The journey of `make demo`, command by command as a user types them, with less training."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from command_lines import ROOT, next_commands, problem_of

from chat.conversation import Conversation
from chat.formats import find_format, render, tokenize
from chat.tokenizer import load_tokenizer
from data.tokenized import Encoding, Sample, TokenizedDataset, write_dataset
from scripts.demo import journey

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


def run(command: str) -> Ran:
    """Run a command, given without `python`, in the project's root."""
    done = subprocess.run(
        [sys.executable, *shlex.split(command)], cwd=ROOT, capture_output=True, text=True
    )
    return Ran(command, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.path.relpath(tmp_path_factory.mktemp("journey"), ROOT))


@pytest.fixture(scope="module")
def ran(output: Path) -> list[Ran]:
    """Every command of the journey, in order."""
    shorter = f" --training.max_steps={STEPS} --validation.every=6 --logging.every=6"
    commands = [s.command + shorter * ("finetune.py" in s.command) for s in journey(output)]
    return [run(command) for command in commands]


@pytest.fixture(scope="module")
def folder(output: Path, ran: list[Ran]) -> Path:
    """Where the journey wrote, after it."""
    return (ROOT / output).resolve()


def test_every_command_ends_well_and_warns_of_nothing(ran: list[Ran]):
    assert [(each.command, each.code, each.error) for each in ran] == [
        (each.command, 0, "") for each in ran
    ]
    assert not [each.command for each in ran if "warning" in each.out.lower()]


def test_every_command_prints_next_ones_that_exist(ran: list[Ran]):
    for each in ran:
        commands = next_commands(each.out)
        assert commands, each.command
        for command in commands:
            if not command.startswith(ELSEWHERE):
                assert problem_of(command) == "", command


def test_paths_in_a_next_command_are_there_or_left_to_the_user(ran: list[Ran]):
    reads = ("--ckpt_dir", "--tokenizer_path", "--config-dir", "--base-ckpt-path", "--source-file")
    for command in (c for each in ran for c in next_commands(each.out)):
        words = command.split()
        for flag, value in pairwise(words):
            if flag in reads and value not in PLACEHOLDERS:
                assert (ROOT / value).exists(), command


def test_nothing_half_written_stays_behind(folder: Path):
    assert not [path for path in folder.rglob("*") if path.name.endswith((".partial", ".old"))]


def test_meta_to_native_and_back_gives_the_same_files(folder: Path, tmp_path: Path):
    base = folder / "base"
    ended = run(
        f"scripts/convert_to_meta_weights.py --config-file {base}/params.json "
        f"--ckpt-file {base}/consolidated.pth --num-shards 2 --output-dir {tmp_path}/again"
    )
    assert (ended.code, ended.error) == (0, "")
    for name in ("consolidated.00.pth", "consolidated.01.pth", "tokenizer.model"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "meta" / name).read_bytes()
    params = [
        json.loads((d / "params.json").read_text()) for d in (folder / "meta", tmp_path / "again")
    ]
    assert params[0] == params[1]


def test_the_merged_model_survives_the_export_bit_for_bit(folder: Path):
    merged, returned = (
        (folder / name / "consolidated.safetensors").read_bytes() for name in ("merged", "returned")
    )
    assert merged == returned
    assert merged != (folder / "base/consolidated.safetensors").read_bytes()


def test_every_raw_row_is_accounted_for(folder: Path):
    report = json.loads((folder / "cleaned.report.json").read_text(encoding="utf-8"))
    sample = json.loads((ROOT / "demo/glaive-sample.json").read_text(encoding="utf-8"))
    assert report["input"] == len(sample)
    assert report["kept"] + report["repaired"] + report["rejected"] == len(sample)
    lines = (folder / "cleaned.json").read_text(encoding="utf-8").splitlines()
    splits = [TokenizedDataset.open(folder / "dataset", name) for name in ("train", "validation")]
    assert report["kept"] + report["repaired"] == len(lines) == sum(map(len, splits))


def test_the_adapter_lowers_the_loss_on_rows_it_never_saw(folder: Path):
    records = metrics(folder / "logs/demo")
    trained = [record["loss"] for record in records if record["kind"] == "train"]
    held_out = [record["loss"] for record in records if record["kind"] == "validation"]
    assert len(trained) == STEPS
    assert held_out[-1] < held_out[0] < trained[0] - 1
    assert trained[-1] < trained[0] - 2


def test_the_merged_model_answers_every_dialog(ran: list[Ran]):
    base, merged = (each for each in ran if each.command.startswith("chat_completion.py"))
    for said in (base.out, merged.out):
        assert said.count("> Assistant:") == 3
        assert "Tools: get_tide_times" in said
    assert base.out.split("> Assistant:")[1] != merged.out.split("> Assistant:")[1]


def test_the_first_dialog_is_a_training_row_and_the_others_are_not(folder: Path):
    train = (folder / "dataset/train.origins.jsonl").read_text(encoding="utf-8").splitlines()
    identifiers = {json.loads(line)["id"] for line in train}
    rows = map(json.loads, (folder / "cleaned.json").read_text(encoding="utf-8").splitlines())
    trained = [(row["tools"], row["messages"][0]) for row in rows if row["id"] in identifiers]
    dialogs = json.loads((ROOT / "demo/dialogs.json").read_text(encoding="utf-8"))
    known = [(dialog["tools"], dialog["messages"][0]) in trained for dialog in dialogs]
    assert known == [True, False, False]


def test_forty_rows_can_be_learnt_by_heart(folder: Path, tmp_path: Path):
    write_forty_rows(folder, tmp_path / "forty")
    ended = run(
        f"finetune.py --config-file configs/demo.json --model.checkpoint_dir={folder}/base "
        f"--data.dataset_dir={tmp_path}/forty --checkpoint.output_dir={tmp_path}/checkpoints "
        f"--logging.output_dir={tmp_path}/logs --validation.every=1000 --training.epochs=14 "
        "--validation.generated=null --validation.best_metric=loss "
        "--training.batch_size=4 --lora.rank=128 --lora.alpha=128 --schedule.learning_rate=6e-3"
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
    lines = (folder / "cleaned.json").read_text(encoding="utf-8").splitlines()
    conversations = [Conversation.from_record(json.loads(line)) for line in lines]
    rendered = [tokenize(render(each, format), tokenizer) for each in conversations]
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
