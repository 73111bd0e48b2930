"""Drop or keep what a model thought: in whatever layout it stood, it stands in the text by now."""

from dataclasses import replace
from typing import Literal, get_args

from chat.conversation import Conversation
from data.outcomes import Change, Draft, Rejected, pointer
from data.reading.thoughts import format_thoughts, split_thoughts

Thinking = Literal["drop", "keep"]
THINKING: tuple[str, ...] = get_args(Thinking)


def settled_thoughts(conversation: Conversation, thinking: Thinking) -> Draft:
    """Take the thoughts out of assistants' texts, or write all of them as `<think>` blocks.

    A text that is an unfinished thought and nothing else is rejected.
    """
    messages = list(conversation.messages)
    changes: list[Change] = []
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        found = split_thoughts(message.content)
        if not found.thoughts:
            continue
        where = pointer("messages", i, "content")
        if not found.ends and not message.tool_calls:
            reason = "a thought begins and does not end, so nothing is answered"
            raise Rejected("unfinished-thought", where, reason, message.content)
        content = found.answer
        if thinking == "keep":
            content = format_thoughts(found.thoughts) + content
        if content != message.content:
            changes.append(Change("reasoning", where, message.content, content))
            messages[i] = replace(message, content=content)
    if not changes:
        return Draft(conversation)
    return Draft(replace(conversation, messages=tuple(messages)), tuple(changes))
