import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from console.journey import Done, Stage, closing_table, run_journey


def stage(code: str, title: str = "a stage") -> Stage:
    return Stage(title, f"-c '{code}'", lambda output: f"{len(list(output.iterdir()))} files")


def test_a_command_is_printed_then_run_then_its_outcome_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    writes = stage(f'print("runs"); open("{tmp_path}/a", "w")', "first")
    done = list(run_journey([writes, stage("pass", "second")], tmp_path, tmp_path))
    assert [(one.title, one.outcome) for one in done] == [
        ("first", "1 files"),
        ("second", "1 files"),
    ]
    printed = capfd.readouterr().out
    assert printed.index("1 of 2: first") < printed.index("$ python -c") < printed.index("\nruns")
    assert done[0].command == f"python {writes.command}"


def test_the_first_failure_ends_the_journey_with_its_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    never = stage(f'open("{tmp_path}/never", "w")')
    with pytest.raises(SystemExit) as left:
        list(run_journey([stage("raise SystemExit(3)"), never], tmp_path, tmp_path))
    assert left.value.code == 3
    assert "raise SystemExit(3)' ended with exit code 3" in capfd.readouterr().err
    assert not (tmp_path / "never").exists()


def test_a_killed_command_gives_the_exit_code_of_a_shell(tmp_path: Path):
    killed = stage("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(SystemExit) as left:
        list(run_journey([killed], tmp_path, tmp_path))
    assert left.value.code == 128 + 9


def test_a_command_reads_its_input_from_the_typed_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "said.txt").write_text("hello\n")
    asks = Stage("ask", '-c "print(input().upper())"', lambda output: "", typed="said.txt")
    [done] = run_journey([asks], tmp_path, tmp_path)
    assert done.command == 'python -c "print(input().upper())" < said.txt'
    assert "\nHELLO\n" in capfd.readouterr().out


def test_commands_run_with_this_python_in_the_root(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    shown = stage("import os, sys; print(sys.executable, os.getcwd())")
    list(run_journey([shown], tmp_path, tmp_path))
    assert f"{sys.executable} {tmp_path.resolve()}\n" in capfd.readouterr().out


def test_another_program_is_taken_from_beside_this_python(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    help_of_torchrun = Stage("help", "--help", lambda output: "read it", program="torchrun")
    [done] = run_journey([help_of_torchrun], tmp_path, tmp_path)
    assert done.command == "torchrun --help"
    printed = capfd.readouterr().out
    assert "$ torchrun --help" in printed and "--nproc-per-node" in printed


def test_a_command_that_was_done_before_is_not_run_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    first, second = stage('print("one")', "first"), stage('print("two")', "second")
    before = Done("first", first.line, 7.0, "what came out then")
    done = list(run_journey([first, second], tmp_path, tmp_path, [before]))
    assert (done[0], done[1].title) == (before, "second")
    printed = capfd.readouterr().out
    assert "done before: what came out then" in printed
    assert "\none\n" not in printed and "\ntwo\n" in printed


def test_after_a_changed_command_all_others_run_again(tmp_path: Path):
    stages = [stage("pass"), stage("pass # changed"), stage("0")]
    before = [Done("a stage", one, 7.0, "") for one in (stages[0].line, "python", stages[2].line)]
    done = list(run_journey(stages, tmp_path, tmp_path, before))
    assert [one.seconds == 7.0 for one in done] == [True, False, False]


def test_a_stage_is_made_when_the_one_before_is_done(tmp_path: Path):
    def stages() -> Iterator[Stage]:
        yield stage(f'open("{tmp_path}/made", "w")')
        yield stage("pass", f"{(tmp_path / 'made').exists()}")

    assert [one.title for one in run_journey(stages(), tmp_path, tmp_path, (), 2)][1] == "True"


def test_a_stage_goes_on_with_more_flags(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    code = '-c "import sys; print(sys.argv[1:])"'
    prints = Stage("s", code, lambda output: "", more=lambda output: " --on")
    [done] = run_journey([prints], tmp_path, tmp_path)
    assert "['--on']" in capfd.readouterr().out
    assert done.command == prints.line


def test_the_closing_table_sums_the_seconds(capsys: pytest.CaptureFixture[str]):
    table = closing_table([Done("a", "", 1.3, "this"), Done("b", "", 2.5, "that")])
    Console(width=80).print(table)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["│", "a", "│", "1.3", "│", "this", "│"] in rows
    assert ["│", "all", "│", "3.8", "│", "│"] in rows
