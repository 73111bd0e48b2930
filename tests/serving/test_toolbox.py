"""The tools of a chat: built-in ones, a user's own from a file, and the results of calls."""

import json
import signal
from pathlib import Path

import pytest
from commands import run_command

from chat.conversation import Tool, ToolCall
from chat_completion import main
from serving.toolbox import DEFAULT_TOOLS, open_toolbox
from synthesis.domains import weather

DOOR = Tool("door", "", {"type": "object", "properties": {"open": {"type": "boolean"}}})
PYTHON = '''
import os
import signal
import sys


def greet(name: str) -> str:
    """Greet somebody."""
    if name == "nobody":
        sys.exit("who?")
    if name == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    if name == "everybody":
        return {"Ada", "Eve"}
    if name == "infinity":
        return float("inf")
    return f"Hello {name}"


def leave_a_trace() -> dict:
    """Write a file."""
    open(__file__ + ".trace", "w").close()
    return {"name": "Eve"}
'''


def test_toolbox_selects_built_in_tools_by_name_and_domain() -> None:
    assert ",".join(tool.name for tool in open_toolbox().tools) == DEFAULT_TOOLS
    names = [tool.name for tool in open_toolbox("calculate_percentage, weather").tools]
    assert names == ["calculate_percentage", *(tool.name for tool in weather.DOMAIN.tools)]
    assert open_toolbox("none").tools == ()


def test_built_in_tool_runs_or_gives_an_error() -> None:
    toolbox = open_toolbox("calculate_percentage")

    def result(name: str, **arguments: object) -> object:
        return json.loads(toolbox.result(ToolCall(name, arguments)) or "")

    assert result("calculate_percentage", percent=10, base=50) == {"result": 5.0, "rest": 45.0}
    wrong = result("calculate_percentage", percent="ten", base=50)
    assert wrong == {"error": "'ten' is not of type 'number'"}
    assert result("nothing") == {"error": "there is no tool nothing"}


@pytest.mark.parametrize("record", [[DOOR.to_record()], {"tools": [DOOR.to_record()]}])
def test_tools_from_schemas_have_no_automatic_result(tmp_path: Path, record: object) -> None:
    (tmp_path / "own.json").write_text(json.dumps(record))
    toolbox = open_toolbox(file=str(tmp_path / "own.json"))
    assert toolbox.tools == (DOOR,)
    assert toolbox.result(ToolCall("door", {"open": True})) is None
    assert toolbox.problem(ToolCall("door", {"open": 1})) == "1 is not of type 'boolean'"
    both = open_toolbox("calculate_percentage", str(tmp_path / "own.json"))
    assert [tool.name for tool in both.tools] == ["calculate_percentage", "door"]


def test_functions_of_a_python_file_run_only_when_called(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PYTHON)
    toolbox = open_toolbox(file=str(tmp_path / "own.py"))
    assert toolbox.result(ToolCall("greet", {"name": "Eve"})) == '"Hello Eve"'
    # The functions are not run in advance to link tools by their results, as data synthesis does.
    assert [path.name for path in tmp_path.glob("*.trace")] == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nobody", "greet called exit('who?')"),
        ("everybody", "a tool's result cannot be written as JSON: Object of type set"),
        ("infinity", "Out of range float values"),
    ],
)
def test_failing_tool_gives_an_error_result(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "own.py").write_text(PYTHON)
    told = open_toolbox(file=str(tmp_path / "own.py")).result(ToolCall("greet", {"name": name}))
    result = json.loads(told or "")
    assert list(result) == ["error"] and result["error"].startswith(problem)


def test_sigterm_ends_the_chat_while_a_tool_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(PYTHON)
    before = signal.getsignal(signal.SIGTERM)

    def chat() -> None:
        toolbox = open_toolbox(file=str(tmp_path / "own.py"))
        toolbox.result(ToolCall("greet", {"name": "signal"}))

    try:
        assert run_command(chat, [], monkeypatch, capsys).code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "own.json: Expecting"),
        ("[]", "wanted a list of tools"),
        ("5", "wanted a list of tools"),
        ('[{"description": "?"}]', "a tool's name must be text"),
        (json.dumps([DOOR.to_record()] * 2), "two tools are called door"),
    ],
)
def test_file_without_valid_tools_is_rejected(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "own.json").write_text(text)
    with pytest.raises(ValueError, match=problem):
        open_toolbox(file=str(tmp_path / "own.json"))


@pytest.mark.parametrize("flag", ["--tools", "--tools-file"])
def test_tools_without_interactive_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    outcome = run_command(main, ["--ckpt-dir", "m", flag, "weather"], monkeypatch, capsys)
    assert outcome.code == 2
    assert "--tools and --tools-file go with --interactive" in outcome.error
