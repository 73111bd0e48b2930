"""LMFlow conversations: `system`, `tools` as texts, and turns of user, function, observation.

A file is one object, `{"type": "conversation", "instances": [...]}`; its instances are the rows.
"""

from typing import Any

from data.outcomes import Draft, Rejected
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.turns import END, ROLES, Style, read_turns

# Here `function` is the assistant's call, and `observation` what comes back.
_STYLE = Style({**ROLES, "function": "call"}, end=END)


def read(value: Any) -> Draft:
    """Read one instance, or the only one of an object that holds a list of them."""
    where = ""
    if isinstance(value.get("instances"), list):
        if len(value["instances"]) != 1 or not isinstance(value["instances"][0], dict):
            reason = f"a row must hold one instance, found {len(value['instances'])}"
            raise Rejected("wrong-layout", "/instances", reason)
        value, where = value["instances"][0], "/instances/0"
    turns = read_turns(value.get("messages"), where + "/messages", _STYLE)
    tools = read_tools(value.get("tools"), where + "/tools")
    return draft(turns, tools, value.get("system"), where + "/system")


def _recognises(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("messages", row.get("instances")), list)


def _detects(row: Any) -> bool:
    """Whether a row has what OpenAI's rows, which are much alike, do not have."""
    if not _recognises(row):
        return False
    if "instances" in row or row.get("type") == "conversation" or "conversation_id" in row:
        return True
    tools = row.get("tools")
    texts = isinstance(tools, list) and bool(tools) and isinstance(tools[0], str)
    roles = [turn.get("role") for turn in row["messages"] if isinstance(turn, dict)]
    return texts or isinstance(row.get("system"), str) or "observation" in roles


SOURCE = Source(
    looks_like='{"type": "conversation", "instances": [{"system", "tools", "messages"}, ...]}',
    recognises=_recognises,
    read=read,
    detects=_detects,
    told_by="instances, a conversation_id, tools as texts, a system beside, or observations",
)
