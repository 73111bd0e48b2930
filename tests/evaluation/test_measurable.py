"""The figures that some items allow are known before a model replies."""

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.benchmarks.bfcl_tasks import Task
from evaluation.figures import MEANINGS
from evaluation.items import Item, task_item, turn_items
from evaluation.measurable import check_measurable

NEEDS_CALLS = {"name", "argument_precision", "argument_recall", "exact_match", "json_equal"}
ADD = {"type": "dict", "properties": {"a": {"type": "integer"}}, "required": []}


def turn(*calls: ToolCall) -> Item:
    asked = (Message("user", "?"), Message("assistant", "" if calls else "Hello", calls))
    (item,) = turn_items(Conversation(asked, (Tool("add"),)))
    return item


def task(category: str, *answers: tuple[str, dict[str, list[object]]]) -> Item:
    function = {"name": "add", "description": "", "parameters": ADD}
    return task_item(Task("1", category, (Message("user", "?"),), (function,), answers))


CALL, ANSWER = ToolCall("add", {"a": 1}), ("add", {"a": [1, ""]})


@pytest.mark.parametrize(
    ("item", "without"),
    [
        (turn(), NEEDS_CALLS | {"parallel_match"}),
        (turn(CALL), {"irrelevance", "parallel_match"}),
        (turn(CALL, CALL), {"irrelevance"}),
        (task("irrelevance"), NEEDS_CALLS | {"parallel_match"}),
        (task("live_relevance"), NEEDS_CALLS | {"parallel_match", "irrelevance"}),
        (task("simple_python", ANSWER), {"irrelevance", "parallel_match"}),
        (task("parallel", ANSWER, ANSWER), {"irrelevance"}),
    ],
)
def test_figure_is_rejected_where_no_reply_can_count(item: Item, without: set[str]) -> None:
    refused = set()
    for metric in MEANINGS:
        try:
            check_measurable([item], metric)
        except ValueError as error:
            assert str(error).startswith(f"no reply to these items counts for {metric} (")
            refused.add(metric)
    assert refused == without | {"balanced"}
    both = [turn(), turn(CALL)]
    check_measurable(both, "balanced")
