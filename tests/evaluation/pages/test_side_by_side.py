"""A page marks what is wrong in a reply, where it is wrong."""

import re

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import Reply
from evaluation.items import Item, call_record
from evaluation.pages.side_by_side import item_html
from evaluation.results import Judged
from evaluation.scoring.calls import score
from inference.chat_model import Answer

TOOL = Tool("send", "", {"type": "object", "properties": {"to": {}, "text": {}}})


def call(to: str, text: str) -> ToolCall:
    return ToolCall("send", {"to": to, "text": text})


def marked(wanted: list[ToolCall], given: list[ToolCall]) -> list[str]:
    """Return what of the reply the page marks as wrong."""
    asked = Conversation((Message("user", "Tell them"),), (TOOL,))
    reply = Reply("", tuple(given))
    item = Item("1", "1", "parallel", asked, list(map(call_record, wanted)), lambda _: verdict)
    verdict = score(wanted, reply, [TOOL])
    page = item_html(item, {"Came": Judged(item, Answer("", reply, True), verdict)})
    return re.findall(r'  <span class="bad">(.*?)</span>', page)


ANN, BOB = call("Ann", "yes"), call("Bob", "no")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ([ANN, BOB], []),
        ([BOB, call("Ann", "maybe")], ["text: &quot;maybe&quot;"]),
        ([call("Bo", "no"), ANN], ["to: &quot;Bo&quot;"]),
        ([call("Bo", "no"), call("An", "yes")], ["to: &quot;Bo&quot;", "to: &quot;An&quot;"]),
        ([ANN, BOB, ANN], ["to: &quot;Ann&quot;", "text: &quot;yes&quot;"]),
        ([ToolCall("send", {"to": "Ann", "text": "yes", "cc": 1}), BOB], ["cc: 1"]),
    ],
)
def test_wrong_arguments_are_marked_in_their_own_call(
    given: list[ToolCall], wrong: list[str]
) -> None:
    assert marked([ANN, BOB], given) == wrong
