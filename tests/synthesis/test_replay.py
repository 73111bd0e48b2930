"""Replaying: every call runs again, and the first difference is named."""

import json
from pathlib import Path

import pytest

from synthesis.generation import Settings, generate_file
from synthesis.replay import replay_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "some.jsonl"
    generate_file(file, Settings(count=400, mixture="plain"))
    return file


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_every_call_gives_the_stored_result_again(file: Path) -> None:
    done = replay_file(file)
    assert done.conversations == 400
    records = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    roles = [message["role"] for record in records for message in record["messages"]]
    assert done.calls == roles.count("tool") > 400


def test_the_first_call_with_another_result_is_named(file: Path) -> None:
    change(file, '\\"total\\": ', '\\"total\\": 1')
    with pytest.raises(ValueError, match=r"synthetic-\w+-\d+: \w+\(\{.*gives .* but stored is"):
        replay_file(file)


def test_the_error_for_an_unknown_tool_names_the_flag(file: Path) -> None:
    change(
        file,
        '"function": {"name": "view_cart", "arguments"',
        '"function": {"name": "x", "arguments"',
    )
    with pytest.raises(ValueError, match=r"there is no tool x to execute; .* --tools-file"):
        replay_file(file)


def test_an_own_tool_named_like_a_built_in_one_is_the_one_replayed(tmp_path: Path) -> None:
    tools = tmp_path / "own.py"
    tools.write_text('def view_cart() -> str:\n    """Show the cart."""\n    return "mine"\n')
    file = tmp_path / "own.jsonl"
    quotas = {"single_call": 1}
    generate_file(file, Settings(8, tools_file=str(tools), domains=("custom",), quotas=quotas))
    assert "mine" in file.read_text(encoding="utf-8")
    assert replay_file(file, tools).calls == 8
    with pytest.raises(ValueError, match=r"view_cart\(\{\}\) gives .* but stored is \"?mine"):
        replay_file(file)


def test_a_call_without_its_result_is_named(tmp_path: Path) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "view_cart", "arguments": {}}}
    row = {"id": "r-1", "messages": [{"role": "assistant", "tool_calls": [call]}]}
    file = tmp_path / "cut.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match="r-1: the call of view_cart has no result"):
        replay_file(file)
