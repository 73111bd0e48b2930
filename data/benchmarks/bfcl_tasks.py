"""Single-turn tasks of the Berkeley Function Calling Leaderboard: questions beside their answers.

An answer row is `{"id", "ground_truth": [{function: {parameter: [accepted value, ...]}}]}`; the
accepted value "" means that the parameter may be left out. Questions to which no call, or any
call, is right have no answers. Java's and JavaScript's arguments are source text of the language.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chat.conversation import Conversation, Message
from data.benchmarks.bfcl import recognises
from data.reading.rows import RawRow, read_rows

Language = Literal["python", "java", "javascript"]

LANGUAGES: Mapping[str, Language] = {
    "simple_python": "python",
    "simple_java": "java",
    "simple_javascript": "javascript",
    "multiple": "python",
    "parallel": "python",
    "parallel_multiple": "python",
    "irrelevance": "python",
    "live_simple": "python",
    "live_multiple": "python",
    "live_parallel": "python",
    "live_parallel_multiple": "python",
    "live_irrelevance": "python",
    "live_relevance": "python",
}
WITHOUT_ANSWERS = {"irrelevance", "live_irrelevance", "live_relevance"}
# To these no call is right, also where no function is offered; so it is in four rows of the latter.
WITHOUT_CALLS = {"irrelevance", "live_irrelevance"}
_NUMBER = re.compile(r"_\d+(-\d+)*$")


@dataclass(frozen=True)
class Task:
    """One question, the functions as the benchmark declares them, and each call's answer.

    answers: (function, accepted values by parameter) of each call; empty for questions without.
    """

    id: str
    category: str
    messages: tuple[Message, ...]
    functions: tuple[Mapping[str, Any], ...]
    answers: tuple[tuple[str, Mapping[str, list[Any]]], ...] = ()

    @property
    def language(self) -> Language:
        """The language whose types the functions are declared with."""
        return LANGUAGES[self.category]


def read_tasks(questions: Path | str, answers: Path | str | None = None) -> list[Task]:
    """Read the tasks of a file of questions and the file of their answers.

    Raises ValueError for a category that is not scored, a question without an answer where its
    category has them, and whatever is no row of the benchmark.
    """
    known = {} if answers is None else dict(_read_answers(answers))
    tasks = [_task(row, questions, answers, known) for row in read_rows(questions)]
    for identity, count in Counter(task.id for task in tasks).items():
        if count > 1:
            raise ValueError(f"{questions} has {identity} twice; wanted every id once")
    return tasks


def _task(
    row: RawRow, path: Path | str, answers: Path | str | None, known: Mapping[str, Any]
) -> Task:
    where = f"{path}: row {row.index} ({row.place})"
    if isinstance(row.value, dict) and "ground_truth" in row.value:
        raise ValueError(f"{path} holds the answers of a benchmark; name the file of its questions")
    if not recognises(row.value) or not isinstance(row.value.get("id"), str):
        raise ValueError(
            f"{where} is no question of BFCL, wanted "
            '{"id": "...", "question": [[{"role": "user", "content": "..."}]], "function": [...]}'
        )
    identity = row.value["id"]
    category = _category(identity, where)
    functions = _functions(row.value.get("function"), where)
    if not functions and category not in WITHOUT_CALLS:
        raise ValueError(f"{where} declares no function, and {category} asks for a call")
    if category not in WITHOUT_ANSWERS and identity not in known:
        fix = (
            f"{answers} has no answer to {identity}; name the file of possible_answer/ that "
            "belongs to these questions"
            if answers
            else f"{identity} needs its answer: --answers-file names the file of possible_answer/"
        )
        raise ValueError(f"{where}: {fix}")
    return Task(
        identity,
        category,
        _messages(row.value["question"], where),
        functions,
        known.get(identity, ()) if category not in WITHOUT_ANSWERS else (),
    )


def category_of(identity: str) -> str:
    """Return the category that the id of a question names."""
    return _NUMBER.sub("", identity)


def _category(identity: str, where: str) -> str:
    category = category_of(identity)
    if category not in LANGUAGES:
        raise ValueError(
            f"{where} is of the category {category!r}, which is not scored; "
            f"the categories are {', '.join(LANGUAGES)}"
        )
    return category


def _messages(turns: Sequence[Any], where: str) -> tuple[Message, ...]:
    if len(turns) != 1:
        raise ValueError(f"{where} has {len(turns)} turns, wanted a question of one")
    try:
        messages = Conversation.from_record({"messages": turns[0]}).messages
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not messages:
        raise ValueError(f"{where} asks nothing; wanted at least one message")
    return messages


def _functions(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where} has no list of functions")
    for function in value:
        parameters = function.get("parameters") if isinstance(function, dict) else None
        properties = parameters.get("properties") if isinstance(parameters, dict) else None
        if not isinstance(properties, dict) or not isinstance(function.get("name"), str):
            raise ValueError(f"{where} declares a function without name or parameters.properties")
        if not all(map(_is_declaration, properties.values())):
            raise ValueError(f"{where}: a parameter of {function['name']} has no type that is text")
        required = function["parameters"].get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise ValueError(f"{where}: required of {function['name']} is no list of names")
    return tuple(value)


def _is_declaration(value: Any) -> bool:
    """Whether a parameter is an object, and its type and that of its members are text."""
    if not isinstance(value, dict) or not isinstance(value.get("type", ""), str):
        return False
    items = value.get("items")
    return not isinstance(items, dict) or isinstance(items.get("type", ""), str)


def _read_answers(path: Path | str) -> Iterator[tuple[str, Any]]:
    for row in read_rows(path):
        value = row.value if isinstance(row.value, dict) else {}
        calls = value.get("ground_truth")
        if not isinstance(value.get("id"), str) or not isinstance(calls, list):
            raise ValueError(
                f"{path}: row {row.index} ({row.place}) is no answer of BFCL, wanted "
                '{"id": "...", "ground_truth": [{"function": {"parameter": ["value"]}}]}'
            )
        if not calls or not all(_is_call(call) for call in calls):
            raise ValueError(
                f"{path}: row {row.index} ({row.place}): ground_truth must hold objects of one "
                "function each, with a list of accepted values for each parameter"
            )
        yield value["id"], tuple(next(iter(call.items())) for call in calls)


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    (accepted,) = value.values()
    return isinstance(accepted, dict) and all(
        isinstance(values, list) for values in accepted.values()
    )
