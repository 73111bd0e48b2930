"""llama-tools: every command by its name, each with the flags and errors of its script."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("fire")

from console import commands

ROOT = commands.ROOT
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("[a-z]*.py"))


def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Return the exit code and what is printed where these words follow llama-tools."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/llama-tools", *words])
    code = 0
    try:
        commands.main()
    except SystemExit as left:
        code = int(left.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_every_script_and_entry_point_is_a_command() -> None:
    expected = {*SCRIPTS, "finetune", "ds_finetune", "chat_completion"}
    assert {name.replace("-", "_") for name in commands.commands()} == expected


@pytest.mark.parametrize(("name", "file"), commands.commands().items())
def test_every_command_has_a_sentence(name: str, file: Path) -> None:
    sentence = commands.sentence(file)
    assert sentence.endswith(".") and len(sentence.split()) > 4
    assert sentence in " ".join(commands.help_text().split())


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_alone_it_lists_all_commands(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = typed(monkeypatch, capsys, *words)
    assert (code, error) == (0, "")
    assert out.strip() == commands.help_text()
    assert max(map(len, out.splitlines())) <= 80


def test_the_list_imports_no_heavy_package() -> None:
    heavy = ["torch", "numpy", "pydantic", "fire", "transformers", "deepspeed"]
    code = (
        "import sys; sys.argv = ['llama-tools']; from console.commands import main; main(); "
        f"sys.exit(' '.join({{*{heavy}}} & {{*sys.modules}}) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr.strip()) == (0, "")


def test_a_wrong_name_suggests_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = typed(monkeypatch, capsys, "evalute")
    assert (code, out) == (2, "")
    assert error == (
        "error: there is no command 'evalute'; did you mean evaluate?; see: llama-tools --help\n"
    )


@pytest.mark.parametrize("name", ["make-random-model", "make_random_model"])
def test_a_command_has_the_help_of_its_script(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = typed(monkeypatch, capsys, name, "--help")
    assert (code, error) == (0, "")
    assert out.startswith(f"usage: llama-tools {name} [flags]\n")
    assert "--output-dir" in out


def test_a_wrong_flag_names_the_command_as_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = typed(monkeypatch, capsys, "make-random-model", "--output", "x")
    assert code == 2
    assert error.endswith("see: llama-tools make-random-model --help\n")


def test_a_command_does_what_its_script_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "random"
    code, out, error = typed(monkeypatch, capsys, "make-random-model", f"--output-dir={directory}")
    assert (code, error) == (0, "")
    assert (directory / "params.json").is_file() and "Next:" in out


@pytest.mark.parametrize("inside", [True, False])
def test_ds_finetune_says_which_launcher_starts_it(
    inside: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.chdir(ROOT if inside else tmp_path)
    code, out, error = typed(monkeypatch, capsys, "ds-finetune", "--lora.rank=8")
    assert (code, out) == (2, "")
    file = "ds_finetune.py" if inside else str(ROOT / "ds_finetune.py")
    assert f"deepspeed --num_gpus=8 {file} [flags]" in error


def test_the_installed_command_is_this_function() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"llama-tools": "console.commands:main"}
