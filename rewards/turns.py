"""The turns of a conversation that are replied to, and what a reply to one is measured by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chat.conversation import Conversation, Message, Tool, ToolCall, is_learnt
from chat.formats.call_syntax import Reply
from evaluation.failures import failure_type
from evaluation.scoring.calls import score


@dataclass(frozen=True)
class Turn:
    """A learnt turn of the assistant that answers a user or a tool."""

    conversation: Conversation
    place: int

    @property
    def reply(self) -> Message:
        """What the assistant said or called."""
        return self.conversation.messages[self.place]

    @property
    def before(self) -> Message:
        """The turn that is answered."""
        return self.conversation.messages[self.place - 1]

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools on offer."""
        return self.conversation.tools

    @property
    def prompt(self) -> Conversation:
        """All that stands before the reply, named after the conversation and the place."""
        conversation = self.conversation
        messages = conversation.messages[: self.place]
        return replace(conversation, messages=messages, id=f"{conversation.id}/{self.place}")

    def earlier_calls(self) -> list[ToolCall]:
        """Return the calls before this turn."""
        messages = self.conversation.messages[: self.place]
        return [call for message in messages for call in message.tool_calls]

    def later_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls of the next turn that makes some; none where no turn does."""
        later = self.conversation.messages[self.place + 1 :]
        return next((message.tool_calls for message in later if message.tool_calls), ())


def turns_of(conversation: Conversation) -> Iterator[Turn]:
    """Yield the learnt turns that answer a user or a tool's result."""
    for place, (before, message) in enumerate(pairwise(conversation.messages), start=1):
        if is_learnt(message) and before.role in ("user", "tool"):
            yield Turn(conversation, place)


def failure_of(wanted: Message, found: Message, tools: Sequence[Tool]) -> str | None:
    """Return which of evaluation.failures.TYPES a reply is; None where it is right.

    `wanted` is right by definition: its calls, or where it has none any text.
    """
    verdict = score(wanted.tool_calls, Reply(found.content, found.tool_calls), tools)
    said = {"verdict": verdict.correct, "text": found.content, "cut_off": False}
    return failure_type({**vars(verdict), **said, **_counts(verdict)})


def _counts(verdict: object) -> dict[str, int]:
    names = ("arguments_wanted", "arguments_found")
    return {name: getattr(verdict, name) for name in names}
