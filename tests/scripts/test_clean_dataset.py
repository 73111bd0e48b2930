"""scripts/clean_dataset.py as a user types it."""

import json
import subprocess
import sys
import time
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


def test_the_readmes_command_cleans_counts_and_names_the_next(tmp_path: Path) -> None:
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


def test_the_file_of_pairs_is_named_where_there_are_some(tmp_path: Path) -> None:
    source, save = tmp_path / "rows.jsonl", tmp_path / "cleaned.json"
    source.write_text('{"prompt": "Tide?", "chosen": "Noon.", "rejected": "Who knows."}')
    done = command("--source-file", source, "--save-file", save)
    assert f"Pairs: {tmp_path / 'cleaned.pairs.jsonl'}\n" in done.stdout
    assert len((tmp_path / "cleaned.pairs.jsonl").read_text().splitlines()) == 1


def test_a_malformed_row_is_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps({"system": SYSTEM, "chat": CHAT}) + '\n{"system": "\n')
    done = command("--source-file", source, "--save-file", tmp_path / "cleaned.json")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {source}: row 1 is not JSON, line 2, column 12")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


BENCHMARK = {
    "id": "simple_7",
    "question": [[{"role": "user", "content": "What time is it in the old town of Bern?"}]],
    "function": [{"name": "clock.read", "parameters": {"type": "dict", "properties": {}}}],
}


def test_copies_of_a_benchmark_are_rejected_and_named(tmp_path: Path) -> None:
    source, save = tmp_path / "rows.jsonl", tmp_path / "cleaned.json"
    copied = CHAT.replace("What time is it?", BENCHMARK["question"][0][0]["content"])
    rows = [{"system": SYSTEM, "chat": CHAT}, {"system": SYSTEM, "chat": copied}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps({**BENCHMARK, "id": name}))
    files = f"{tmp_path / 'one.json'},{tmp_path / 'two.json'}"
    done = command("--source-file", source, "--save-file", save, "--exclude-benchmark", files)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 rows: 1 kept, 0 repaired, 1 rejected" in done.stdout
    report = json.loads((tmp_path / "cleaned.report.json").read_text())
    assert report["rejections"][0]["reason"] == "one.json of one.json asks this, with other tools"
    assert [benchmark["file"] for benchmark in report["benchmarks"]] == ["one.json", "two.json"]
    missing = command("--source-file", source, "--save-file", save, "--exclude-benchmark", "none")
    assert missing.returncode == 1 and "none does not exist" in missing.stderr


TOOLS_FILE = '''
def find_tide(port: str) -> str:
    """Finds the next high tide."""
    raise SystemExit("a tool is not called while cleaning")
'''


def test_tools_file_saves_the_calls_of_rows_without_schemas(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "find_tide", "arguments": {"port": "Hull"}}}
    asked = {"role": "user", "content": "Tide at Hull?"}
    answered = [asked, {"role": "assistant", "content": "", "tool_calls": [call]}]
    talk = [asked, {"role": "assistant", "content": "I do not know."}]
    source, save, tools = tmp_path / "rows.jsonl", tmp_path / "cleaned.json", tmp_path / "tools.py"
    source.write_text("".join(json.dumps({"messages": turns}) + "\n" for turns in (answered, talk)))
    done = command("--source-file", source, "--save-file", save)
    assert "Warning: 100% of the calls are lost: 1 of 1 conversations" in done.stdout
    again = f"scripts/clean_dataset.py --source-file {source} --tools-file F --save-file {save}"
    assert done.stdout.rstrip().endswith(again), "and not how to build a dataset of it"
    tools.write_text(TOOLS_FILE)
    done = command("--source-file", source, "--save-file", save, "--tools-file", tools)
    assert (done.returncode, done.stderr) == (0, "") and "Warning" not in done.stdout
    kept = [json.loads(line) for line in save.read_text().splitlines()]
    assert [row["tools"][0]["function"]["name"] for row in kept] == ["find_tide"] * 2


def many_rows(path: Path, count: int) -> None:
    row = json.dumps({"system": SYSTEM, "chat": CHAT})
    with path.open("w") as stream:
        stream.writelines(row.replace("noon", f"noon {i}") + "\n" for i in range(count))


def test_a_full_disk_is_one_line_and_keeps_earlier_output(tmp_path: Path) -> None:
    source, save = tmp_path / "rows.jsonl", tmp_path / "cleaned.json"
    many_rows(source, 1500)
    save.write_text("earlier")
    # A limit on the size of files stands for the end of the disk.
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000)); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    script = str(ROOT / "scripts" / "clean_dataset.py")
    flags = ["--source-file", str(source), "--save-file", str(save)]
    done = subprocess.run(
        [sys.executable, "-c", code, script, *flags], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {save}: File too large; make room, or write to another")
    assert done.stderr.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cleaned.json", "rows.jsonl"]
    assert save.read_text() == "earlier"


def test_leftovers_of_a_killed_run_are_removed_by_the_next(tmp_path: Path) -> None:
    source, save = tmp_path / "rows.jsonl", tmp_path / "cleaned.json"
    many_rows(source, 1500)
    script = [sys.executable, str(ROOT / "scripts" / "clean_dataset.py")]
    flags = ["--source-file", str(source), "--save-file", str(save)]
    process = subprocess.Popen([*script, *flags], cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list(tmp_path.iterdir())) == 1:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not save.exists()
    done = command(*flags)
    assert done.returncode == 0 and "1,500 rows: " in done.stdout
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["cleaned.json", "cleaned.report.json", "rows.jsonl"]


def test_every_flag_has_a_sentence_of_help() -> None:
    done = command("--help")
    assert done.returncode == 0
    for words in (
        "--remove-no-fc",
        "--balance",
        "--skip-malformed",
        "--exclude-benchmark",
        "NAME.report.json",
    ):
        assert words in done.stdout + done.stderr
