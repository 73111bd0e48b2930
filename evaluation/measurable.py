"""Which figures the replies to some items can count for, known before any reply."""

from collections.abc import Iterable, Sequence
from typing import Any

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from evaluation.figures import MEANINGS, figures
from evaluation.items import Item
from evaluation.scoring.calls import Verdict

_STRAY = Reply("", (ToolCall("stray", {"argument": 0}),))


def check_measurable(items: Sequence[Item], metric: str) -> None:
    """Raise ValueError for a figure that no reply to these items can count for."""
    # With a call that no item wants, figures about calls count for items without a call as well.
    replies = ((item, reply) for item in items for reply in (wanted_reply(item), _STRAY))
    there = counted(item.judge(reply) for item, reply in replies)
    if metric not in there:
        raise ValueError(
            f"no reply to these items counts for {metric} ({MEANINGS[metric]}); there are "
            f"{', '.join(there)}"
        )


def counted(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the figures for which some verdict counts, in the order of MEANINGS."""
    return list(figures(list(verdicts)))


def wanted_reply(item: Item) -> Reply:
    """Return a reply of the calls an item wants, with the first value named of each argument."""
    if isinstance(item.expected, str):
        return Reply(item.expected)
    return Reply("", tuple(map(_call, item.expected)))


def _call(record: dict[str, Any]) -> ToolCall:
    if record.keys() == {"name", "arguments"}:
        return ToolCall(**record)
    # BFCL's {function: {parameter: accepted values}}.
    ((name, accepted),) = record.items()
    arguments = {parameter: values[0] for parameter, values in accepted.items() if values}
    return ToolCall(name, arguments)
