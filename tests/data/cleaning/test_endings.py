"""Rows that once made cleaning run forever: each ends, with its expected outcome."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PLAIN = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]}
COSTLY = "costly-schema"
TEXT = {"type": "string"}


def row(argument: Any, schema: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"a": schema}, **schema.pop("beside", {})}
    call = {"name": "find_tide", "arguments": json.dumps({"a": argument})}
    return {
        "tools": [
            {"type": "function", "function": {"name": "find_tide", "parameters": parameters}}
        ],
        "messages": [
            {"role": "user", "content": "Tide?"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": call}]},
        ],
    }


def chain(keyword: str) -> dict[str, Any]:
    steps = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    return {"$ref": "#/$defs/d0", "beside": {"$defs": {**steps, "d40": dict(TEXT)}}}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "words with underscores": (row("your" + "_a" * 60, dict(TEXT)), "placeholder-value"),
    "a bracket never closed": (row("<a" + "_a" * 60, dict(TEXT)), ""),
    "a name in angles": (row("<a" + "_a" * 60 + ">", dict(TEXT)), "placeholder-value"),
    "a pattern": (row("a" * 60 + "!", {"pattern": "^(a+)+$"}), "invalid-arguments"),
    "a pattern that fits": (row("a" * 60, {"pattern": "^(a+)+$"}), ""),
    "a pattern that looks around": (row("a" * 60 + "!", {"pattern": "^(?:(?=a)a+)+$"}), COSTLY),
    "a pattern of names": (row({"a" * 60 + "!": 1}, {"patternProperties": {"^(a+)+$": False}}), ""),
    "allOf": (row("x", chain("allOf")), ""),
    "allOf that does not fit": (row(1.5, chain("allOf")), "invalid-arguments"),
    "anyOf": (row(1.5, chain("anyOf")), "invalid-arguments"),
    "oneOf": (row("x", chain("oneOf")), "invalid-arguments"),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return by which rule each case was rejected; empty for none."""
    folder = tmp_path_factory.mktemp("endings")
    lines = [PLAIN]
    for name, (case, _) in CASES.items():
        case["messages"][0]["content"] = f"Tide, {name}?"
        lines.append(case)
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "scripts/clean_dataset.py", "--source-file", folder / "rows.jsonl"]
    # This takes about a second; a run that hangs is stopped by the timeout.
    subprocess.run([*command, "--save-file", folder / "c.jsonl"], cwd=ROOT, check=True, timeout=120)
    report = json.loads((folder / "c.report.json").read_text())
    rules = {rejection["row"]: rejection["rule"] for rejection in report["rejections"]}
    return {name: rules.get(place, "") for place, name in enumerate(CASES, start=1)}


@pytest.mark.parametrize("name", CASES)
def test_costly_row_ends_with_its_expected_outcome(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == CASES[name][1]
