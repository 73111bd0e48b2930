import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from command_lines import ROOT

from console.journey import Stage
from storage.json_file import write_json
from teaching import run as teaching_run
from teaching import steps as teaching_steps
from teaching.request import Flags, Request
from teaching.run import PAGE_FILE, STATE_FILE, open_run
from teaching.steps import steps


@pytest.fixture
def tools_file(tmp_path: Path) -> Path:
    file = tmp_path / "tools.json"
    file.write_text('[{"name": "ring_bell"}]')
    return file


def flags(tools_file: Path, **more: Any) -> Flags:
    output = tools_file.parent / "out"
    return Flags("demo/base", str(output), str(tools_file), **more)


@pytest.fixture
def short_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put three commands in place of the real steps: each leaves a mark, the second may fail."""

    def steps(request: Request) -> Iterator[Stage]:
        for name in ("one", "two", "three"):
            code = f'open("{tmp_path}/log", "a").write("{name} "); '
            code += f'import sys, os; sys.exit(os.path.exists("{tmp_path}/fail-{name}"))'
            yield Stage(name, f"-c '{code}'", lambda output: "left a mark")

    monkeypatch.setattr(teaching_run, "steps", steps)
    monkeypatch.setattr(teaching_run, "count_steps", lambda request: 3)
    monkeypatch.setattr(
        teaching_run, "write_page", lambda file, request, done: file.write_text("page")
    )


@pytest.mark.usefixtures("short_steps")
def test_a_run_goes_on_at_the_step_that_failed(tools_file: Path, tmp_path: Path):
    (tmp_path / "fail-two").touch()
    with pytest.raises(SystemExit):
        list(open_run(flags(tools_file), ROOT).go())
    assert not (tmp_path / "out" / PAGE_FILE).exists()
    (tmp_path / "fail-two").unlink()
    done = list(open_run(flags(tools_file), ROOT).go())
    assert (tmp_path / "log").read_text() == "one two two three "
    assert [step.title for step in done] == ["one", "two", "three"]
    assert (tmp_path / "out" / PAGE_FILE).read_text() == "page"


@pytest.mark.usefixtures("short_steps")
def test_a_finished_run_runs_nothing_again(tools_file: Path, tmp_path: Path):
    first = list(open_run(flags(tools_file), ROOT).go())
    assert list(open_run(flags(tools_file), ROOT).go()) == first
    assert (tmp_path / "log").read_text() == "one two three "


def test_other_flags_for_a_begun_run_are_refused(tools_file: Path):
    open_run(flags(tools_file), ROOT)
    with pytest.raises(ValueError, match="was begun with --count 2000, and now it is --count 5;"):
        open_run(flags(tools_file, count=5), ROOT)
    with pytest.raises(ValueError, match="begun with no settings, and now it is --training"):
        open_run(flags(tools_file, settings={"training.epochs": "2"}), ROOT)


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """Return a directory with what is read of a native model before its weights."""
    directory = tmp_path / "native"
    directory.mkdir()
    for name in ("params.json", "tokenizer.model"):
        shutil.copyfile(ROOT / "demo/base" / name, directory / name)
    return directory


def test_a_format_that_does_not_fit_the_base_is_named_before_any_step(
    tools_file: Path, native: Path
):
    asked = replace(flags(tools_file, chat_format="hermes"), model_dir=str(native))
    with pytest.raises(ValueError, match=r"token <\|im_start\|>.*--chat-format: llama3, llama3_sh"):
        list(open_run(asked, ROOT).go())
    assert not list((tools_file.parent / "out").glob("*.jsonl"))
    steps_left = steps(open_run(replace(asked, chat_format="llama3_short"), ROOT).request)
    assert "generate_dataset.py" in next(steps_left).line


def test_a_converted_base_is_asked_for_its_format_before_generation(tools_file: Path, native: Path):
    asked = replace(flags(tools_file, chat_format="hermes"), model_dir="small.gguf")
    teachable = open_run(flags(tools_file), ROOT).request.teachable
    stages = steps(Request(asked, teachable, ROOT))
    assert "convert_from_gguf.py" in next(stages).line
    native.rename(tools_file.parent / "out" / "base")
    with pytest.raises(ValueError, match="which the chat format hermes needs; name one that fits"):
        next(stages)


@pytest.mark.parametrize(
    ("command", "is_kept"),
    [("convert_from_gguf.py", False), ("generate_dataset.py", False), ("build_dataset.py", True)],
)
def test_the_chat_format_is_kept_once_a_step_has_used_it(
    command: str, is_kept: bool, tools_file: Path
):
    open_run(flags(tools_file), ROOT)
    file = tools_file.parent / "out" / STATE_FILE
    done = {"title": "", "command": f"python scripts/{command}", "seconds": 1.0, "outcome": ""}
    write_json(file, json.loads(file.read_text()) | {"done": [done]})
    other = flags(tools_file, chat_format="llama3_short")
    if is_kept:
        with pytest.raises(ValueError, match="begun with no --chat-format, and now it is --chat-f"):
            open_run(other, ROOT)
    else:
        assert open_run(other, ROOT).journal.state["flags"]["chat_format"] == "llama3_short"


def test_a_changed_tools_file_is_refused(tools_file: Path):
    open_run(flags(tools_file), ROOT)
    tools_file.write_text('[{"name": "ring_bells"}]')
    with pytest.raises(ValueError, match="has changed since"):
        open_run(flags(tools_file), ROOT)


def test_changed_rows_are_refused(tools_file: Path, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")
    open_run(flags(tools_file, data=str(rows)), ROOT)
    rows.write_text("{} ")
    with pytest.raises(ValueError, match=r"rows\.jsonl has changed since"):
        open_run(flags(tools_file, data=str(rows)), ROOT)


def test_a_run_inside_the_project_is_begun_and_continued_from_elsewhere(
    tools_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(teaching_steps, "check_format", lambda directory, given: None)
    asked = Flags(str(ROOT / "demo/base"), str(tmp_path / "out"), str(tools_file), general=0)
    monkeypatch.chdir(tmp_path.parent)
    for _ in range(2):
        request = open_run(asked, tmp_path).request
        lines = [stage.line for stage in islice(steps(request), 2)]
        assert "--output-dir out/base" in lines[0]
        assert "--tools-file out/tools.json" in lines[1]
        monkeypatch.chdir(tmp_path)


def test_a_directory_of_someone_else_is_refused_and_kept(tools_file: Path):
    other = tools_file.parent / "out"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"holds thesis\.txt and was not written by this"):
        open_run(flags(tools_file), ROOT)
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]


def test_a_broken_tools_file_leaves_no_run_behind(tools_file: Path):
    tools_file.write_text("[{")
    with pytest.raises(ValueError, match=r"tools\.json"):
        open_run(flags(tools_file), ROOT)
    assert not (tools_file.parent / "out" / STATE_FILE).exists()
    tools_file.write_text('[{"name": "ring_bell"}]')
    assert open_run(flags(tools_file), ROOT).request.teachable.taught == ("ring_bell",)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"rounds": 0}, "--rounds is 0"),
        ({"data": "absent"}, "--data absent does not exist"),
        ({"chat_format": "lama3"}, "unknown chat format 'lama3'; did you mean llama3"),
    ],
)
def test_a_flag_that_cannot_be_is_named(more: dict[str, Any], reason: str, tools_file: Path):
    with pytest.raises((ValueError, FileNotFoundError), match=reason):
        open_run(flags(tools_file, **more), ROOT)


def test_a_missing_model_is_named_with_where_to_get_one(tools_file: Path):
    with pytest.raises(FileNotFoundError, match=r"--model-dir absent does not exist.*models\.md"):
        open_run(Flags("absent", "out", str(tools_file)), ROOT)


def test_a_directory_without_a_model_is_refused(tools_file: Path):
    with pytest.raises(ValueError, match=r"holds no model: none of params\.json, config\.json"):
        open_run(Flags(str(tools_file.parent), "out", str(tools_file)), ROOT)


def test_a_run_of_a_server_asks_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def ask(command: str, file: Path) -> None:
        asked.append(command)
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"tools": [{"name": "ring_bell"}]}))

    monkeypatch.setattr(teaching_run, "ask_for_tools", ask)
    server = Flags("demo/base", str(tmp_path / "out"), mcp="my-server --stdio")
    first, second = (open_run(server, ROOT) for _ in range(2))
    assert first.request == second.request
    assert asked == ["my-server --stdio"]
