"""Checkpoints of a real, tiny run and its base, compared on the same items."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_lines import next_commands, problem_of
from commands import Outcome, run_command
from page_parser import read_page
from speaking_model import TOKENIZER, write_speaking_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from evaluation.checkpoints.candidates import Run, Setting, score_run
from evaluation.items import read_items
from inference.generate import Decoding
from scripts.evaluate import main as evaluate
from scripts.evaluate_checkpoints import main
from weights.adapter import write_base_record
from weights.chat_record import write_chat_record

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CITIES = ("Lyon", "Oslo", "Nice", "Rome", "Bern", "Riga")
# Its prompts are short.
FORMAT = "llama3_short"
CHECKPOINTS = ("step-000004", "step-000008", "step-000012")
Command = Callable[..., Outcome]


def calls(asked: str, called: str) -> Conversation:
    call = Message("assistant", "", (ToolCall("weather", {"city": called}),))
    return Conversation((Message("user", f"Rain in {asked}?"), call), (WEATHER,), id=asked.lower())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that asks about the wrong city, and a LoRA run that was taught to do better."""
    from tiny_runs import train_natively

    from training.config import Config

    folder = tmp_path_factory.mktemp("checkpoints")
    wrong = zip(CITIES, (*CITIES[1:], CITIES[0]), strict=True)
    known = [calls(city, other) for city, other in wrong]
    base = write_speaking_model(folder / "base", known, chat_format=FORMAT)
    write_chat_record(base, FORMAT)
    write_conversations(folder / "rows.jsonl", [calls(city, city) for city in CITIES])
    build_dataset(folder / "rows.jsonl", TOKENIZER, folder / "data", Settings(0.3, FORMAT))
    values: dict[str, Any] = {
        "name": "run",
        "model": {"checkpoint_dir": str(base), "dtype": "float32", "device": "cpu"},
        "data": {"dataset_dir": str(folder / "data")},
        "lora": {"rank": 16, "alpha": 64},
        "training": {"epochs": 60, "batch_size": 8, "max_steps": 12},
        "schedule": {"learning_rate": 5e-3, "kind": "constant", "warmup_steps": 0},
        "validation": {"every": 4},
        "checkpoint": {"output_dir": str(folder / "runs"), "every": 4, "keep_last": 3},
        "logging": {"output_dir": str(folder / "logs")},
    }
    train_natively(Config.model_validate(values))
    return folder


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
) -> Command:
    def compare(*words: object, **flags: object) -> Outcome:
        given = {
            "checkpoint_dir": folder / "runs" / "run",
            "data_path": folder / "rows.jsonl",
            "output_file": tmp_path / "out.json",
            "temperature": 0,
            "max_new_tokens": 60,
        } | flags
        arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
        return run_command(main, [*words, *arguments], monkeypatch, capsys)

    return compare


