"""One short conversation as each chat format writes it, for a page of reference."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from chat.conversation import Conversation
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.rendering import check_writable, render, training_sequences

# What stands around trained text; no chat format writes them.
TRAINED = ("⟦", "⟧")
CONVERSATION = Conversation.from_record(
    {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "The weather in a city now.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                },
            }
        ],
        "messages": [
            {"role": "user", "content": "How warm is it in Oslo?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "c1abcdefg",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": {"city": "Oslo"}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1abcdefg", "content": '{"degrees": 7}'},
            {"role": "assistant", "content": "It is 7 degrees."},
        ],
    }
)


def written_example(format: ChatFormat) -> list[str]:
    """Return the training sequences of as much of the conversation as a format can write."""
    for conversation in _shorter_and_shorter(CONVERSATION):
        try:
            check_writable(conversation, format)
        except CannotWrite:
            continue
        return [marked(part, format) for part in training_sequences(conversation, format)]
    raise ValueError(f"{format.name} writes nothing of the example")


def marked(conversation: Conversation, format: ChatFormat) -> str:
    """Return a conversation as a format writes it, with marks around what is trained."""
    opening, closing = TRAINED
    runs = groupby(render(conversation, format), key=lambda segment: segment.trained)
    texts = [(trained, "".join(part.text for part in run)) for trained, run in runs]
    return "".join(opening + text + closing if trained else text for trained, text in texts)


def _shorter_and_shorter(conversation: Conversation) -> Iterator[Conversation]:
    """Yield the conversation, then its question and call alone, then its text alone."""
    question, call, _, answer = conversation.messages
    yield conversation
    yield replace(conversation, messages=(question, call))
    yield replace(conversation, messages=(question, answer), tools=())
