"""The example projects: their tools, rows, settings and commands fit together and run."""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_lines import ROOT, problem_of
from commands import run_command
from launches import environment
from page_parser import read_page

import finetune
from data.cleaning.clean_file import clean_file
from scripts import build_dataset, convert_from_meta_weights, replay_dataset
from teaching.tools import complete_file, read_teachable
from training.config import read_config

# Nothing is generated while a short run trains.
BY_LOSS = ("--validation.best_metric=loss", "--validation.generated=null")


@dataclass(frozen=True)
class Project:
    """An example's folder, its files, and the directory that its commands write to."""

    name: str
    tools: str
    rows: str
    run: str

    def file(self, name: str) -> Path:
        return ROOT / "examples" / self.name / name

    def commands(self) -> list[str]:
        """Return the command lines of its README, in their order."""
        blocks = re.findall(r"```bash\n(.*?)```", self.readme(), re.DOTALL)
        return [line for block in blocks for line in block.splitlines()]

    def readme(self) -> str:
        return self.file("README.md").read_text(encoding="utf-8")


PROJECTS = (
    Project("customer_support", "tools.py", "conversations.jsonl", "runs/support"),
    Project("smart_home", "tools.json", "conversations.json", "runs/home"),
)


@pytest.fixture(params=PROJECTS, ids=lambda project: project.name)
def project(request: pytest.FixtureRequest) -> Project:
    return request.param


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command's main, which must succeed, and return what it printed."""

    def command(main, *flags: str | Path) -> str:
        outcome = run_command(main, list(flags), monkeypatch, capsys)
        assert outcome.code == 0, outcome.error
        return outcome.out

    return command


def test_every_own_row_is_kept_as_it_is(project: Project, tmp_path: Path) -> None:
    audit, _ = clean_file(project.file(project.rows), tmp_path / "clean.jsonl")
    assert audit.kept == audit.input >= 15


def test_calls_of_own_rows_give_their_results_again(project: Project, run, tmp_path: Path) -> None:
    clean = tmp_path / "clean.jsonl"
    clean_file(project.file(project.rows), clean)
    tools = ("--tools-file", project.file(project.tools))
    out = run(replay_dataset.main, "--source-file", clean, *tools, "--facts")
    assert "gave the stored results" in out


def test_the_readme_names_the_tools_that_are_held_out(project: Project, tmp_path: Path) -> None:
    found = read_teachable(str(complete_file(project.file(project.tools), tmp_path)))
    assert found.unsplit == () and len(found.taught) >= 5
    named = re.search(r"never trained:\s([^.]*)\.", project.readme())
    assert named and tuple(re.findall(r"`(\w+)`", named[1])) == found.held_out
    rows = project.file(project.rows).read_text(encoding="utf-8")
    assert not [name for name in found.held_out if name in rows]


def test_commands_of_the_readme_have_their_scripts_and_flags(project: Project) -> None:
    commands = project.commands()
    assert len(commands) >= 4
    assert [problem for line in commands if (problem := problem_of(line))] == []


def test_the_settings_train_what_the_first_command_makes(project: Project) -> None:
    config = read_config(project.file("finetune.json"))
    first, *_, output = project.commands()[0].partition("--output-dir ")
    assert project.tools in first and project.rows in first
    assert output.split()[0] == f"./{project.run}"
    assert config.model.checkpoint_dir == f"./{project.run}/base"
    assert config.data.dataset_dir == f"./{project.run}/dataset-1"


def test_own_rows_train_the_bundled_base(project: Project, run, tmp_path: Path) -> None:
    base, clean, dataset = (tmp_path / name for name in ("base", "clean.jsonl", "dataset"))
    run(convert_from_meta_weights.main, "--llama3-dir", ROOT / "demo/base", "--output-dir", base)
    clean_file(project.file(project.rows), clean)
    built = ("--source-file", clean, "--tokenizer-file", base, "--save-dir", dataset)
    run(build_dataset.main, *built, "--chat-format=llama3_short", "--val-ratio=0.2")
    places = {"model.checkpoint_dir": base, "data.dataset_dir": dataset}
    places |= {"checkpoint.output_dir": tmp_path / "made", "logging.output_dir": tmp_path / "logs"}
    settings = [f"--{key}={place}" for key, place in places.items()]
    short = ("--training.max_steps=3", "--training.batch_size=4", *BY_LOSS)
    run(finetune.main, "--config-file", project.file("finetune.json"), *settings, *short)
    name = read_config(project.file("finetune.json")).name
    assert (tmp_path / "made" / name / "final").is_dir()


@pytest.mark.long
def test_the_first_command_goes_from_tools_to_the_page(project: Project, tmp_path: Path) -> None:
    line = re.sub(r"--count \d+", "--count 40", project.commands()[0])
    line = re.sub(r"--scored \d+", "--scored 8", line)
    line = line.replace(f"./{project.run}", str(tmp_path / "out"))
    _, *words = shlex.split(line)
    command = [sys.executable, *words, "--training.max_steps=4", *BY_LOSS]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    page = read_page((tmp_path / "out/index.html").read_text(encoding="utf-8"))
    for heading in ("What was generated", "What to run next"):
        assert heading in page.text
    assert (tmp_path / "out/exported/serve.md").is_file()
