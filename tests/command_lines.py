"""Judge a printed or documented command line without running it."""

import importlib
import inspect
import shlex
from pathlib import Path

from training.config import read_config

ROOT = Path(__file__).parents[1]


def problem_of(line: str) -> str:
    """Say what is wrong with a `python ...` line: script, flags or settings; empty when nothing."""
    words = shlex.split(line, comments=True)
    if words[0] not in ("python", "python3"):
        return f"{words[0]} is not python"
    script, arguments = words[1], words[2:]
    if not (ROOT / script).is_file():
        return f"there is no {script}"
    command = importlib.import_module(script.removesuffix(".py").replace("/", ".")).main
    parameters = inspect.signature(command).parameters
    flags = _flags(arguments)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    settings = {name: value for name, value in flags.items() if open_ended and "." in name}
    for name in flags.keys() - settings.keys():
        if name not in parameters or parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            return f"{script} has no flag --{name}"
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in flags and not open_ended:
            return f"{script} wants --{name}"
    if open_ended:
        default = parameters["config_file"].default
        read_config(ROOT / flags.get("config_file", default), settings)
    return ""


def next_commands(printed: str) -> list[str]:
    """Return the commands that a command printed under `Next:`."""
    return [line.strip() for line in printed.partition("\nNext:\n")[2].splitlines() if line.strip()]


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
