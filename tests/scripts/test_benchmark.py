"""scripts/benchmark.py as a command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import comparison
from benchmarks.report import Settings
from inference.packed import native_dtype
from scripts.benchmark import compare_all

ROOT = Path(__file__).parents[2]
# Blocks what the GPU image lacks, then runs the script.
BARE = """
import runpy, sys
for name in "fire pydantic jsonschema tensorboard tiktoken sentencepiece jinja2".split():
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments: object, bare: bool = False) -> subprocess.CompletedProcess[str]:
    start = ["-c", BARE] if bare else []
    return subprocess.run(
        [sys.executable, *start, "scripts/benchmark.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
@pytest.mark.skipif(
    native_dtype(torch.bfloat16) != torch.bfloat16,
    reason="compares in bfloat16, which takes this processor too long",
)
def test_a_comparison_runs_with_little_installed_and_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    flags = ["--device", "cpu", "--size", "tiny", "--threads", 1, "--repetitions", 2]
    ended = run(*flags, "--json", file, bare=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "tiny: Transformers, padded: in float32 losses" in ended.stdout
    found = json.loads(file.read_text())["comparisons"][0]
    assert [len(side["steps"]) for side in (found["ours"], *found["peers"])] == [2, 2, 2]
    assert [parity["gradient_difference"] < 1e-4 for parity in found["parity"]] == [True, True]
    assert found["ours"]["peak_bytes_over_base"] > 0


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--size", "small"], 2, "error: unknown --size 'small'; there are tiny, mid, 1b, 3b, 8b"),
        pytest.param(
            ["--size", "tiny:lora,1b:dora"],
            2,
            "error: unknown --size, after its colon, 'dora'; there are lora, qlora, full",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["--peer", "eager"],
            2,
            "error: unknown --peer 'eager'; there are padded, packed, best",
            marks=pytest.mark.long,
        ),
        (["--sizes", "tiny"], 2, "error: unrecognized arguments: --sizes tiny"),
        pytest.param(
            ["--device", "tpu"],
            2,
            "error: argument --device: invalid choice: 'tpu'",
            marks=pytest.mark.long,
        ),
        (
            ["--device", "cpu", "--kernels", "triton"],
            1,
            "error: --kernels is triton, which runs on CUDA, and --device cpu; leave it out",
        ),
        pytest.param(
            ["--device", "cuda"],
            1,
            "error: --device is cuda, and torch sees no CUDA device; use --device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_errors_are_one_line_with_the_right_exit_code(
    flags: list[str], code: int, message: str
) -> None:
    ended = run(*flags)
    assert ended.returncode == code
    assert ended.stderr.startswith(message)
    assert ended.stderr.count("\n") == 1


def test_where_no_row_could_be_compared_each_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError("it takes 16 GB")

    monkeypatch.setattr(comparison, "compare", no_room)
    settings = Settings("cpu", 1, ("padded",), 1, "plain", "float32")
    with pytest.raises(ValueError, match=r"no row could be compared: 8b:lora: it takes 16 GB$"):
        compare_all([("8b", "lora")], settings, 1.0, tmp_path / "figures.json")
