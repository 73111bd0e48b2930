"""Judge a printed or documented command line without running it."""

import ast
import importlib
import inspect
import io
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from pathlib import Path

from console.flags import UsageError, own_spellings
from training.resuming import CONFIG_FILE

ROOT = Path(__file__).parents[1]
PYTHON = ("python", "python3")
LAUNCHERS = ("deepspeed", "torchrun")


def problem_of(line: str) -> str:
    """Say what is wrong with a line of python or a launcher: script, flags or settings.

    Empty when nothing is.
    """
    words = [word for word in shlex.split(line, comments=True) if word != "DS_SKIP_CUDA_CHECK=1"]
    if words[0] in LAUNCHERS:
        try:
            words = ["python", *_launched(words[0], words[1:])]
        except ValueError as error:
            return str(error)
    if words[0] not in PYTHON:
        return f"{words[0]} is not python"
    script, arguments = words[1], words[2:]
    if not (ROOT / script).is_file():
        return f"there is no {script}"
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    parameters = inspect.signature(module.main).parameters
    if not parameters:
        return _problem_of_parsing(module.arguments, words[1:])
    try:
        arguments, _ = own_spellings(module.main, arguments)
    except UsageError as error:
        return str(error)
    flags = _flags(arguments)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    settings = {n: _value(v) for n, v in flags.items() if open_ended and n not in parameters}
    for name in flags.keys() - settings.keys():
        if name not in parameters:
            return f"{script} has no flag --{name}"
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in flags and not open_ended:
            return f"{script} wants --{name}"
    has_settings = open_ended and "config_file" in parameters
    return _problem_of_settings(flags, settings, parameters) if has_settings else ""


def _launched(launcher: str, words: list[str]) -> list[str]:
    """Return the script that a launcher starts, with its arguments; ValueError as it would say."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            if launcher == "torchrun":
                from torch.distributed.run import get_args_parser

                read = get_args_parser().parse_args(words)
                return [read.training_script, *read.training_script_args]
            from deepspeed.launcher.runner import parse_args

            read = parse_args(words)
            return [read.user_script, *read.user_args]
    except SystemExit:
        raise ValueError(said.getvalue().strip().splitlines()[-1]) from None


def _problem_of_parsing(parse: Callable[[], object], words: list[str]) -> str:
    """Judge the flags of a command that reads them with argparse."""
    before, sys.argv = sys.argv, words
    try:
        parse()
    except UsageError as error:
        return str(error)
    finally:
        sys.argv = before
    return ""


def _problem_of_settings(
    flags: dict[str, str], settings: dict[str, object], parameters: Mapping[str, inspect.Parameter]
) -> str:
    # Not at the top: a bare GPU image has no pydantic, and its tests are collected too.
    from training.config import read_config

    file = ROOT / flags.get("config_file", parameters["config_file"].default)
    if file.name == CONFIG_FILE and not file.exists():
        # The configuration that a run leaves behind has the keys of the one it was started with.
        file = ROOT / parameters["config_file"].default
    try:
        read_config(file, settings)
    except (ValueError, FileNotFoundError, UsageError) as error:
        return str(error)
    return ""


def next_commands(printed: str) -> list[str]:
    """Return the commands that a command printed under `Next:`."""
    return [line.strip() for line in printed.partition("\nNext:\n")[2].splitlines() if line.strip()]


def _value(text: str) -> object:
    """Read a value as fire does: a Python literal, or else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _flags(arguments: list[str]) -> dict[str, str]:
    flags, waiting = {}, ""
    for argument in arguments:
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            waiting = name.replace("-", "_")
            flags[waiting] = value
        elif waiting:
            flags[waiting] = argument
    return flags
