"""Read the dialogs that the chat script answers: a JSON list of {tools, messages}."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chat.conversation import Conversation
from chat.strict_json import read_json


def read_dialogs(file: Path | str) -> list[Conversation]:
    """Return the conversations of a file; the last message of each is a user's or a tool's.

    A call's arguments may be objects or, as OpenAI's clients send them, JSON text of objects.
    Raises FileNotFoundError, or ValueError that names the dialog and what is wrong with it.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        found = "is a directory" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {found}; wanted a JSON list of dialogs")
    try:
        records = read_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path} must hold a list of {{tools, messages}} with at least one in it")
    return [_read(record, f"{path}, dialog {i}") for i, record in enumerate(records, start=1)]


def _read(record: Any, where: str) -> Conversation:
    try:
        conversation = Conversation.from_record(_with_argument_objects(record))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    last = conversation.messages[-1].role if conversation.messages else "nothing"
    if last not in ("user", "tool"):
        raise ValueError(
            f"{where} ends with {last}; wanted a user's or a tool's message that can be answered"
        )
    return conversation


def _with_argument_objects(value: Any) -> Any:
    """Decode arguments given as JSON text, in every call of every message."""
    if isinstance(value, list):
        return [_with_argument_objects(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    function = value.get("function")
    if isinstance(function, Mapping) and isinstance(function.get("arguments"), str):
        try:
            arguments = read_json(function["arguments"])
        except ValueError as error:
            raise ValueError(
                f"the arguments of {function.get('name')} are no JSON: {error}"
            ) from None
        return {**value, "function": {**function, "arguments": arguments}}
    messages = ("messages", "tool_calls")
    return {k: _with_argument_objects(v) if k in messages else v for k, v in value.items()}
