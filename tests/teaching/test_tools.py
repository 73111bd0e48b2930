import json
from pathlib import Path
from typing import Any

import pytest

from synthesis.behaviours import BEHAVIOURS
from synthesis.generation import Settings, generate_file
from synthesis.mixtures import PLAIN
from teaching.tools import complete_file, possible_shares, quota_flags, read_teachable


def written(folder: Path, tools: Any) -> Path:
    file = folder / "given.json"
    file.write_text(tools if isinstance(tools, str) else json.dumps(tools), encoding="utf-8")
    return file


def named(number: int) -> dict[str, Any]:
    properties = {"city": {"type": "string"}, "day": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": ["city"]}
    return {"name": f"find_{number}", "description": "Finds it.", "inputSchema": schema}


def generated(folder: Path, file: Path) -> list[dict[str, Any]]:
    """Return a few conversations that the generator makes with a completed file."""
    teachable = read_teachable(str(file))
    shares = possible_shares(teachable, PLAIN)
    quotas = {name: share / sum(shares.values()) for name, share in shares.items()}
    names = teachable.taught if teachable.held_out else ()
    settings = Settings(
        30, 3, str(file), ("custom",), names, quotas=quotas, most_tools=5, mixture="plain"
    )
    generate_file(folder / "made.jsonl", settings)
    return [json.loads(line) for line in (folder / "made.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("number", "held_out"),
    [(3, 0), (4, 1), (11, 2), pytest.param(200, 40, marks=pytest.mark.long)],
)
def test_a_fifth_of_the_tools_is_held_out_and_never_generated(
    number: int, held_out: int, tmp_path: Path
):
    file = complete_file(written(tmp_path, [named(i) for i in range(number)]), tmp_path)
    teachable = read_teachable(str(file))
    assert (len(teachable.taught), len(teachable.held_out)) == (number - held_out, held_out)
    offered = {
        entry["function"]["name"] for row in generated(tmp_path, file) for entry in row["tools"]
    }
    assert offered <= set(teachable.taught)


def test_a_tool_without_parameters_is_taught(tmp_path: Path):
    file = complete_file(written(tmp_path, {"tools": [{"name": "ring_bell"}]}), tmp_path)
    shares = possible_shares(read_teachable(str(file)), PLAIN)
    assert (shares["missing_argument"], shares["call_sequence"]) == (0, 0)
    messages = [m for row in generated(tmp_path, file) for m in row["messages"]]
    calls = [call["function"] for m in messages for call in m.get("tool_calls", ())]
    assert calls and all(call == {"name": "ring_bell", "arguments": {}} for call in calls)


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ('{"tools": [', "given.json: Expecting value"),
        ([], "given.json: wanted a list of tools"),
        ([{"title": "x"}], "given.json: a tool's name must be text"),
        ([{"name": "a", "inputSchema": {"type": "object"}}, 7], "a tool must be an object"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tools: Any, reason: str, tmp_path: Path):
    with pytest.raises(ValueError, match=reason):
        complete_file(written(tmp_path, tools), tmp_path)


def test_two_tools_of_one_name_are_refused(tmp_path: Path):
    file = complete_file(written(tmp_path, [named(1), named(1)]), tmp_path)
    with pytest.raises(ValueError, match="two tools are called find_1"):
        read_teachable(str(file))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"--tools-file .*absent\.json does not exist"):
        complete_file(tmp_path / "absent.json", tmp_path)


def test_parameters_with_too_few_values_are_listed(tmp_path: Path):
    tool = named(1) | {"examples": {"city": ["Oslo"]}}
    file = complete_file(written(tmp_path, [tool]), tmp_path)
    assert read_teachable(str(file)).unsplit == ("find_1.city",)


def test_quota_flags_sum_to_one():
    flags = quota_flags({name: 1.0 for name in BEHAVIOURS})
    assert sum(float(flag.partition("=")[2]) for flag in flags.split()) == pytest.approx(
        1, abs=1e-9
    )
