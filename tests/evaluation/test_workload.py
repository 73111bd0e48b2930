"""The time left of an evaluation follows the length of prompts and replies."""

from chat.conversation import Conversation, Message
from chat.formats.call_syntax import Reply
from evaluation.items import Item
from evaluation.scoring.calls import Verdict
from evaluation.workload import Workload
from inference.chat_model import Answer, SkippedItem

LENGTHS = (8000, 1000, 1000)
ITEMS = [
    Item(
        str(length),
        "",
        "no_call",
        Conversation((Message("user", "x" * length),)),
        "",
        lambda reply: Verdict(True, False, False),
    )
    for length in LENGTHS
]


def said(length: int) -> Answer:
    return Answer("x" * length, Reply(""), True)


def test_long_prompts_are_more_of_the_work() -> None:
    assert 0.75 < Workload(ITEMS).take(0, said(0)) < 0.85


def test_replies_to_come_are_as_long_as_those_so_far() -> None:
    assert 0.33 < Workload(ITEMS).take(0, said(10**6)) < 0.34


def test_what_is_skipped_is_no_work() -> None:
    workload = Workload(ITEMS)
    assert workload.take(0, SkippedItem("too long")) == 0
    assert 0.49 < workload.take(1, said(0)) < 0.51
    assert workload.take(2, said(0)) == 1
