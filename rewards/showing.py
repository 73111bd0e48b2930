"""A few episodes as text, for people: what was asked, what was wanted, what was said, its worth."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chat.conversation import Conversation
from chat.transcript import conversation_lines
from rewards.tasks import Task

# How many episodes TensorBoard shows of a draw: the best and the worst of so many prompts.
SHOWN = 3


def shown(tasks: Sequence[Task], records: Sequence[Mapping[str, Any]], size: int) -> dict[str, str]:
    """Return the best and the worst episode of the first prompts, as Markdown by name."""
    texts = {}
    for place, task in enumerate(tasks[:SHOWN]):
        group = records[place * size : (place + 1) * size]
        for name, choose in {"best": max, "worst": min}.items():
            record = choose(group, key=lambda record: record["reward"])
            texts[f"{place + 1}/{name}"] = _markdown(task, record)
    return texts


def _markdown(task: Task, record: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{name} {value:.2f}" for name, value in record["parts"].items())
    said = Conversation.from_record({"messages": record["said"]})
    lines = [
        *conversation_lines(task.item.conversation),
        f"wanted: {json.dumps(task.item.expected, ensure_ascii=False)}",
        "said:",
        *conversation_lines(said),
    ]
    cut = "" if record["ended"] == "reply" else f", cut off ({record['ended']})"
    head = f"**reward {record['reward']:.3f}** ({parts}){cut}; {task.item.category}"
    indented = "\n".join(f"    {line}" for line in "\n".join(lines).splitlines())
    # A reply may hold half a surrogate pair; TensorBoard's events are UTF-8.
    return f"{head}\n\n{indented}".encode("utf-8", "backslashreplace").decode()
