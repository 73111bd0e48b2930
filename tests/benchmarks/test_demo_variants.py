import pytest
from command_lines import problem_of

from benchmarks import demo_variants
from benchmarks.demo_variants import FULL, LORA, command, steps_within, table, train
from evaluation.behaviours import ALL_CALLS


def test_the_cpu_seconds_of_a_command_are_its_own(tmp_path):
    busy = tmp_path / "busy.py"
    busy.write_text("import time\nwhile time.process_time() < 0.3: pass\n")
    assert 0.3 <= command(str(busy)) < 3
    idle = tmp_path / "idle.py"
    idle.write_text("import time\ntime.sleep(0.3)\n")
    assert command(str(idle)) < 0.3


def test_the_error_of_a_failing_command_is_reported(tmp_path):
    failing = tmp_path / "failing.py"
    failing.write_text("import sys\nsys.exit('no more room')\n")
    with pytest.raises(ValueError, match="no more room"):
        command(str(failing))


def test_every_variant_is_a_valid_command_line(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(demo_variants, "command", lambda line: lines.append(line) or 1.0)
    for variant in (*LORA, *FULL):
        train(tmp_path, variant, variant.name, 5)
    assert [problem_of(f"python {line}") for line in lines] == [""] * 5
    assert len({line.split("--checkpoint.output_dir=")[1].split()[0] for line in lines}) == 5


def test_steps_within_returns_steps_that_fit_the_cpu_budget(tmp_path, monkeypatch):
    def seconds(line: str) -> float:
        return 10 + 0.5 * int(line.rpartition("--training.max_steps=")[2])

    monkeypatch.setattr(demo_variants, "command", seconds)
    assert steps_within(tmp_path, 110, FULL[0]) == 200


def test_the_table_shows_figures_with_their_counts():
    figure = {ALL_CALLS: {"value": 0.5, "low": 0.4, "high": 0.6, "hits": 100, "count": 200}}
    accuracy = {prompts: {"free": figure, "constrained": figure} for prompts in ("seen", "unseen")}
    shown = table([{"variant": "x", "training_cpu_seconds": 12.0, "accuracy": accuracy}])
    assert [list(column.cells) for column in shown.columns] == [
        ["x"],
        ["12"],
        *[["50.0% of 200"]] * 4,
    ]
