import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_lines import ROOT
from commands import run_command
from launches import environment
from page_parser import read_page

from scripts.teach import main

EXAMPLE = ROOT / "examples/teach_tools.json"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "name one of --tools-file and --mcp"),
        ([f"--tools-file={EXAMPLE}", "--mcp=server"], "name one of --tools-file and --mcp"),
        ([f"--tools-file={EXAMPLE}", "--format=xlam"], "--format goes with --data"),
        ([f"--tools-file={EXAMPLE}", "--roundz=2"], "--roundz; did you mean --rounds?"),
        ([f"--tools-file={EXAMPLE}", "--training.epoch=2"], "did you mean --training.epochs?"),
        ([f"--tools-file={EXAMPLE}", "--training.epochs=few"], "--training.epochs"),
        ([f"--tools-file={EXAMPLE}", "--data.dataset_dir=x"], "is set by the steps themselves"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    flags: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    where = ["--model-dir=demo/base", f"--output-dir={tmp_path}/out"]
    outcome = run_command(main, [*where, *flags], monkeypatch, capsys)
    assert outcome.code == 2
    assert reason in outcome.error
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_run_goes_from_tools_to_the_page_though_it_is_interrupted(tmp_path: Path):
    output = tmp_path / "out"
    command = [
        *(sys.executable, "scripts/teach.py", "--tools-file", str(EXAMPLE)),
        *("--model-dir", "demo/base", "--output-dir", str(output), "--rounds", "2"),
        *("--count", "160", "--scored", "10", "--general", "0"),
        *("--mixture", "plain", "--most-tools", "3"),
        *("--chat-format", "llama3_short", "--max-new-tokens", "80"),
        *("--checkpoint.every=4", "--validation.generated.prompts=4"),
    ]
    state = output / "teach.json"
    started = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    first = output / "checkpoints/taught-1"
    while not any(first.glob("step-*")):
        assert started.poll() is None
        time.sleep(0.1)
    started.terminate()
    assert started.wait(60) == 143
    before = json.loads(state.read_text())["done"]
    assert before[-1]["title"] == "choose a configuration for this machine"

    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("done before: ") == len(before)
    assert "--name=taught-1 --resume" in ended.stdout
    after = json.loads(state.read_text())["done"]
    assert after[: len(before)] == before
    assert after[-1]["title"] == "export for servers"
    page = read_page((output / "index.html").read_text(encoding="utf-8"))
    for heading in ("The rounds", "What was generated", "What to run next"):
        assert heading in page.text
    assert (output / "exported/serve.md").is_file()
