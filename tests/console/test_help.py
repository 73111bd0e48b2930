"""The help of every command: examples, groups, a sentence a flag, in 80 columns."""

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from command_lines import problem_of

import ds_finetune
import finetune
from console.help import help_text
from training.config import Config, read_config
from training.setting_table import help_groups, setting_groups

ROOT = Path(__file__).parents[2]
# benchmark.py parses its flags by argparse, so that it runs without fire.
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob("scripts/*.py"), *ROOT.glob("*.py")]
    if path.name not in ("__init__.py", "benchmark.py")
)


def settings_told(file: str) -> dict[str, str]:
    return {flag: told for _, group in help_groups(Config, file) for flag, told in group}


def main_of(script: Path) -> Callable[..., None]:
    return importlib.import_module(".".join(script.with_suffix("").parts)).main


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_help_shows_an_example_that_the_command_takes(script: Path) -> None:
    shown = help_text(main_of(script), f"python {script}").partition("Examples:\n")[2]
    lines = shown.partition("\n\n")[0].replace("\\\n", " ").splitlines()
    typed = [line.strip() for line in lines if not line.strip().startswith("make ")]
    assert lines
    assert [problem for problem in map(problem_of, typed) if problem] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_help_has_a_sentence_for_every_flag(script: Path) -> None:
    main = main_of(script)
    documented = inspect.cleandoc(main.__doc__ or "")
    missing = [
        name for name in inspect.signature(main).parameters if f"    {name}: " not in documented
    ]
    assert [name for name in missing if f"    **{name}: " not in documented] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_help_fits_eighty_columns_but_for_examples(script: Path) -> None:
    before, _, rest = help_text(main_of(script), f"python {script}").partition("Examples:\n")
    lines = [*before.splitlines(), *rest.partition("\n\n")[2].splitlines()]
    assert [line for line in lines if len(line) > 80] == []


def test_every_setting_has_a_sentence() -> None:
    settings = [setting for group in setting_groups(Config) for setting in group.settings]
    assert [setting.name for setting in settings if not setting.sentence] == []


def test_help_lists_the_values_and_default_of_a_setting() -> None:
    told = settings_told("configs/finetune.json")
    assert told["--schedule.kind"].endswith("[cosine, linear, constant; default: cosine]")


@pytest.mark.parametrize("script", [finetune, ds_finetune])
def test_help_shows_what_the_commands_own_file_says_otherwise(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    told, config = settings_told(script.CONFIG), read_config(script.CONFIG)
    rate = config.schedule.learning_rate
    assert (f"; {script.CONFIG} has {rate}]" in told["--schedule.learning_rate"]) == (rate != 3e-4)
    assert f"default: 16; {script.CONFIG} has {config.lora.rank}]" in told["--lora.rank"]
    assert f"has {json.dumps(config.lora.targets)}]" in told["--lora.targets"]
    assert f"; required; {script.CONFIG} has ~/models" in told["--model.checkpoint_dir"]


def test_no_two_settings_share_a_sentence() -> None:
    for group in setting_groups(Config):
        sentences = [setting.sentence for setting in group.settings]
        assert len(set(sentences)) == len(sentences), group.name
