"""ToolBench answers: `answer_generation` with the functions and the messages of every step."""

from typing import Any

from data.outcomes import Draft, Rejected
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.turns import read_turns


def read(value: Any) -> Draft:
    """Read one answer: the messages of its last step, which begin with those of all before."""
    answer = value["answer_generation"]
    steps = answer.get("train_messages")
    if not isinstance(steps, list) or not steps:
        raise Rejected("no-assistant", "/answer_generation/train_messages", "no step was taken")
    where = f"/answer_generation/train_messages/{len(steps) - 1}"
    tools = read_tools(answer.get("function"), "/answer_generation/function")
    return draft(read_turns(steps[-1], where), tools)


SOURCE = Source(
    looks_like='{"answer_generation": {"function": [...], "train_messages": [[...]]}}',
    recognises=lambda row: isinstance(row, dict) and isinstance(row.get("answer_generation"), dict),
    read=read,
)
