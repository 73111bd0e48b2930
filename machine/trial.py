"""Trials: small functions that run in a process of their own, which may crash, hang or leave.

A module of trials has TRIALS, a dict of Trial by name. `run_trials` starts this file for it, and
again from the next trial on where one took the process with it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine.findings import Finding, error_in_words
from machine.packages import INSTALL, REINSTALL
from machine.requirements import ROOT

SECONDS = 180.0


class NotHereError(Exception):
    """A trial does not apply to this machine; the message says why."""


class NoticeError(Exception):
    """A trial found something to know and nothing to do; the message says what."""


@dataclass(frozen=True)
class Trial:
    """A function that returns what it found, and what to do where it fails.

    Where a module is missing, what to do is to install it.
    """

    run: Callable[[], str]
    todo: str


def run_trials(module: str, title: str, seconds: float = SECONDS) -> Iterator[Finding]:
    """Yield what each trial of a module found.

    `seconds` is the time for each start, which has all trials that are left; `title` names the
    module where it cannot be imported.
    """
    done = 0
    while True:
        names, findings, ending = _run_from(done, module, seconds)
        yield from findings
        done += len(findings)
        if names is None:
            yield Finding(title, "wrong", ending, REINSTALL)
            return
        if done < len(names):
            yield Finding(names[done]["name"], "wrong", ending, names[done]["todo"])
            done += 1
        if done >= len(names):
            return


def _run_from(
    done: int, module: str, seconds: float
) -> tuple[list[dict[str, str]] | None, list[Finding], str]:
    """Return the names of all trials, what those from `done` on found, and how it ended."""
    with TemporaryDirectory() as directory:
        results = Path(directory, "results")
        # -P: what lies in the user's directory is not imported in a package's place.
        command = [sys.executable, "-P", "-m", "machine.trial", module, str(done), str(results)]
        ending = _run_alone(command, seconds)
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    # The last line may be half written where the process was killed.
    values: list[Any] = []
    for line in lines:
        with suppress(ValueError):
            values.append(json.loads(line))
    if not values or isinstance(values[0], str):
        return None, [], values[0] if values else ending
    return values[0], [Finding(**value) for value in values[1:]], ending


def _run_alone(command: list[str], seconds: float) -> str:
    """Run a command whose output is of no interest, and say how it ended."""
    # Python's own warnings and a library's threads are not what is asked for.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"was not done after {seconds:g} seconds"
    finally:
        with suppress(ProcessLookupError):
            # What a trial started goes with it.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"ended the process that tried it, with {ended}"


def _tell(results: Path, value: Any) -> None:
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def _finding(name: str, trial: Trial) -> Finding:
    begun = time.perf_counter()
    try:
        detail = trial.run()
    except NotHereError as reason:
        return Finding(name, "none", str(reason))
    except NoticeError as notice:
        return Finding(name, "note", str(notice))
    except ModuleNotFoundError as error:
        return Finding(name, "wrong", error_in_words(error), INSTALL)
    except (Exception, SystemExit) as error:
        return Finding(name, "wrong", error_in_words(error), trial.todo)
    return Finding(name, "ok", detail or f"{time.perf_counter() - begun:.2f} s")


def _main(module: str, done: str, results: str) -> None:
    file = Path(results)
    try:
        trials: dict[str, Trial] = import_module(module).TRIALS
    except (Exception, SystemExit) as error:
        _tell(file, f"cannot be tried: {error_in_words(error)}")
        return
    _tell(file, [{"name": name, "todo": trial.todo} for name, trial in trials.items()])
    for name, trial in list(trials.items())[int(done) :]:
        _tell(file, asdict(_finding(name, trial)))


if __name__ == "__main__":
    # The module by its own name, whose exceptions are those that trials raise.
    import_module("machine.trial")._main(*sys.argv[1:])
