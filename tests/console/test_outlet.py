"""What a command does when nobody reads what it prints."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from pathlib import Path
from console.command import run
from console.output import Console

def main(file: str, by: str = "console", lines: int = 20000) -> None:
    '''Print many lines and write how it went.

    Args:
        file: What to write.
        by: What to print with.
        lines: How many.
    '''
    say = Console().print if by == "console" else print
    with open(file, "w") as kept:
        for number in range(lines):
            say(f"line {number}")
        kept.write("all said")
    if by == "error":
        raise ValueError("the work is not whole")

run(main, outlives_output="OUTLIVES" in __import__("os").environ)
"""
ENDED, WENT_ON = 128 + signal.SIGPIPE, 0
WARNING = "warning: stdout: Broken pipe; the run goes on without it\n"


def shell(line: str, tmp_path: Path, by: str = "console", outlives: bool = False) -> list[str]:
    """Run the command in a shell's line; return its exit code, its stderr, and what it wrote."""
    (tmp_path / "command.py").write_text(COMMAND)
    command = f"{sys.executable} {tmp_path}/command.py --file {tmp_path}/kept --by {by}"
    code = f"; echo $? > {tmp_path}/code"
    # Where it is set to anything, Python keeps no output back.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment |= {"OUTLIVES": "1"} if outlives else {}
    done = subprocess.run(
        ["bash", "-c", line.format(command=command, code=code)],
        env=environment,
        capture_output=True,
        text=True,
    )
    kept = (tmp_path / "kept").read_text() if (tmp_path / "kept").exists() else ""
    return [(tmp_path / "code").read_text().strip(), done.stderr, kept]


@pytest.mark.parametrize("by", ["console", "print"])
def test_a_command_ends_quietly_when_a_pipe_closes(tmp_path: Path, by: str) -> None:
    assert shell("({command}{code}) | head -1", tmp_path, by) == [str(ENDED), "", ""]


def test_a_few_lines_that_nobody_reads_end_quietly_too(tmp_path: Path) -> None:
    found = shell("({command} --lines 3{code}) | true", tmp_path, "print")
    assert found == [str(ENDED), "", "all said"]


def test_an_error_keeps_its_exit_code_when_a_pipe_closes(tmp_path: Path) -> None:
    code, error, _ = shell("({command} --lines 3{code}) | true", tmp_path, "error")
    assert (code, error) == ("1", "error: the work is not whole\n")


def test_a_command_that_outlives_its_output_goes_on(tmp_path: Path) -> None:
    found = shell("({command}{code}) | head -1", tmp_path, outlives=True)
    assert found == [str(WENT_ON), WARNING, "all said"]


def test_nobody_reading_stderr_either_changes_nothing(tmp_path: Path) -> None:
    found = shell("({command}{code}) 2>&1 | head -1", tmp_path, outlives=True)
    assert found == [str(WENT_ON), "", "all said"]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_streams_closed_at_the_start_lead_nowhere(tmp_path: Path, closed: str) -> None:
    found = shell(f"{{command}} --lines 3 {closed}{{code}}", tmp_path)
    assert found == [str(WENT_ON), "", "all said"]


def test_an_error_keeps_its_exit_code_without_a_stderr(tmp_path: Path) -> None:
    assert shell("{command} --lines 3 2>&-{code}", tmp_path, "error")[0] == "1"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_beneath_stdout_is_an_error_or_passed_over(tmp_path: Path) -> None:
    code, error, _ = shell("{command} >/dev/full{code}", tmp_path)
    assert (code, error) == ("1", "error: stdout: No space left on device\n")
    code, error, kept = shell("{command} >/dev/full{code}", tmp_path, outlives=True)
    assert (code, kept) == ("0", "all said")
    assert error == "warning: stdout: No space left on device; the run goes on without it\n"
