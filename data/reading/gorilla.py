"""Gorilla OpenFunctions: `question`, one `function` or several, and the call as Python text."""

from typing import Any

from chat.conversation import Message, ToolCall
from data.outcomes import Draft, Rejected
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.python_text import read_call_expressions
from data.reading.turns import Turns


def read(value: Any) -> Draft:
    """Read one row; a function is called by its `api_call`, its `name` being a title."""
    functions = value["function"] if isinstance(value["function"], list) else [value["function"]]
    answers = value["model_answer"]
    answers = answers if isinstance(answers, list) else [answers]
    try:
        calls = [call for answer in answers for call in read_call_expressions(str(answer))]
    except ValueError as error:
        reason = f"no call with literal arguments: {error}"
        raise Rejected("unreadable-call", "/model_answer", reason, str(answers)) from error
    read = tuple(ToolCall(name, arguments) for name, arguments in calls)
    messages = (Message("user", value["question"]), Message("assistant", tool_calls=read))
    tools = read_tools([_named(function) for function in functions], "/function")
    return draft(Turns(messages), tools)


def _named(function: Any) -> Any:
    if not isinstance(function, dict) or not isinstance(function.get("api_call"), str):
        return function
    return {**function, "name": function["api_call"]}


SOURCE = Source(
    looks_like='{"question": "...", "function": {...}, "model_answer": "f(a=1)"}',
    recognises=lambda row: (
        isinstance(row, dict)
        and isinstance(row.get("question"), str)
        and isinstance(row.get("function"), dict | list)
        and isinstance(row.get("model_answer"), str | list)
    ),
    read=read,
)
