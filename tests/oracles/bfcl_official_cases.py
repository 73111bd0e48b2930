"""Cases for every official file of BFCL, with our own verdicts on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from oracles.bfcl_cases import cases_of, ours
from oracles.bfcl_turn_cases import said_in

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from data.benchmarks.bfcl_folder import CATEGORIES, answers_of
from data.benchmarks.bfcl_tasks import WITHOUT_ANSWERS, Task, read_tasks
from data.benchmarks.bfcl_turns import TURN_CATEGORIES, TurnTask, read_turn_tasks
from evaluation.answers.predictions import read_turns
from evaluation.scoring.bfcl import judge
from evaluation.scoring.bfcl_turns import BfclPackage

OFFICIAL = CATEGORIES
# Of each task: the reference and two mutations of it.
MOST = 3


@dataclass(frozen=True)
class OfficialCase:
    """What a model said in a task: calls, or of several turns what it said turn by turn."""

    task: Any
    said: Any

    def to_record(self) -> dict[str, Any]:
        """Return what the benchmark's own runner is asked."""
        if isinstance(self.task, TurnTask):
            return {"row": dict(self.task.row), "said": self.said, "answers": self.task.answers}
        return {"row": {"id": self.task.id}, "said": self.said}

    def ours(self) -> str:
        """Return our own verdict: 1 or 0."""
        if isinstance(self.task, TurnTask):
            return str(int(_package().judge(self.task, read_turns(self.said).reply).correct))
        if self.task.category not in WITHOUT_ANSWERS:
            return ours(self.task, self.said)
        calls = [ToolCall(name, given) for call in self.said for name, given in call.items()]
        return str(int(judge(self.task, Reply("" if calls else "No.", tuple(calls))).correct))


@cache
def _package() -> BfclPackage:
    return BfclPackage()


def official_cases(category: str, folder: Path) -> list[OfficialCase]:
    """Return the cases of a category of the benchmark's own folder."""
    questions = folder / f"BFCL_v4_{category}.json"
    tasks: list[Any]
    if category in TURN_CATEGORIES:
        tasks = list(read_turn_tasks(questions, answers_of(questions)))
    else:
        tasks = list(read_tasks(questions, answers_of(questions)))
    return [OfficialCase(task, said) for task in tasks for said in islice(_said(task), MOST)]


def _said(task: Task | TurnTask) -> Iterator[Any]:
    if isinstance(task, TurnTask):
        yield from said_in(task)
    elif task.category in WITHOUT_ANSWERS:
        name = task.functions[0]["name"] if task.functions else "search"
        yield from ([], [{name: {}}], [{name: {"x": 1}}, {name: {}}])
    else:
        yield from cases_of(task)
