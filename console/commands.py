"""`llama-tools COMMAND`: the project's commands by name; `pip install -e .` puts it on the PATH.

A command is a file of scripts/ or one of the entry points; its sentence is the first line of the
file. Nothing of it is imported before it is asked for.
"""

import os
import runpy
import sys
import textwrap
from pathlib import Path

from console.command import HELP_FLAGS, PROGRAM, one_line_errors, shell_quote
from console.flags import UsageError, nearest

_WIDTH = 80
ROOT = Path(__file__).parents[1]
# What a launcher starts once for every device sets this.
_STARTED = "LOCAL_RANK"


def main() -> None:
    """Run the command that the command line names with the rest of it, or list all commands."""
    with one_line_errors():
        name, *arguments = sys.argv[1:] or ["--help"]
        if name in HELP_FLAGS:
            print(help_text())
            return
        module = _module(name)
        _check_launched(name, module, arguments)
    # What is run turns its own errors into one line.
    sys.argv = [f"{PROGRAM} {name}", *arguments]
    runpy.run_module(module, run_name="__main__")


def commands() -> dict[str, Path]:
    """Return the file of each command by its name, the entry points first."""
    entry_points = [ROOT / f"{n}.py" for n in ("finetune", "ds_finetune", "chat_completion")]
    scripts = sorted((ROOT / "scripts").glob("[!_]*.py"))
    return {file.stem.replace("_", "-"): file for file in (*entry_points, *scripts)}


def sentence(file: Path) -> str:
    """Return what a command's file says first of itself."""
    with file.open(encoding="utf-8") as stream:
        return stream.readline().strip().strip('"')


def help_text() -> str:
    """Return all commands with a sentence each."""
    known = commands()
    width = max(map(len, known))
    lines = [
        textwrap.fill(
            sentence(file),
            _WIDTH,
            initial_indent=f"  {name:<{width}}  ",
            subsequent_indent=" " * (width + 4),
        )
        for name, file in known.items()
    ]
    usage = f"usage: {PROGRAM} COMMAND [flags]\n\n{PROGRAM} COMMAND --help explains its flags.\n"
    return "\n".join([usage, *lines])


def _module(name: str) -> str:
    """Return the module of a command; UsageError with the nearest name where there is none."""
    known = commands()
    file = known.get(name.replace("_", "-"))
    if file is None:
        close = " or ".join(nearest(name, known))
        raise UsageError(f"there is no command {name!r}" + f"; did you mean {close}?" * bool(close))
    return file.stem if file.parent == ROOT else f"scripts.{file.stem}"


def _check_launched(name: str, module: str, arguments: list[str]) -> None:
    """Raise UsageError for a command that one process alone cannot run."""
    if module != "ds_finetune" or _STARTED in os.environ or HELP_FLAGS & set(arguments):
        return
    file = ROOT / "ds_finetune.py"
    shown = "ds_finetune.py" if Path.cwd() == ROOT else shell_quote(file)
    raise UsageError(
        f"{name} is started by a launcher, once for each device: deepspeed --num_gpus=8 {shown} "
        "[flags]"
    )
