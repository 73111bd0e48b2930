"""verl's rows: a `prompt` of turns, and what a reply is scored against in `reward_model`.

The ground truth is learnt where it is the reply itself: calls, or text in `<response>`. Where it is
only what a reply is compared with, such as the number of a sum, there is no reply to learn from.
"""

from typing import Any

from data.outcomes import Draft, Rejected, excerpt_of
from data.reading.contents import json_or_text
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.prompt_completion import said

_WHERE = "/reward_model/ground_truth"


def read(value: Any) -> Draft:
    """Read one row; its tools stand beside the prompt, under `extra_info`, or in a system text."""
    turns = read_placed((*said(value, "prompt", "user"), _reply(value)))
    extra = value.get("extra_info")
    holder, where = (value, "") if value.get("tools") else (extra, "/extra_info")
    found = holder.get("tools") if isinstance(holder, dict) else None
    return draft(turns, read_tools(found, where + "/tools"), value.get("system"), "/system")


def _reply(value: Any) -> PlacedTurn:
    truth = value["reward_model"].get("ground_truth")
    if isinstance(truth, str):
        text = truth.strip()
        if "<tool_call>" in text or "<response>" in text:
            text = text.replace("<response>", "").replace("</response>", "").strip()
            return _WHERE, {"role": "assistant", "content": text}
        truth = json_or_text(text)
    if _are_calls(truth):
        calls = truth if isinstance(truth, list) else [truth]
        return _WHERE, {"role": "assistant", "content": "", "tool_calls": calls}
    reason = "the ground truth holds neither calls nor a reply, only what one is compared with"
    raise Rejected("no-assistant", _WHERE, reason, excerpt_of(value["reward_model"]))


def _are_calls(value: Any) -> bool:
    calls = value if isinstance(value, list) else [value]
    return bool(calls) and all(
        isinstance(call, dict) and call.keys() & {"name", "function"} for call in calls
    )


SOURCE = Source(
    looks_like='{"prompt": [{"role": "user", ...}], "reward_model": {"ground_truth": ...}}',
    recognises=lambda row: (
        isinstance(row, dict)
        and isinstance(row.get("prompt"), str | list)
        and isinstance(row.get("reward_model"), dict)
    ),
    read=read,
    told_by="the key reward_model",
)
