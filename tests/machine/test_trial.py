"""Trials may raise, leave, crash, print or hang, and those after them are run."""

from pathlib import Path

import pytest

from machine.trial import run_trials

TRIALS = """
import os, signal, sys
from machine.trial import NotHereError, NoticeError, Trial

def fails(): raise ValueError("what failed")
def leaves(): sys.exit(0)
def ends(): os._exit(0)
def crashes(): os.kill(os.getpid(), signal.SIGSEGV)
def does_not_apply(): raise NotHereError("wants a device")
def notices(): raise NoticeError("is slow")
def prints(): print('{"name": "false", "state": "ok", "detail": ""}'); return "printed"

functions = [fails, leaves, ends, crashes, does_not_apply, notices, prints]
TRIALS = {f.__name__: Trial(f, f"mend {f.__name__}") for f in functions}
"""
WANTED = [
    ("fails", "wrong", "what failed"),
    ("leaves", "wrong", "SystemExit: 0"),
    ("ends", "wrong", "ended the process that tried it, with exit code 0"),
    ("crashes", "wrong", "ended the process that tried it, with signal SIGSEGV"),
    ("does_not_apply", "none", "wants a device"),
    ("notices", "note", "is slow"),
    ("prints", "ok", "printed"),
]


@pytest.fixture
def module_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "some_trials.py"


def test_every_trial_has_one_finding_whatever_it_does(module_path: Path) -> None:
    module_path.write_text(TRIALS)
    found = list(run_trials("some_trials", "trials"))
    assert [(finding.name, finding.state, finding.detail) for finding in found] == WANTED
    assert {f.todo for f in found if f.state == "wrong"} == {
        f"mend {name}" for name, state, _ in WANTED if state == "wrong"
    }


def test_a_trial_that_hangs_is_ended_and_the_next_is_run(module_path: Path) -> None:
    module_path.write_text(
        "import time\n"
        "from machine.trial import Trial\n"
        "TRIALS = {'hangs': Trial(lambda: time.sleep(60), 'mend'), 'next': Trial(str, '')}\n"
    )
    hung, after = run_trials("some_trials", "trials", seconds=4)
    assert (hung.state, hung.detail) == ("wrong", "was not done after 4 seconds")
    assert after.state == "ok"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("import sys; sys.exit('go away')", "SystemExit: go away"),
        ("import os; os._exit(7)", "exit code 7"),
    ],
)
def test_trials_that_cannot_be_imported_are_one_finding(
    module_path: Path, source: str, reason: str
) -> None:
    module_path.write_text(source)
    (finding,) = run_trials("some_trials", "these trials")
    assert (finding.name, finding.state) == ("these trials", "wrong")
    assert reason in finding.detail
