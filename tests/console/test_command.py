"""What a command does with its flags, its errors and its exit code, in real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.command import shell_quote, typed_flags

SCRIPT = '''
import time

from console.command import print_next, run


def main(source_file: str, limit: int = 3, remove_no_fc: bool = False, note: str | None = None):
    """Copy rows from a file.

    Args:
        source_file: The file to read.
        limit: How many rows.
        remove_no_fc: Leave out rows without a call.
        note: Any text.
    """
    if source_file == "none.json":
        raise FileNotFoundError("none.json is missing; make it")
    if source_file == "bug":
        raise KeyError("inner")
    if source_file == "full":
        raise OSError(28, "No space left on device", "in.json", None, "out.json")
    if source_file == "slow":
        try:
            print("working", flush=True)
            time.sleep(60)
        finally:
            print("tidied", flush=True)
    print(repr((source_file, limit, remove_no_fc, note)))
    print_next("python next.py --flag [x]")
    return "an answer\x1b" if source_file == "asked" else None


if __name__ == "__main__":
    run(main)
'''


def command(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "copy_rows.py"
    script.write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("flag", ["--source-file", "--source_file"])
def test_hyphens_and_underscores_are_the_same(tmp_path: Path, flag: str) -> None:
    result = command(tmp_path, flag, "a.json", "--remove-no-fc", "--limit=5")
    assert result.returncode == 0, result.stderr
    assert "('a.json', 5, True, None)" in result.stdout
    assert "python next.py --flag [x]" in result.stdout


@pytest.mark.parametrize("text", ["123", "a,b", "[1]", "1e5", "True", "{x}"])
def test_a_text_value_is_passed_as_typed(tmp_path: Path, text: str) -> None:
    result = command(tmp_path, f"--source-file={text}", f"--note={text}")
    assert repr((text, 3, False, text)) in result.stdout


def test_a_home_directory_is_expanded_after_an_equals_sign(tmp_path: Path) -> None:
    result = command(tmp_path, "--source-file=~/rows.json")
    assert repr((str(Path.home() / "rows.json"), 3, False, None)) in result.stdout


def test_an_error_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = command(tmp_path, "--source-file", "none.json")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: none.json is missing; make it\n"


def test_an_unexpected_error_is_one_line_that_names_debug(tmp_path: Path) -> None:
    result = command(tmp_path, "--source-file", "bug")
    assert result.returncode == 1
    assert result.stderr == (
        "error: KeyError: 'inner' (run again with --debug for the traceback)\n"
    )


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    result = command(tmp_path, "--source-file", "full")
    full = "error: out.json: No space left on device; make room, or write to another disk, and run"
    assert result.returncode == 1
    assert result.stderr == f"{full} the same command again (training: with --resume)\n"


def test_a_terminated_command_cleans_up_and_exits_with_143(tmp_path: Path) -> None:
    script = tmp_path / "copy_rows.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), "--source-file=slow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (143, "tidied\n", "error: terminated\n")


def test_a_path_is_quoted_where_a_shell_would_split_it() -> None:
    assert [shell_quote(Path("a/b.json")), shell_quote("a b")] == ["a/b.json", "'a b'"]
    assert shell_quote("~/my models/base") == "~/'my models/base'"
    assert typed_flags({"a_b": "c d", "e": None, "f": 0}) == "--a-b 'c d' --f 0"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = command(tmp_path, "--source-file", "none.json", "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "error: none.json is missing" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sorce-file", "a"], "unknown flag --sorce-file; did you mean --source-file?"),
        ([], "missing --source-file"),
        (["--source-file", "a", "--verbose"], "unknown flag --verbose"),
        (["--source-file", "a", "--limit", "x"], "--limit wants a whole number, found 'x'"),
        (
            ["--source-file", "a", "--remove-no-fc", "b"],
            "--remove-no-fc wants no value, or true or false, found 'b'",
        ),
    ],
)
def test_a_wrong_command_line_is_refused_before_any_work(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = command(tmp_path, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}; see: python ")
    assert result.stderr.count("\n") == 1


def test_trusting_files_reaches_the_commands_own_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import os\n"
        "from console.command import run\n"
        "def main(note: str = ''):\n"
        "    print(note, os.environ.get('FC_TRUST_FILES'))\n"
        "run(main, reads_written=bool(os.environ.get('READS')))\n"
    )
    for reads in ("1", ""):
        done = subprocess.run(
            [sys.executable, "script.py", "--trust-files", "--note", "a"],
            cwd=tmp_path,
            env=os.environ | {"READS": reads, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
        )
        if reads:
            assert (done.returncode, done.stdout) == (0, "a 1\n")
        else:
            assert done.returncode == 2 and "unknown flag --trust-files" in done.stderr


def test_help_has_a_sentence_and_the_default_of_every_flag(tmp_path: Path) -> None:
    result = command(tmp_path, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[2] == "Copy rows from a file."
    assert lines[4:] == [
        "Flags:",
        "--source-file FILE      The file to read. Required.",
        "--limit LIMIT           How many rows. Default: 3. Also --num-examples.",
        "--remove-no-fc          Leave out rows without a call.",
        "--note NOTE             Any text.",
        "",
        "Every command:",
        "--trust-files           Take files that differ from their recorded hash as",
        "they are.",
        "--quiet                 Print errors, warnings and the answer's one line: no",
        "tables, no progress.",
        "--debug                 Show the traceback of an error.",
    ]


def test_quiet_leaves_the_answer_that_is_else_within_the_text(tmp_path: Path) -> None:
    done = command(tmp_path, "--source-file=asked", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "an answer�\n", "")
    done = command(tmp_path, "--source-file=asked")
    assert done.stdout.startswith("('asked', 3, False, None)\n\nNext:\n")
    assert "an answer" not in done.stdout


def test_quiet_leaves_errors_alone_on_the_terminal(tmp_path: Path) -> None:
    done = command(tmp_path, "--source-file=a.json", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    failed = command(tmp_path, "--source-file=none.json", "--quiet")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "error: none.json is missing; make it\n"
