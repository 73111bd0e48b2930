import json
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_lines import ROOT, problem_of

from data.cleaning.any_layout import read_any_layout
from teaching import steps as teaching_steps
from teaching.request import Flags, Request, adapter_dir, larger_command, next_commands, scores_file
from teaching.steps import count_steps, steps
from teaching.tools import complete_file, possible_shares, read_teachable

AS_SCORED = teaching_steps.as_scored
EXAMPLE = ROOT / "examples/teach_tools.json"


@pytest.fixture
def request_of_example(tmp_path: Path) -> Request:
    file = complete_file(EXAMPLE, tmp_path)
    settings = {"training.max_steps": "7", "lora.targets": '["wq"]'}
    flags = Flags("demo/base", str(tmp_path), rounds=3, settings=settings)
    return Request(flags, read_teachable(str(file)), ROOT)


def asked(request: Request, **flags: Any) -> Request:
    """Return a request with some flags changed."""
    return replace(request, flags=replace(request.flags, **flags))


@pytest.fixture(autouse=True)
def nothing_has_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps be known whose files are not there: the base, and the dataset."""
    monkeypatch.setattr(teaching_steps, "as_scored", lambda request: request)
    monkeypatch.setattr(teaching_steps, "check_format", lambda directory, given: None)


def fail_on_prompts(request: Request) -> None:
    """Write what the rounds learn from: one wrong reply after each."""
    wrong = {"id": "synthetic-single_call-000001/1", "verdict": False, "empty": True}
    for round in range(1, request.flags.rounds):
        file = request.directory / scores_file(f"round-{round}", "practice")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"verdicts": [wrong]}))


def test_every_command_can_be_typed(request_of_example: Request):
    fail_on_prompts(request_of_example)
    with_data = asked(request_of_example, data="my rows.json", chat_format="llama3_short")
    for request in (request_of_example, with_data):
        for stage in steps(request):
            assert problem_of(stage.line) == ""
        assert [problem_of(command) for command in next_commands(request)] == ["", ""]


def test_a_larger_run_is_typed_with_the_same_flags(request_of_example: Request):
    request = asked(
        request_of_example,
        tools_file=str(EXAMPLE),
        data=str(ROOT / "rows.json"),
        format="xlam",
    )
    command = larger_command(request)
    assert problem_of(command) == ""
    words = shlex.split(command)
    assert dict(zip(words[2::2], words[3::2], strict=True)) == {
        "--model-dir": "demo/base",
        "--output-dir": f"{request.directory}-larger",
        "--tools-file": "examples/teach_tools.json",
        "--data": "rows.json",
        "--format": "xlam",
        "--rounds": "3",
        "--count": "4000",
        "--training.max_steps": "7",
        "--lora.targets": '["wq"]',
    }


def test_a_chat_format_with_settings_is_one_word(request_of_example: Request):
    dated = "llama3_1:date=30 Nov 2026"
    request = asked(request_of_example, chat_format=dated, rounds=1)
    commands = [shlex.split(stage.line) for stage in steps(request)]
    given = [words[words.index("--chat-format") + 1] for words in commands if dated in words]
    assert given == [dated] * 3


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("data", [None, "rows.json"])
@pytest.mark.parametrize(("model_dir", "general"), [("demo/base", 0.5), ("demo/making", 0.0)])
def test_the_steps_are_counted_before_they_are_known(
    rounds: int, data: str | None, model_dir: str, general: float, request_of_example: Request
):
    request = asked(
        request_of_example, rounds=rounds, data=data, model_dir=model_dir, general=general
    )
    fail_on_prompts(request)
    assert len(list(steps(request))) == count_steps(request)


def test_plain_text_is_scored_before_and_after_once(request_of_example: Request):
    request = asked(request_of_example, text_file="examples/plain_text.txt", rounds=1)
    lines = [stage.line for stage in steps(request) if "--text-file" in stage.line]
    assert [line.partition("scores/")[2].split()[0] for line in lines] == [
        "base-taught.json",
        "tuned-taught.json",
    ]


def test_a_gguf_file_becomes_a_native_directory_first(request_of_example: Request):
    request = asked(request_of_example, model_dir="models/small.gguf", rounds=1)
    first = next(iter(steps(request)))
    assert "convert_from_gguf.py --gguf-file models/small.gguf" in first.line
    assert count_steps(request) == len(list(steps(request)))


def test_held_out_tools_are_scored_at_the_start_and_the_end_only(request_of_example: Request):
    fail_on_prompts(request_of_example)
    lines = [stage.line for stage in steps(request_of_example)]
    scored = [place for place, line in enumerate(lines) if "evaluate.py" in line]
    held_out = [place for place in scored if "held_out.jsonl" in lines[place]]
    trained = [place for place, line in enumerate(lines) if "finetune.py" in line]
    assert len(trained) == 3
    assert [place < trained[0] or place > trained[-1] for place in held_out] == [True] * 3


def test_held_out_tools_and_values_are_generated_for_no_training(request_of_example: Request):
    fail_on_prompts(request_of_example)
    lines = [stage.line for stage in steps(request_of_example)]
    [held_out] = request_of_example.teachable.held_out
    for line in lines:
        if "/general.jsonl" in line:
            assert "--tools-file" not in line
        elif "/round-" in line and "generate_dataset.py" in line:
            assert held_out not in line and "--values seen" in line
        elif "generate_dataset.py" in line:
            assert "--values unseen" in line


def test_no_two_files_are_generated_with_one_seed(request_of_example: Request):
    fail_on_prompts(request_of_example)
    lines = [s.line for s in steps(request_of_example) if "generate_dataset.py" in s.line]
    seeds = [line.partition("--seed ")[2].split()[0] for line in lines]
    assert len(set(seeds)) == len(seeds) == 7


def test_what_fails_in_a_round_is_generated_more_in_the_next(request_of_example: Request):
    fail_on_prompts(request_of_example)
    lines = [s.line for s in steps(request_of_example) if "--save-file" in s.line]
    first, second, third = [line for line in lines if "/round-" in line]
    assert "--quota" not in first
    shares = [
        float(line.partition("--quota.single_call=")[2].split()[0]) for line in (second, third)
    ]
    usual = possible_shares(request_of_example.teachable, request_of_example.mixture)
    assert usual["single_call"] < shares[0] == shares[1]


def test_an_interrupted_training_goes_on_from_its_checkpoint(request_of_example: Request):
    stages = steps(request_of_example)
    first = next(stage for stage in stages if "finetune.py" in stage.line)
    assert first.more(request_of_example.directory) == ""
    (request_of_example.directory / adapter_dir(1)).with_name("step-000010").mkdir(parents=True)
    assert first.more(request_of_example.directory) == " --resume"


def test_own_rows_are_scored_where_some_were_kept_from_the_training(
    request_of_example: Request, monkeypatch: pytest.MonkeyPatch
):
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}]}
    (request_of_example.directory / "own.jsonl").write_text(json.dumps(row) + "\n")
    [own] = read_any_layout(request_of_example.directory / "own.jsonl")
    request = asked(request_of_example, data="rows.json")
    for kept, parts in ((own.sha256, 3), ("of another row", 2)):
        split = SimpleNamespace(origins=lambda sha256=kept: [SimpleNamespace(sha256=sha256)])
        monkeypatch.setattr(
            teaching_steps.TokenizedDataset, "open", lambda *where, split=split: split
        )
        assert len(AS_SCORED(request).parts) == parts


def test_values_are_not_split_where_a_parameter_has_too_few(request_of_example: Request):
    teachable = replace(request_of_example.teachable, unsplit=("water_bed.minutes",))
    request = asked(replace(request_of_example, teachable=teachable), rounds=1, general=0)
    lines = [s.line for s in steps(request) if "generate_dataset.py" in s.line]
    assert all("--values all" in line for line in lines)
