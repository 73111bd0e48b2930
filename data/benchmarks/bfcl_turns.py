"""Tasks of several turns of the Berkeley Function Calling Leaderboard, version 4.

A row names the simulated services it involves, how they begin (`initial_config`) and the functions
that are offered only from a later turn on (`missed_function`); the functions themselves lie in the
folder multi_turn_func_doc beside the questions. Answers are calls in Python, turn by turn.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Message
from data.benchmarks.bfcl import recognises
from data.benchmarks.bfcl_tasks import category_of
from data.reading.rows import RawRow, read_rows

TURN_CATEGORIES = (
    "multi_turn_base",
    "multi_turn_miss_func",
    "multi_turn_miss_param",
    "multi_turn_long_context",
)
FUNCTIONS_FOLDER = "multi_turn_func_doc"
# The file that declares the functions of each service.
_DECLARED_IN = {
    "GorillaFileSystem": "gorilla_file_system.json",
    "MathAPI": "math_api.json",
    "MessageAPI": "message_api.json",
    "TwitterAPI": "posting_api.json",
    "TicketAPI": "ticket_api.json",
    "TradingBot": "trading_bot.json",
    "TravelAPI": "travel_booking.json",
    "VehicleControlAPI": "vehicle_control.json",
}
Function = Mapping[str, Any]


@dataclass(frozen=True)
class TurnTask:
    """What a user asks turn by turn, of services that keep a state.

    turns: The messages that begin each turn; none where functions are added instead.
    functions: The functions offered from the beginning, as the benchmark declares them.
    added: The functions that come with a turn, by its number from 0.
    row: The row itself, which says how the services begin.
    answers: The right calls of each turn, in Python; none where nothing can be done.
    """

    id: str
    category: str
    turns: tuple[tuple[Message, ...], ...]
    functions: tuple[Function, ...]
    added: Mapping[int, tuple[Function, ...]]
    row: Mapping[str, Any]
    answers: tuple[tuple[str, ...], ...]


def read_turn_tasks(questions: Path | str, answers: Path | str | None) -> list[TurnTask]:
    """Read the tasks of a file of questions and the file of their answers.

    Raises ValueError for a question without an answer, a service without its file of functions,
    and whatever is no row of the benchmark.
    """
    if answers is None:
        raise ValueError(
            f"{questions} needs its answers: --answers-file names the file of possible_answer/"
        )
    known = {row.value["id"]: row.value["ground_truth"] for row in _answer_rows(answers)}
    folder = Path(questions).parent / FUNCTIONS_FOLDER
    declared: dict[str, list[Function]] = {}
    tasks = [
        _task(row, questions, known, answers, folder, declared) for row in read_rows(questions)
    ]
    if len({task.id for task in tasks}) < len(tasks):
        raise ValueError(f"{questions} has an id twice; wanted every id once")
    return tasks


def _task(
    row: RawRow,
    path: Path | str,
    known: Mapping[str, Any],
    answers: Path | str,
    folder: Path,
    declared: dict[str, list[Function]],
) -> TurnTask:
    where, value = f"{path}: row {row.index} ({row.place})", row.value
    if not recognises(value) or not isinstance(value.get("id"), str):
        raise ValueError(f"{where} is no question of BFCL")
    services, config = value.get("involved_classes"), value.get("initial_config")
    if not isinstance(config, dict) or not isinstance(services, list):
        raise ValueError(f"{where} has no initial_config or no involved_classes")
    if value["id"] not in known:
        raise ValueError(f"{where}: {answers} has no answer to {value['id']}")
    functions: list[Function] = []
    for service in services:
        if not isinstance(service, str) or service not in _DECLARED_IN:
            raise ValueError(f"{where} involves {service!r}; known are {', '.join(_DECLARED_IN)}")
        if service not in declared:
            declared[service] = _read_functions(folder / _DECLARED_IN[service])
        functions += declared[service]
    added = {}
    kept_back = value.get("missed_function", {})
    if not isinstance(kept_back, dict) or not all(map(_keeps_back, kept_back.items())):
        raise ValueError(f"{where}: missed_function is not functions by the number of a turn")
    for turn, names in kept_back.items():
        added[int(turn)] = tuple(_take(functions, name, where) for name in names)
    task = TurnTask(
        value["id"],
        category_of(value["id"]),
        tuple(_messages(turn, where) for turn in value["question"]),
        tuple(functions),
        added,
        value,
        tuple(map(tuple, known[value["id"]])),
    )
    if len(task.turns) != len(task.answers):
        raise ValueError(f"{where} has {len(task.turns)} turns, and its answer {len(task.answers)}")
    return task


def _keeps_back(entry: tuple[str, Any]) -> bool:
    """Return whether this is the number of a turn with a list of functions."""
    turn, names = entry
    return turn.isdecimal() and isinstance(names, list)


def _take(functions: list[Function], name: str, where: str) -> Function:
    """Remove the function of a name from a list and return it."""
    for place, function in enumerate(functions):
        if function["name"] == name:
            return functions.pop(place)
    raise ValueError(f"{where} keeps back {name!r}, which its services do not declare")


def _messages(turn: Sequence[Any], where: str) -> tuple[Message, ...]:
    try:
        return Conversation.from_record({"messages": turn}).messages
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _read_functions(path: Path) -> list[Function]:
    if not path.is_file():
        raise ValueError(
            f"{path} is missing; wanted the benchmark's {FUNCTIONS_FOLDER} beside the questions"
        )
    functions = [row.value for row in read_rows(path)]
    if not all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in functions):
        raise ValueError(f"{path} holds what is no declaration of a function")
    return functions


def _answer_rows(path: Path | str) -> Sequence[RawRow]:
    """Return the rows of answers; ValueError for code that is not a call with plain values."""
    rows = list(read_rows(path))
    for row in rows:
        value = row.value if isinstance(row.value, dict) else {}
        turns = value.get("ground_truth")
        if not isinstance(value.get("id"), str) or not _are_plain_turns(turns):
            raise ValueError(
                f"{path}: row {row.index} ({row.place}) is no answer of several turns, wanted "
                '{"id": "...", "ground_truth": [["name(argument=\'value\')"], ...]}'
            )
    return rows


def _are_plain_turns(turns: Any) -> bool:
    """Return whether these are lists of plain calls."""
    return isinstance(turns, list) and all(
        isinstance(turn, list) and all(map(_is_plain_call, turn)) for turn in turns
    )


def _is_plain_call(text: Any) -> bool:
    """Whether a text is one call in Python whose arguments are literals: it will be executed."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return False
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            ast.literal_eval(value)
    except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
