"""What torch is told of a GPU's memory before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.allocator import VARIABLES, let_segments_grow

ROOT = Path(__file__).parents[2]
# Runs an entry script up to its first import of torch, and prints what torch would find then.
WATCH = """
import os, runpy, sys
class Stop:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("PYTORCH_CUDA_ALLOC_CONF"))
            os._exit(0)
sys.stdout.reconfigure(line_buffering=True)
sys.meta_path.insert(0, Stop())
runpy.run_path(sys.argv[1])["main"]()
"""


def test_segments_grow_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    let_segments_grow()
    assert os.environ == {VARIABLES[0]: "expandable_segments:True"}


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_the_user_says_stays(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    said = {variable: "max_split_size_mb:512"}
    monkeypatch.setattr(os, "environ", dict(said))
    let_segments_grow()
    assert os.environ == said


@pytest.mark.parametrize("script", ["finetune.py", "ds_finetune.py"])
def test_entry_scripts_say_it_before_torch_is_imported(script: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    found = subprocess.run(
        [sys.executable, "-c", WATCH, script], cwd=ROOT, env=kept, capture_output=True, text=True
    )
    assert found.stdout == "expandable_segments:True\n", found.stderr
