import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import problem_of
from launches import environment

from scripts.run_demo import (
    LAUNCH,
    PROMPTS,
    ROOT,
    WITH_YOUR_OWN_WEIGHTS,
    ZERO_3,
    journey,
    start_anew,
)
from storage.manifest import read_manifest


def test_every_command_of_the_journey_can_be_typed():
    for output in (Path("runs/demo"), Path("../elsewhere")):
        for stage in (*journey(output), *journey(output, zero=True, reward=True)):
            assert problem_of(f"{stage.program} {stage.command}") == ""
            assert stage.typed is None or (ROOT / stage.typed).is_file()
    for command in WITH_YOUR_OWN_WEIGHTS:
        assert problem_of(command) == ""


def test_output_goes_under_runs_demo_by_default():
    from training.config import read_config  # a bare GPU image has no pydantic

    config = read_config(ROOT / "configs/demo.json")
    for path in (config.model.checkpoint_dir, config.data.dataset_dir, config.run_dir):
        assert Path(path).is_relative_to("runs/demo")
    assert config.log_dir.is_relative_to("runs/demo")
    assert (config.model.device, config.model.dtype) == ("cpu", "float32")
    finetune = next(s.command for s in journey(Path("runs/demo")) if "finetune" in s.command)
    assert finetune == "finetune.py --config-file configs/demo.json"


def test_the_zero_demo_partitions_every_tensor_and_changes_nothing_else():
    from training.config import read_config
    from training.zero.settings import engine_config

    alone, ranks = (journey(Path("runs/demo-zero"), zero=zero) for zero in (False, True))
    pairs = zip(alone, ranks, strict=True)
    [(before, after)] = [pair for pair in pairs if pair[0].line != pair[1].line]
    settings = before.command.removeprefix("finetune.py ")
    assert after.program == "deepspeed"
    assert after.command == f"{LAUNCH} {settings} {ZERO_3}"
    given = dict(flag.removeprefix("--").split("=") for flag in ZERO_3.split())
    overrides = {key: int(value) for key, value in given.items()}
    zero = engine_config(read_config(ROOT / "configs/demo.json", overrides), world_size=2)
    assert zero["zero_optimization"] == {"stage": 3, "stage3_param_persistence_threshold": 0}


def test_the_demo_with_rewards_goes_on_where_the_demo_ends():
    output = Path("runs/demo-reward")
    alone, more = journey(output), journey(output, reward=True)
    assert [stage.line for stage in more[: len(alone)]] == [stage.line for stage in alone]
    learnt, merged, *scored = (stage.command for stage in more[len(alone) :])
    assert f"--model.checkpoint_dir={output}/merged" in learnt
    assert merged.endswith(f"--output-dir {output}/rewarded")
    assert len(scored) == len(PROMPTS)
    assert all(f"--ckpt-dir {output}/rewarded" in command for command in scored)


@pytest.mark.long
def test_the_demo_with_zero_runs_to_its_end(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "scripts/run_demo.py", "--zero", f"--output-dir={tmp_path}/demo"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "warning" not in ended.stdout.lower()
    summary = json.loads((tmp_path / "demo/summary.json").read_text(encoding="utf-8"))
    [trained] = [stage for stage in summary["stages"] if "ds_finetune.py" in stage["command"]]
    assert trained["outcome"].startswith("2 ranks at stage 3, training loss ")
    losses = summary["losses"]["train"]
    assert losses["last"] < 0.5 * losses["first"]


def test_an_earlier_or_unfinished_demo_is_removed(tmp_path: Path):
    output = tmp_path / "demo"
    start_anew(output)
    (output / "left-over").write_text("half")
    start_anew(output)
    assert [file.name for file in output.iterdir()] == ["manifest.json"]
    assert read_manifest(output)["kind"] == "demo"


def test_a_directory_of_someone_else_is_refused_and_kept(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="was not written by this command"):
        start_anew(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
