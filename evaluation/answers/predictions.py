"""Recorded outputs of a model: JSON Lines of `id` and `calls` or `text`.

Of a task of several turns, `turns` holds for each turn its steps: calls, or text without any. A
call is `{"name", "arguments"}`, OpenAI's `{"type": "function", "function": {...}}`, or BFCL's
`{name: arguments}`; arguments may be JSON text. A text is read with the chat format.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chat.conversation import ToolCall, to_json
from chat.formats.call_syntax import Reply
from chat.formats.format import ChatFormat
from chat.formats.rendering import parse_reply
from data.reading.rows import RawRow, read_rows
from evaluation.answers.turns import read_played
from evaluation.items import Item
from inference.chat_model import Answer

_ARGUMENTS = ("arguments", "parameters")


def predicted(
    items: Iterable[Item],
    predictions: Mapping[str, Answer],
    path: Path | str,
    chosen: bool = False,
    tell: Callable[[str], None] = print,
) -> Iterator[tuple[int, Answer]]:
    """Yield (index, answer) of the items that have one, then ValueError if any has none.

    A prediction for no item raises ValueError before that; where the items were `chosen` among
    others, `tell` is called with the message instead.
    """
    listed = list(items)
    ids = {item.id for item in listed}
    if stray := [prediction for prediction in predictions if prediction not in ids]:
        told = f"{path} has {len(stray):,} of {len(predictions):,} predictions for ids that"
        if not chosen:
            raise ValueError(f"{told} no item has, the first is {stray[0]}")
        tell(f"{told} are not scored here, the first is {stray[0]}")
    for index, item in enumerate(listed):
        if item.id in predictions:
            yield index, predictions[item.id]
    missing = [item.id for item in listed if item.id not in predictions]
    if missing:
        raise ValueError(
            f"{path} has no prediction for {len(missing):,} of {len(listed):,} ids, the first is "
            f"{missing[0]}"
        )


def read_predictions(path: Path | str, format: ChatFormat) -> dict[str, Answer]:
    """Read predictions by id; ValueError names a row that is none, or an id that comes twice."""
    found: dict[str, Answer] = {}
    for row in read_rows(path):
        identity = row.value.get("id") if isinstance(row.value, dict) else None
        where = f"{path}: row {row.index} ({row.place})"
        if not isinstance(identity, str) or not row.value.keys() & {"calls", "text", "turns"}:
            raise ValueError(
                f"{where} is no prediction, wanted "
                '{"id": "...", "calls": [{"name": "...", "arguments": {}}]} or "text" for "calls"'
            )
        if identity in found:
            raise ValueError(f"{where} has the id {identity} again; wanted every id once")
        if all(row.value.get(key) is None for key in ("calls", "text", "turns")):
            raise ValueError(f'{where} says neither calls nor text; wanted [] or "" for none')
        found[identity] = _answer(row, format, where)
    return found


def _answer(row: RawRow, format: ChatFormat, where: str) -> Answer:
    calls, text = row.value.get("calls"), row.value.get("text")
    if (turns := row.value.get("turns")) is not None:
        if not isinstance(turns, list) or not all(isinstance(turn, list) for turn in turns):
            raise ValueError(f"{where}: turns must be a list of lists of steps")
        return read_turns(turns)
    if not isinstance(text, str | None):
        raise ValueError(f"{where}: text must be text, found {json.dumps(text)[:40]}")
    if calls is None:
        return Answer(text or "", parse_reply(text or "", format), True)
    if not isinstance(calls, list):
        raise ValueError(f"{where}: calls must be a list, found {json.dumps(calls)[:40]}")
    return Answer(text or "", read_calls(calls, text or ""), True)


def read_turns(turns: Sequence[Sequence[Any]], stopped: str = "", whole: bool = True) -> Answer:
    """Read what was said in a task of several turns, as the module says."""
    return read_played([[_step(step) for step in turn] for turn in turns], stopped, whole)


def _step(record: Any) -> tuple[ToolCall, ...] | str:
    """Read a step of a turn; what cannot be read as calls ends the turn, as text does."""
    if isinstance(record, str) or not isinstance(record, list):
        return record if isinstance(record, str) else json.dumps(record)
    return read_calls(record).tool_calls or json.dumps(record)


def read_calls(records: Iterable[Any], content: str = "") -> Reply:
    """Read calls as a reply; one that cannot be read makes it a reply with that problem."""
    try:
        return Reply(content, tuple(map(_call, records)))
    except ValueError as error:
        return Reply(content, problem=str(error))


def _call(record: Any) -> ToolCall:
    if isinstance(record, Mapping) and isinstance(record.get("function"), Mapping):
        record = record["function"]
    if isinstance(record, Mapping) and isinstance(record.get("name"), str):
        key = next((key for key in _ARGUMENTS if key in record), None)
        return ToolCall(record["name"], _read(record[key] if key else {}, record["name"]))
    if isinstance(record, Mapping) and len(record) == 1:
        ((name, arguments),) = record.items()
        return ToolCall(name, _read(arguments, name))
    raise ValueError(f"{json.dumps(record, ensure_ascii=False)[:80]} is no call")


def _read(arguments: Any, name: str) -> Mapping[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the arguments of {name} are no JSON: {error}") from None
    if not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of {name} are no object")
    try:
        to_json(arguments)
    except ValueError:
        raise ValueError(
            f"the arguments of {name} hold NaN or Infinity, which is no JSON"
        ) from None
    return arguments
