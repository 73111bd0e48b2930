"""scripts/generate_dataset.py and scripts/replay_dataset.py as a user types them."""

import json
from pathlib import Path

import pytest
from command_lines import next_commands, problem_of
from commands import run_command

from scripts import build_dataset, clean_dataset, generate_dataset, replay_dataset

ROOT = Path(__file__).parents[2]


def test_generated_conversations_replay_are_clean_and_can_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "synthetic.jsonl"
    flags = ["--save-file", file, "--count", "120", "--quota.small_talk=0.1"]
    ended = run_command(generate_dataset.main, flags, monkeypatch, capsys)
    assert (ended.code, ended.error) == (0, "")
    assert "120 conversations" in ended.out and "small_talk" in ended.out
    assert [problem_of(line) for line in next_commands(ended.out)] == ["", "", ""]
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sum(row["id"].startswith("synthetic-small_talk-") for row in rows) == 12
    assert {row["source"] for row in rows} == {"synthetic"}

    ended = run_command(replay_dataset.main, ["--source-file", file], monkeypatch, capsys)
    assert ended.code == 0 and "in 120 conversations gave the stored results" in ended.out

    cleaned = ["--source-file", file, "--save-file", tmp_path / "cleaned.jsonl"]
    ended = run_command(clean_dataset.main, cleaned, monkeypatch, capsys)
    assert "120 rows: 120 kept, 0 repaired, 0 rejected" in ended.out

    tokenizer = ROOT / "demo" / "base" / "tokenizer.model"
    built = ["--source-file", file, "--tokenizer-file", tokenizer, "--save-dir", tmp_path / "built"]
    ended = run_command(build_dataset.main, built, monkeypatch, capsys)
    assert (ended.code, ended.error) == (0, "")


def test_generate_only_ends_with_data_in_the_default_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--generate_only", "--num_examples", "7"]
    ended = run_command(generate_dataset.main, flags, monkeypatch, capsys)
    assert (ended.code, ended.error) == (0, "")
    rows = (tmp_path / "data/tool_using_dataset.json").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 7
    (check,) = next_commands(ended.out)
    assert check.startswith("python scripts/replay_dataset.py") and problem_of(check) == ""
    ended = run_command(generate_dataset.main, flags[1:], monkeypatch, capsys)
    scripts = [line.split()[1] for line in next_commands(ended.out)]
    assert scripts == ["scripts/replay_dataset.py", "scripts/build_dataset.py", "finetune.py"]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (
            ["--quota.smalltalk=0.1"],
            2,
            "error: unknown flag --quota.smalltalk; did you mean --quota.small_talk?",
        ),
        (["--cuont", "3"], 2, "error: unknown flag --cuont; did you mean --count?"),
        (["--small-talk", "0.1"], 2, "error: unknown flag --small-talk; did you mean --quota.sm"),
        (["--count", "3", "--num-examples", "3"], 2, "error: --count and --num-examples are one"),
        (["--num_examples", "few"], 2, "error: --num-examples wants a whole number, found 'few'"),
        (["--count", "few"], 2, "error: --count wants a whole number, found 'few'"),
        (["--tools-file", "no.py"], 1, "error: --tools-file no.py does not exist"),
        (["--domains", "weather,wrok"], 1, "error: no domain 'wrok'; did you mean work?"),
    ],
)
def test_a_wrong_flag_is_one_line_and_nothing_is_written(
    flags: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "synthetic.jsonl"
    arguments = ["--save-file", file, *flags]
    ended = run_command(generate_dataset.main, arguments, monkeypatch, capsys)
    assert ended.code == code and ended.error.startswith(message)
    assert ended.error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_replay_that_differs_ends_with_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "synthetic.jsonl"
    flags = ["--save-file", file, "--count", "5", "--only-tools", "view_cart"]
    flags.append("--quota.single_call=1")
    assert run_command(generate_dataset.main, flags, monkeypatch, capsys).code == 0
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("143.7, ", "143.8, ", 1), encoding="utf-8")
    ended = run_command(replay_dataset.main, ["--source-file", file], monkeypatch, capsys)
    assert ended.code == 1
    assert ended.error.startswith("error: synthetic-single_call-000000: view_cart({}) gives")
