"""Chat templates as Transformers renders them, and the shapes that each format writes."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from chat_shape_parts import with_nine_letter_ids
from chat_shapes import SHAPES
from jinja2 import Template
from transformers.utils.chat_template_utils import _compile_jinja_template

from chat.conversation import Conversation, Message
from chat.formats.format import ChatFormat
from chat.formats.rendering import Segment, render, render_prompt, training_sequences
from chat.formats.template import chat_template
from chat.tokenizers.tokenizer import Tokenizer


@cache
def compiled(text: str) -> Template:
    """Return a template in the sandbox of `apply_chat_template`."""
    return _compile_jinja_template(text)


def rendered(format: ChatFormat, conversation: Conversation, **options: Any) -> str:
    """Return what a server renders; jinja2's TemplateError where the template refuses."""
    return compiled(chat_template(format)).render(
        messages=[message.to_record() for message in conversation.messages],
        tools=[tool.to_record() for tool in conversation.tools] or None,
        **options,
    )


def shapes_of(format: ChatFormat) -> dict[str, Conversation]:
    """Return the shapes by name, with others for formats that write few of them."""
    if format.name in ("mistral_v3", "mistral_tekken"):
        return {name: with_nine_letter_ids(shape) for name, shape in SHAPES.items()}
    if format.name == "mistral_v1":
        return SHAPES | {f"{name}, texts": _texts(shape) for name, shape in SHAPES.items()}
    if format.name == "phi3_xlam":
        return SHAPES | {
            f"{name}, first question": _question(shape) for name, shape in SHAPES.items()
        }
    return SHAPES


def written_shapes(format: ChatFormat) -> dict[str, Conversation]:
    """Return the shapes that a format writes."""
    return {name: shape for name, shape in shapes_of(format).items() if is_written(shape, format)}


def is_written(conversation: Conversation, format: ChatFormat) -> bool:
    """Return whether a format writes a conversation and each prompt in it."""
    try:
        for part, asks in cases(conversation, format):
            written(part, format, asks)
    except ValueError:
        return False
    return True


def written(conversation: Conversation, format: ChatFormat, asks: bool) -> list[Segment]:
    """Return what a format writes, with the opening of a reply where one is asked for."""
    return (render_prompt if asks else render)(conversation, format)


def texts(conversation: Conversation, format: ChatFormat) -> Iterator[tuple[str, list[Segment]]]:
    """Yield what the template and the format write for each training sequence and prompt."""
    for part, asks in cases(conversation, format):
        yield rendered(format, part, add_generation_prompt=asks), written(part, format, asks)


def cases(conversation: Conversation, format: ChatFormat) -> Iterator[tuple[Conversation, bool]]:
    """Yield each training sequence, and what stands before each reply, which is asked for."""
    for sequence in training_sequences(conversation, format):
        yield sequence, False
    for place, message in enumerate(conversation.messages):
        if message.role == "assistant":
            yield replace(conversation, messages=conversation.messages[:place]), True


def text_of(segments: list[Segment]) -> str:
    """Return the text of segments."""
    return "".join(segment.text for segment in segments)


def ids_of(text: str, format: ChatFormat, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a rendered text: special tokens where it names them, else ordinary text."""
    names = "|".join(map(re.escape, format.special_tokens))
    ids: list[int] = []
    for part in filter(None, re.split(f"({names})", text)):
        special = tokenizer.special_tokens.get(part) if part in format.special_tokens else None
        ids += tokenizer.encode(part) if special is None else [special]
    return ids


def names_special_tokens(segments: list[Segment], format: ChatFormat) -> bool:
    """Return whether ordinary text holds the name of a special token of the format."""
    ordinary = [segment.text for segment in segments if not segment.special]
    return any(name in text for text in ordinary for name in format.special_tokens)


def _texts(conversation: Conversation) -> Conversation:
    """Return a conversation without tools, of its system text, questions and replies in text."""
    kept: list[Message] = []
    for message in conversation.messages:
        says = message.role == "assistant" and message.content and not message.tool_calls
        if message.role == "user" and kept and kept[-1].role == "user":
            kept.pop()
        if message.role in ("system", "user") or (says and kept and kept[-1].role == "user"):
            kept.append(message)
    return Conversation(tuple(kept))


def _question(conversation: Conversation) -> Conversation:
    """Return the first question of a conversation and what is called or said then."""
    messages = conversation.messages
    place = next(i for i, message in enumerate(messages) if message.role == "user")
    reply = next(message for message in messages[place:] if message.role == "assistant")
    if reply.tool_calls:
        reply = replace(reply, content="")
    return replace(conversation, messages=(messages[place], reply))