def record(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_checkpoints_and_base_are_scored_on_the_same_items(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    outcome = command(report_file=tmp_path / "page.html")
    assert (outcome.code, outcome.error) == (0, "")
    found = record(tmp_path / "out.json")
    assert set(found["checkpoints"]) == {"base", *CHECKPOINTS}
    shares = {name: scored["figures"]["correct"] for name, scored in found["checkpoints"].items()}
    assert {share["count"] for share in shares.values()} == {len(CITIES)}
    assert shares["base"]["hits"] == 0 and shares[found["best"]]["hits"] > 0
    assert shares[found["best"]]["value"] == max(share["value"] for share in shares.values())
    # `best` and `final` hold the weights of a step again; each weight is scored once.
    also = [name for scored in found["checkpoints"].values() for name in scored["also"]]
    assert sorted(also) == ["best", "final"]
    assert len(found["differences"]) == 4 * 3 // 2
    gain = next(
        d for d in found["differences"] if {d["one"], d["other"]} == {"base", found["best"]}
    )
    assert abs(gain["value"]) == pytest.approx(shares[found["best"]]["value"])
    for text in ("95% interval", "to base", f"0 of {len(CITIES)}", "Best by exact_match: step-"):
        assert text in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines() if line.startswith("│"))


def test_the_next_command_merges_the_best_one(command: Command, folder: Path, tmp_path: Path):
    outcome = command()
    best = folder / "runs" / "run" / record(tmp_path / "out.json")["best"]
    (line,) = next_commands(outcome.out)
    assert problem_of(line) == ""
    assert line.startswith("python scripts/convert_lora_weights.py")
    assert f"--base-ckpt-path {folder / 'base'} --lora-ckpt-path {best} " in line


def test_the_page_compares_and_shows_failures_side_by_side(
    command: Command, tmp_path: Path
) -> None:
    command(report_file=tmp_path / "page.html")
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    best = record(tmp_path / "out.json")["best"]
    for text in (
        "By checkpoint: exact_match",
        "There is no balanced figure: every item wants a call.",
        "By argument type",
        "Differences in exact_match",
        f"Gained: base wrong, {best} right",
        f"✗ base ✓ {best}" if best == CHECKPOINTS[0] else f"✓ {best}",
        "Rain in Lyon?",
        'weather: city may not be "Oslo"',
    ):
        assert text in page.text, text
    assert page.tags.count("circle") >= 2 * len(CHECKPOINTS)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_verdicts_are_those_of_the_command_that_scores_one(
    command: Command,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """An adapter that is swapped in keeps nothing of the one before."""
    command()
    flags = ["--ckpt-dir", folder / "base", "--lora-ckpt-path", folder / "runs" / "run" / name]
    flags += ["--dataset-file", folder / "rows.jsonl", "--max-new-tokens", 60]
    flags += ["--output-file", tmp_path / "one.json"]
    assert run_command(evaluate, flags, monkeypatch, capsys).code == 0
    kept = record(tmp_path / "out.verdicts" / f"{name}.json")
    assert kept["verdicts"] == record(tmp_path / "one.json")["verdicts"]


def test_rows_with_parameters_are_read_and_other_spellings_taken(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
) -> None:
    row = calls("Lyon", "Lyon").to_record()
    row["messages"][1]["tool_calls"] = [{"name": "weather", "parameters": {"city": "Lyon"}}]
    (tmp_path / "rows.json").write_text(
        json.dumps([{**row, "tools": [row["tools"][0]["function"]]}])
    )
    flags = ["--ckpt-dir", folder / "runs" / "run", "--dataset_file", tmp_path / "rows.json"]
    flags += ["--limit", 1, "--max-new-tokens", 60, "--output_file", tmp_path / "out.json"]
    flags += ["--failures_file", tmp_path / "failures.txt"]
    outcome = run_command(main, flags, monkeypatch, capsys)
    assert (outcome.code, outcome.error) == (0, "")
    assert "rows of the layout openai, cleaned while they were read: 1 used, 0 rej" in outcome.out
    found = record(tmp_path / "out.json")
    assert (found["about"]["num_examples"], found["about"]["temperature"]) == (1, 0.1)
    failures = (tmp_path / "failures.txt").read_text(encoding="utf-8")
    assert failures.startswith("==== base\n1 of 1 answers are wrong\n")
    assert "User: Rain in Lyon?" in failures and failures.count("====") == 1 + len(CHECKPOINTS)


class TestAnotherCall:
    def test_a_rerun_reuses_finished_answers(self, command: Command, tmp_path: Path) -> None:
        first = command()
        before = (tmp_path / "out.json").read_bytes()
        again = command()
        assert "answers are in" not in first.out
        assert again.out.count(f"{len(CITIES)} answers are in") == 1 + len(CHECKPOINTS)
        assert (tmp_path / "out.json").read_bytes() == before

    def test_a_rerun_continues_an_interrupted_comparison(
        self, command: Command, tmp_path: Path
    ) -> None:
        command()
        verdicts = tmp_path / "out.verdicts"
        (verdicts / f"{CHECKPOINTS[0]}.json").unlink()
        half = record(verdicts / f"{CHECKPOINTS[1]}.json")
        half["verdicts"].pop()
        (verdicts / f"{CHECKPOINTS[1]}.json").write_text(json.dumps(half))
        (verdicts / "base.json").write_text("{")
        before = (tmp_path / "out.json").read_bytes()
        again = command()
        assert (again.code, again.out.count("answers are in")) == (0, 1)
        assert (tmp_path / "out.json").read_bytes() == before

    @pytest.mark.long
    def test_a_rerun_asks_again_after_any_change(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        command()
        for flags in (
            {"max_new_tokens": 50},
            {"temperature": 0.5},
            {"num_examples": 3},
            {"constrain": True},
        ):
            assert "answers are in" not in command(**flags).out, flags
        changed = tmp_path / "changed.jsonl"
        text = (folder / "rows.jsonl").read_text(encoding="utf-8")
        changed.write_text(text.replace("Rain in Riga?", "Rain in Riga!"), encoding="utf-8")
        assert "answers are in" not in command(data_path=changed).out

    def test_a_rerun_judges_kept_answers_anew(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        """The kept file holds the replies, not only the verdicts."""
        command()
        wrong = zip(CITIES, (*CITIES[1:], CITIES[0]), strict=True)
        write_conversations(tmp_path / "other.jsonl", [calls(city, other) for city, other in wrong])
        again = command(data_path=tmp_path / "other.jsonl")
        assert again.out.count("answers are in") == 1 + len(CHECKPOINTS)
        found = record(tmp_path / "out.json")["checkpoints"]
        assert found["base"]["figures"]["correct"]["hits"] == len(CITIES)
        assert "No checkpoint is above the base by exact_match." in again.out
        (line,) = next_commands(again.out)
        assert problem_of(line) == "" and line.startswith("python scripts/evaluate.py --ckpt-dir")
        assert " --limit 10 --temperature 0.0 --max-new-tokens 60 --failures-file" in line


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be damaged."""
    shutil.copytree(folder / "runs" / "run", tmp_path / "run")
    return tmp_path / "run"


def test_a_damaged_checkpoint_is_reported_and_the_others_are_scored(
    command: Command, run: Path, tmp_path: Path
) -> None:
    adapter = run / CHECKPOINTS[0] / "adapter.safetensors"
    content = bytearray(adapter.read_bytes())
    content[-1] ^= 1
    adapter.write_bytes(content)
    (run / CHECKPOINTS[1] / "adapter.safetensors").unlink()
    outcome = command(checkpoint_dir=run, report_file=tmp_path / "page.html")
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "2 of the checkpoints could not be scored, the first is step-000004" in outcome.error
    assert "is damaged: its sha256 is" in outcome.error
    found = record(tmp_path / "out.json")
    # `best` holds the weights of one of them, too.
    assert set(found["checkpoints"]) - {"best"} == {"base", CHECKPOINTS[2]}
    assert "has no adapter.safetensors" in found["not_scored"][CHECKPOINTS[1]]
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert f"Not scored: {CHECKPOINTS[0]}" in page.text
    assert next_commands(outcome.out)


def test_tasks_of_several_turns_are_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reading them wants the benchmark's package.
    several = [SimpleNamespace(task="of several turns")]
    monkeypatch.setattr("scripts.evaluate_checkpoints.read_items", lambda *_: several)
    outcome = command(benchmark="bfcl")
    assert (outcome.code, outcome.error.count("\n")) == (2, 1)
    assert "tasks of several turns are scored by scripts/evaluate.py" in outcome.error


@pytest.mark.usefixtures("trusted_files")
def test_a_foreign_adapter_is_reported_and_the_others_are_scored(
    command: Command, run: Path, tmp_path: Path
) -> None:
    params = run / CHECKPOINTS[1] / "params.json"
    params.write_text(re.sub(r'"norm_eps": [^,}]+', '"norm_eps": 0.5', params.read_text()))
    outcome = command(checkpoint_dir=run)
    assert outcome.code == 1
    assert "was trained on another model: its norm_eps is 0.5" in outcome.error
    assert len(record(tmp_path / "out.json")["checkpoints"]) == len(CHECKPOINTS)


def test_a_checkpoint_replaced_meanwhile_is_reported_and_not_scored(
    run: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.rmtree(run / "best")
    shutil.copytree(run / "step-000004", run / "best")
    shutil.rmtree(run / "step-000004")
    items = read_items(str(folder / "rows.jsonl"), limit=2)
    opened = Run.open(run)
    scored = score_run(opened, items, Setting(Decoding((), 8)), tmp_path / "kept", print)
    assert next(scored).candidate.name == "base"
    shutil.rmtree(run / "best")
    shutil.copytree(run / "step-000008", run / "best")
    assert [checkpoint.candidate.name for checkpoint in scored] == ["step-000008", "step-000012"]
    assert "has been replaced meanwhile" in opened.unread["best"]
    assert not (tmp_path / "kept" / "best.json").exists()


@pytest.mark.usefixtures("trusted_files")
def test_a_base_that_was_moved_can_be_named(
    command: Command, run: Path, folder: Path, tmp_path: Path
) -> None:
    for file in run.glob("*/base.json"):
        file.write_text(json.dumps({"directory": str(tmp_path / "moved"), "sha256": None}))
    outcome = command(checkpoint_dir=run)
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "moved, which is not there; name the base with --base-model-name" in outcome.error
    assert command(checkpoint_dir=run, base_model_name=folder / "base").code == 0
    for file in run.glob("*/base.json"):
        file.unlink()
    assert "does not say what it was trained on" in command(checkpoint_dir=run).error


@pytest.mark.long
def test_fully_trained_weights_are_scored_too(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    """A full fine-tune: here its only checkpoint is the base itself, under another name."""
    step = tmp_path / "full" / "step-000001"
    shutil.copytree(folder / "base", step)
    (step / "base.json").write_text(json.dumps({"directory": str(folder / "base"), "sha256": None}))
    write_chat_record(step, "llama3_short")
    outcome = command(checkpoint_dir=tmp_path / "full")
    assert (outcome.code, outcome.error) == (0, "")
    found = record(tmp_path / "out.json")["checkpoints"]
    assert found["base"]["figures"] == found["step-000001"]["figures"]
    assert found["base"]["figures"]["correct"]["hits"] == 0
    outcome = command(
        "--chat-format-anyway",
        checkpoint_dir=tmp_path / "full",
        chat_format="llama3",
        num_examples=2,
    )
    (line,) = next_commands(outcome.out)
    assert problem_of(line) == ""
    spoken = "--chat-format llama3 --chat-format-anyway True"
    assert f" --limit 2 --temperature 0.0 {spoken} --max-new-tokens 60 " in line


def test_one_checkpoint_alone_is_compared_with_its_base(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    outcome = command(checkpoint_dir=folder / "runs" / "run" / CHECKPOINTS[2])
    assert outcome.code == 0
    assert set(record(tmp_path / "out.json")["checkpoints"]) == {"base", CHECKPOINTS[2]}


def test_a_metric_that_counts_no_reply_is_refused_before_prompting(
    command: Command, tmp_path: Path
) -> None:
    outcome = command(metric="parallel_match")
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    told = "no reply to these items counts for parallel_match (the same, where several calls are"
    assert told in outcome.error
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_one_line(command: Command, folder: Path, tmp_path: Path) -> None:
    empty, foreign = tmp_path / "empty.jsonl", tmp_path / "foreign.jsonl"
    empty.write_text("")
    foreign.write_text('{"chat": "USER: hi"}\n')
    (tmp_path / "none").mkdir()
    cases: list[tuple[dict[str, object], str, int]] = [
        ({"checkpoint_dir": tmp_path / "nowhere"}, "does not exist; wanted a run's directory", 1),
        ({"checkpoint_dir": tmp_path / "none"}, "holds no checkpoint", 1),
        ({"data_path": empty}, "is empty", 1),
        ({"data_path": foreign}, "foreign.jsonl, line 1: no known layout: found an object with", 1),
        (
            {"metric": "accuracy"},
            "--metric: there is no 'accuracy'; there are balanced, correct, call_or_not",
            2,
        ),
        ({"metric": "irrelevance"}, "no reply to these items counts for irrelevance", 1),
        ({"num_examples": 0}, "--num-examples is 0, wanted 1 or more", 2),
        ({"benchmark": "bfcl", "held_out_of": "d"}, "--held-out-of goes with conversations", 2),
        ({"answers_file": "a"}, "--answers-file goes with --benchmark, which is not given", 2),
        ({"tools_file": "t"}, "--tools-file goes with --benchmark, which is not given", 2),
        ({"max_seq_len": 20}, "is a prompt of", 1),
        ({"chat_format": "lama3"}, "did you mean llama3?", 1),
        ({"base_model_name": "nowhere"}, "nowhere does not exist", 1),
        ({"output_file": "/dev/null/out.json"}, "/dev/null/out.json cannot be written", 1),
        ({"temperature": -1}, "temperature is -1.0, wanted 0", 1),
    ]
    for flags, problem, code in cases:
        outcome = command(**flags)
        assert (outcome.code, outcome.error.count("\n")) == (code, 1), (flags, outcome.error)
        assert problem in outcome.error, (flags, outcome.error)


@pytest.mark.usefixtures("trusted_files")
def test_base_is_stored_as_the_adapters_were_trained(
    command: Command, run: Path, folder: Path, tmp_path: Path
) -> None:
    for step in run.glob("*/base.json"):
        write_base_record(step.parent, folder / "base", "nf4_double")
    outcome = command(checkpoint_dir=run, num_examples=2)
    assert (outcome.code, outcome.error) == (0, "")
    assert f"{folder}/base: linear layers in nf4_double\n" in outcome.out
    verdicts = tmp_path / "out.verdicts"
    inputs = [
        record(file)["summary"]["about"]["inputs"]["quantization"] for file in verdicts.iterdir()
    ]
    assert inputs == ["nf4_double"] * (1 + len(CHECKPOINTS))
    again = command(checkpoint_dir=run, num_examples=2, quantization="none")
    assert "already" not in again.out and "linear layers" not in again.out


@pytest.mark.usefixtures("trusted_files")
def test_adapters_of_bases_stored_differently_are_refused(
    command: Command, run: Path, folder: Path
) -> None:
    write_base_record(run / "step-000004", folder / "base", "nf4")
    outcome = command(checkpoint_dir=run)
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "choose one for all with --quantization" in outcome.error
