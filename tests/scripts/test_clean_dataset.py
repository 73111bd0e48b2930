"""scripts/clean_dataset.py as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEM = (
    "SYSTEM: You are a helpful assistant with access to the following functions. "
    'Use them if required -\n{"name": "now", "description": "The time", "parameters": {}}\n'
)
CHAT = (
    "USER: What time is it?\n\n\n"
    """ASSISTANT: <functioncall> {"name": "now", "arguments": '{}'} <|endoftext|>\n\n\n"""
    'FUNCTION RESPONSE: {"time": "noon"}\n\n\nASSISTANT: It is noon. <|endoftext|>\n\n\n'
)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "scripts" / "clean_dataset.py"), *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_the_command_of_the_readme_cleans_counts_and_says_what_comes_next(tmp_path: Path) -> None:
    source, save = tmp_path / "glaive-function-calling-v2.json", tmp_path / "cleaned.json"
    rows = [{"system": SYSTEM, "chat": CHAT}, {"system": SYSTEM, "chat": "USER: a"}]
    rows.append({"system": "SYSTEM: Be brief.", "chat": "USER: a\n\nASSISTANT: b"})
    source.write_text(json.dumps(rows))
    done = command("--source-file", source, "--save-file", save, "--remove-no-fc")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 rows: 1 kept, 0 repaired, 2 rejected" in done.stdout
    assert "no-assistant" in done.stdout and "no-functions" in done.stdout
    assert f"python scripts/build_dataset.py --source-file {save}" in done.stdout
    report = json.loads((tmp_path / "cleaned.report.json").read_text())
    assert (report["input"], report["kept"], report["rejected"]) == (3, 1, 2)
    (line,) = save.read_text().splitlines()
    roles = [message["role"] for message in json.loads(line)["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]


def test_a_malformed_row_is_one_line_with_exit_code_1_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps({"system": SYSTEM, "chat": CHAT}) + '\n{"system": "\n')
    done = command("--source-file", source, "--save-file", tmp_path / "cleaned.json")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {source}: row 1 is not JSON, line 2, column 12")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_every_flag_has_a_sentence_of_help() -> None:
    done = command("--help")
    assert done.returncode == 0
    for words in ("--remove-no-fc", "--balance", "--skip-malformed", "NAME.report.json"):
        assert words in done.stdout + done.stderr
