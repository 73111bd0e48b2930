"""What is right about a drawn reply, and what kind of mistake it is otherwise."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chat.conversation import Message
from evaluation.failures import failure_type
from evaluation.items import Item
from evaluation.results import Judged
from evaluation.scoring.calls import Verdict
from rewards.replies import DrawnReply


@dataclass(frozen=True)
class JudgedReply:
    """A drawn reply to an item, and the verdict of the scorer on it."""

    item: Item
    drawn: DrawnReply
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether the reply is right as a whole and ended by itself."""
        return self.verdict.correct and self.drawn.answer.whole

    @cached_property
    def kind(self) -> str | None:
        """Which of `evaluation.failures.TYPES` it is; None where nothing is wrong with it."""
        return failure_type(Judged(self.item, self.drawn.answer, self.verdict).to_record())

    @property
    def message(self) -> Message:
        """The reply as an assistant's turn; a call that could not be read is its text."""
        reply = self.drawn.answer.reply
        if reply.problem is not None:
            return Message("assistant", self.drawn.answer.text)
        return Message("assistant", reply.content, reply.tool_calls)

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this verdict, as a file of verdicts has it a line.

        Its sha256 is that of the conversation that the prompt is of.
        """
        asked = self.item.conversation.to_record()
        return {
            "id": self.item.id,
            "sha256": self.item.conversation_id,
            "tools": asked["tools"],
            "messages": asked["messages"],
            "reply": self.message.to_record(),
            "right": self.right,
            "kind": self.kind,
            "tokens": len(self.drawn.tokens),
        }


def judge_reply(item: Item, drawn: DrawnReply) -> JudgedReply:
    """Judge a reply by the scorer that scripts/evaluate.py uses; right is the wanted reply."""
    return JudgedReply(item, drawn, item.judge(drawn.answer.reply))
