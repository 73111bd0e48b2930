"""Play and judge BFCL's tasks of several turns with the benchmark's own package, bfcl-eval.

Its simulated services and its checker are those of the package that the user has installed; nothing
of it is part of this project. The package evaluates calls as Python text. So only calls of the
services' own methods reach it, those of a file of answers too, with names as arguments and JSON as
values; any other call gets the error that the package has for a name it does not know.
"""

import importlib
import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from keyword import iskeyword
from typing import Any

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from data.benchmarks.bfcl_turns import TurnTask
from evaluation.scoring.calls import Verdict

_PACKAGE = "bfcl_eval"
_CHECKING = "bfcl_eval.eval_checker.multi_turn_eval"
INSTALL = "pip install --no-deps bfcl-eval mpmath"
# Stands for a call that is not executed; no service has this method.
_UNKNOWN = "no_such_function()"
_RUNS = count()


@dataclass(frozen=True)
class PlayedReply(Reply):
    """All that a model said in a task: calls or text by turn and step.

    stopped: Why the task ended before its last turn, or empty.
    """

    turns: tuple[tuple[tuple[ToolCall, ...] | str, ...], ...] = ()
    stopped: str = ""


class BfclPackage:
    """The parts of bfcl-eval that tasks of several turns need; ValueError where it is missing."""

    def __init__(self) -> None:
        if problem := missing_package():
            raise ValueError(problem)
        try:
            self._execution: Any = importlib.import_module(f"{_CHECKING}.multi_turn_utils")
            self._checker: Any = importlib.import_module(f"{_CHECKING}.multi_turn_checker")
            self._prompts: Any = importlib.import_module("bfcl_eval.constants.default_prompts")
            self.most_steps: int = self._prompts.MAXIMUM_STEP_LIMIT
            self.more_functions: str = self._prompts.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"bfcl-eval is installed and cannot be used ({error}); known to work is "
                f"2026.3.23: {INSTALL}"
            ) from error

    def begin(self, task: TurnTask) -> "Services":
        """Return the services of a task as they are before its first turn."""
        return Services(self._execution, task)

    def judge(self, task: TurnTask, reply: Reply) -> Verdict:
        """Return the verdict of the package's checker on what was said in a task."""
        turns = reply.turns if isinstance(reply, PlayedReply) else ()
        steps = [step for turn in turns for step in turn]
        called = any(not isinstance(step, str) for step in steps)
        reason = reply.stopped if isinstance(reply, PlayedReply) else ""
        if not reason and len(turns) != len(task.answers):
            reason = f"{len(turns)} of {len(task.answers)} turns were played"
        if not reason:
            reason = self._problem(task, turns)
        return Verdict(
            not reason, True, called, not any(steps), reasons=(reason,) if reason else ()
        )

    def _problem(
        self, task: TurnTask, turns: Sequence[Sequence[tuple[ToolCall, ...] | str]]
    ) -> str:
        """Return what the checker finds wrong; empty for nothing."""
        run = f"judged{next(_RUNS)}"
        with_services = Services(self._execution, task)
        methods = with_services.methods
        with_services.close()
        decoded = [
            [
                [_executed(call, methods) for call in step]
                for step in turn
                if not isinstance(step, str)
            ]
            for turn in turns
        ]
        wanted = [[_known_call(text, methods) for text in turn] for turn in task.answers]
        try:
            found = self._checker.multi_turn_checker(
                decoded, wanted, dict(task.row), task.category, run
            )
        finally:
            _forget(self._execution, run)
        return "" if found["valid"] else str(found["error_message"])


class Services:
    """The simulated services of one task, whose state the calls change."""

    def __init__(self, execution: Any, task: TurnTask) -> None:
        self._execution, self._task, self._run = execution, task, f"played{next(_RUNS)}"
        _, services = self._execute([])
        self.methods = {
            name
            for service in services.values()
            for name, _ in inspect.getmembers(service, inspect.ismethod)
            if not name.startswith("_")
        }

    def call(self, calls: Sequence[ToolCall]) -> list[str]:
        """Execute calls one after the other and return what each of them gives."""
        texts = [_executed(call, self.methods) for call in calls]
        results, _ = self._execute(texts)
        return [
            _refusal(call) if text == _UNKNOWN else result
            for call, text, result in zip(calls, texts, results, strict=True)
        ]

    def close(self) -> None:
        """Forget the state, which the package keeps."""
        _forget(self._execution, self._run)

    def _execute(self, texts: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
        found: tuple[list[str], dict[str, Any]] = self._execution.execute_multi_turn_func_call(
            func_call_list=list(texts),
            initial_config=self._task.row["initial_config"],
            involved_classes=self._task.row["involved_classes"],
            model_name=self._run,
            test_entry_id=self._task.id,
            long_context="long_context" in self._task.category,
        )
        return found


def missing_package() -> str:
    """Return why tasks of several turns cannot be played; empty where bfcl-eval is installed."""
    if find_spec(_PACKAGE) is not None:
        return ""
    return (
        "tasks of several turns are played and judged by the benchmark's own package, bfcl-eval, "
        f"which is not installed: {INSTALL}"
    )


def _executed(call: ToolCall, methods: Collection[str]) -> str:
    """Return a call as the package evaluates it; _UNKNOWN for one that must not be evaluated."""
    names = call.arguments
    if call.name not in methods or not all(name.isidentifier() for name in names):
        return _UNKNOWN
    if any(map(iskeyword, names)):
        return _UNKNOWN
    return f"{call.name}({','.join(f'{name}={value!r}' for name, value in names.items())})"


def _known_call(text: str, methods: Collection[str]) -> str:
    """Return a call of the answers, known to be a plain one; _UNKNOWN where no service has it."""
    return text if text.partition("(")[0].strip() in methods else _UNKNOWN


def _refusal(call: ToolCall) -> str:
    return f"Error during execution: {call.name!r} is not defined with these arguments"


def _forget(execution: Any, run: str) -> None:
    """Delete the services that the package keeps under the name of a run among its globals."""
    for name in [name for name in vars(execution) if name.startswith(f"{run}_")]:
        delattr(execution, name)
