"""Rounds of rejection sampling: the commands can be typed, run to the end, and go on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_lines import ROOT, problem_of
from commands import run_command
from launches import environment
from speaking_model import write_speaking_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.conversations import write_conversations
from rewards.improving import Flags, Improvement
from scripts.improve import main
from storage.manifest import read_manifest

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CITIES = ("Lyon", "Oslo", "Rome", "Bonn", "Cork", "Bath")
CALLS = [
    Conversation(
        (
            Message("user", f"Rain in {city}?"),
            Message("assistant", "", (ToolCall("weather", {"city": city}),)),
        ),
        (WEATHER,),
        f"rain-{city}",
    )
    for city in CITIES
]
GREETED = [
    Conversation((Message("user", word), Message("assistant", "Hi there")), (), f"greeted-{word}")
    for word in ("Hello", "Morning")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("improved")
    write_conversations(path / "train.jsonl", [*CALLS[1:], GREETED[0]])
    write_conversations(path / "held.jsonl", [CALLS[0], GREETED[1]])
    (path / "model").mkdir()
    (path / "model/params.json").write_text("{}")
    return path


def flags(folder: Path, **more: Any) -> Flags:
    files = {"dataset_file": f"{folder}/train.jsonl", "held_out_file": f"{folder}/held.jsonl"}
    return Flags(f"{folder}/model", **files, output_dir=f"{folder}/out", **more)


def test_every_command_of_the_rounds_can_be_typed(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write_speaking_model(model, CALLS[:1], steps=60)
    for more in ({"rounds": 3, "limit": 7}, {"constrain": True, "top_p": 0.9, "keep_easy": True}):
        improvement = Improvement(flags(tmp_path, **more, chat_format="llama3"), ROOT)
        commands = [f"{stage.program} {stage.command}" for stage in improvement.steps()]
        assert len(commands) == improvement.count_steps()
        assert [problem_of(command) for command in commands] == [""] * len(commands)
    assert problem_of(improvement.next_command()) == ""


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--rounds=0"], "--rounds is 0, wanted a number from 1 up"),
        (["--temperature=0"], "--temperature is 0.0, wanted more than 0"),
        (["--held-out-file=nowhere"], "--held-out-file nowhere does not exist"),
        (["--held-out-file={folder}/train.jsonl"], "what is scored must not be learnt from"),
        (["--roundz=2"], "--roundz; did you mean --rounds?"),
        (["--training.epoch=2"], "did you mean --training.epochs?"),
        (["--data.dataset_dir=x"], "is set by the steps themselves"),
        (["--never-from=nowhere"], "--never-from nowhere does not exist"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    folder: Path,
    more: list[str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {
        "--ckpt-dir": f"{folder}/model",
        "--dataset-file": f"{folder}/train.jsonl",
        "--held-out-file": f"{folder}/held.jsonl",
        "--output-dir": f"{folder}/out",
    }
    for flag in more:
        name, _, value = flag.format(folder=folder).partition("=")
        given[name] = value
    arguments: list[object] = [f"{name}={value}" for name, value in given.items()]
    outcome = run_command(main, arguments, monkeypatch, capsys)
    assert outcome.code in (1, 2)
    assert reason in outcome.error
    assert not (folder / "out").exists()


@pytest.mark.long
def test_two_rounds_run_from_prompts_to_scores_and_go_on(tmp_path: Path) -> None:
    write_speaking_model(tmp_path / "model", [*CALLS, *GREETED])
    write_conversations(tmp_path / "train.jsonl", [*CALLS[1:], GREETED[0]])
    write_conversations(tmp_path / "held.jsonl", [CALLS[0], GREETED[1]])
    command = [
        *(sys.executable, "scripts/improve.py", "--ckpt-dir", str(tmp_path / "model")),
        *("--dataset-file", str(tmp_path / "train.jsonl")),
        *("--held-out-file", str(tmp_path / "held.jsonl"), "--output-dir", str(tmp_path / "out")),
        *("--rounds", "2", "--replies", "3", "--keep-easy", "--val-ratio", "0.4"),
        *("--max-new-tokens", "40"),
        *("--schedule.learning_rate=1e-4", "--validation.generated=null"),
        "--validation.best_metric=loss",
    ]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    out = tmp_path / "out"
    assert read_manifest(out / "merged")["kind"] == "merged model"
    # The second round trains the first one's adapter on, and its replies are of that adapter.
    second = json.loads((out / "round-2.jsonl").read_text().splitlines()[0])
    assert second["made_by"]["lora_ckpt_path"].endswith("checkpoints/improved-1/final")
    config = json.loads((out / "checkpoints/improved-2/final/config.json").read_text())
    assert config["model"]["adapter_dir"].endswith("checkpoints/improved-1/final")
    # What is held out was replied to by nobody, and replayed by nobody.
    learnt = (out / "round-1.jsonl").read_text() + (out / "round-2.jsonl").read_text()
    assert "Lyon" not in learnt
    assert "Morning" not in learnt
    assert "what is held out" in ended.stdout
    again = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert again.returncode == 0
    assert again.stdout.count("done before: ") == 10
