"""Record what the official AST checker of BFCL says of tests/oracles/bfcl_cases.py.

    python3 -m venv ORACLE && ORACLE/bin/pip install --no-deps bfcl-eval mpmath==1.3.0
    python tests/oracles/record_bfcl.py --oracle-python ORACLE/bin/python --data-dir FOLDER

FOLDER holds the benchmark's own files (BFCL_v4_*.json and possible_answer/). The verdicts go to
tests/oracles/bfcl_verdicts.json: a letter for each case, in order (1 valid, 0 not, x exception),
with the sha256 of the cases, so that a change of the mutations is noticed. With --all, the
categories of FOLDER are compared with ours and nothing is written.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oracles.bfcl_cases import HERE, OWN, SHARED, Calls, cases_of, tasks_of

from chat.conversation import ToolCall
from console.command import run
from data.benchmarks.bfcl_tasks import LANGUAGES, WITHOUT_ANSWERS, Task
from evaluation.scoring.bfcl import is_right

VERDICTS = HERE / "bfcl_verdicts.json"


def main(oracle_python: str, data_dir: str, all: bool = False) -> None:
    """Ask the official checker about every case and write its verdicts.

    Args:
        oracle_python: The Python of an environment with bfcl-eval.
        data_dir: The folder of the benchmark's own files.
        all: Compare every category of the folder with ours, and write nothing.
    """
    folder = Path(data_dir)
    scored = [language for language in LANGUAGES if language not in WITHOUT_ANSWERS]
    there = [language for language in scored if (folder / f"BFCL_v4_{language}.json").exists()]
    recorded: dict[str, Any] = {}
    for category in there if all else (*SHARED, *OWN):
        # A name of our own rows may also be a file of the folder.
        tasks = _of_folder(category, folder) if all else tasks_of(category, folder)
        cases = [(task, calls) for task in tasks for calls in cases_of(task)]
        letters = official(oracle_python, cases)
        differ = [
            c
            for c, letter in zip(cases, letters, strict=True)
            if ours(*c) != letter.replace("x", "0")
        ]
        counts = {letter: letters.count(letter) for letter in "10x"}
        print(f"{category}: {len(cases)} cases, {counts}, {len(differ)} judged otherwise here")
        for task, calls in differ[:5]:
            print("  ", task.id, json.dumps(calls, ensure_ascii=False)[:300])
        recorded[category] = {"cases": sha256_of(cases), "verdicts": letters}
    if not all:
        VERDICTS.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def _of_folder(category: str, folder: Path) -> list[Task]:
    from data.benchmarks.bfcl_tasks import read_tasks

    name = f"BFCL_v4_{category}.json"
    return read_tasks(folder / name, folder / "possible_answer" / name)


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


def ours(task: Task, calls: Calls) -> str:
    """Return our own verdict, for the same letters; what raises there is wrong here."""
    found = [ToolCall(name, arguments) for call in calls for name, arguments in call.items()]
    return "1" if is_right(task, found) else "0"


def sha256_of(cases: Sequence[tuple[Task, Calls]]) -> str:
    """Return the sha256 of the cases as JSON text."""
    text = json.dumps([[task.id, calls] for task, calls in cases], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    run(main)
