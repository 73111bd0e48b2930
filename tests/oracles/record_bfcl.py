"""Record what the official AST checker of BFCL says of tests/oracles/bfcl_cases.py.

    python3 -m venv ORACLE && ORACLE/bin/pip install --no-deps bfcl-eval mpmath==1.3.0
    python tests/oracles/record_bfcl.py --oracle-python ORACLE/bin/python --data-dir FOLDER

FOLDER holds the benchmark's own files (BFCL_v4_*.json and possible_answer/). The verdicts go to
tests/oracles/bfcl_verdicts.json: a letter for each case, in order (1 valid, 0 not, x exception),
with the sha256 of the cases, so that a change of the mutations is noticed. With --all, every
category of FOLDER, that of the package, goes to bfcl_official_verdicts.json as counts and sha256s.
Tasks of several turns are judged by the package here as well, so that this command itself needs it
then: PYTHONPATH=.:FOLDER/../..
"""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oracles.bfcl_cases import HERE, OWN, SHARED, Calls, cases_of, ours, tasks_of
from oracles.bfcl_official_cases import OFFICIAL, OfficialCase, official_cases

from console.command import run
from data.benchmarks.bfcl_tasks import LANGUAGES, WITHOUT_ANSWERS, Task

VERDICTS = HERE / "bfcl_verdicts.json"
OFFICIAL_VERDICTS = HERE / "bfcl_official_verdicts.json"


def main(oracle_python: str, data_dir: str, all: bool = False) -> None:
    """Ask the official checker about every case and write its verdicts.

    Args:
        oracle_python: The Python of an environment with bfcl-eval.
        data_dir: The folder of the benchmark's own files.
        all: Ask about every category of the folder.
    """
    folder = Path(data_dir)
    if all:
        return record_all(oracle_python, folder)
    recorded: dict[str, Any] = {}
    for category in (*SHARED, *OWN):
        tasks = tasks_of(category, folder)
        cases = [(task, calls) for task in tasks for calls in cases_of(task)]
        letters = official(oracle_python, cases)
        tell(category, letters, "".join(ours(*case) for case in cases))
        recorded[category] = {"cases": sha256_of(cases), "verdicts": letters}
    VERDICTS.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def record_all(oracle_python: str, folder: Path) -> None:
    """Ask about every category of the benchmark's folder."""
    recorded = {}
    for category in OFFICIAL:
        cases = official_cases(category, folder)
        if category in LANGUAGES and category not in WITHOUT_ANSWERS:
            letters = official(oracle_python, [(case.task, case.said) for case in cases])
        else:
            letters = by_the_runner(oracle_python, cases)
        tell(category, letters, "".join(case.ours() for case in cases))
        recorded[category] = {
            "cases": sha256_of([(case.task, case.said) for case in cases]),
            "verdicts": hashlib.sha256(letters.replace("x", "0").encode()).hexdigest(),
            "counts": {letter: letters.count(letter) for letter in "10x"},
        }
    OFFICIAL_VERDICTS.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def tell(category: str, letters: str, found: str) -> None:
    """Print how many verdicts there are, and how many are otherwise here."""
    counts = {letter: letters.count(letter) for letter in "10x"}
    pairs = zip(letters.replace("x", "0"), found, strict=True)
    differ = [place for place, (one, other) in enumerate(pairs) if one != other]
    print(f"{category}: {len(letters)} cases, {counts}, {len(differ)} judged otherwise here")
    print(*(f"  case {place}" for place in differ[:5]), sep="\n", end="")


def by_the_runner(python: str, cases: Sequence[OfficialCase]) -> str:
    """Return the letters of the benchmark's own runner."""
    command = [python, str(HERE / "bfcl_runner_official.py")]
    lines = "\n".join(json.dumps(case.to_record()) for case in cases)
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def official(python: str, cases: Iterable[tuple[Task, Calls]]) -> str:
    """Return the official checker's letters."""
    lines = [
        json.dumps(
            {
                "functions": task.functions,
                "calls": calls,
                "answers": [{name: accepted} for name, accepted in task.answers],
                "language": task.language,
                "category": task.category,
            }
        )
        for task, calls in cases
    ]
    command = [python, str(HERE / "bfcl_official.py")]
    done = subprocess.run(
        command, input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def sha256_of(cases: Sequence[tuple[Any, Any]]) -> str:
    """Return the sha256 of the cases as JSON text."""
    text = json.dumps([[task.id, calls] for task, calls in cases], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    run(main)
