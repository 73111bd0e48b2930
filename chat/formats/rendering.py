"""Chat formats as rows of data, and rendering with them: text, token ids and the loss mask.

The strings of a format may name special tokens, and only those become special ids. The text of a
conversation (contents, tools, arguments) is always encoded as ordinary text.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple

from chat.conversation import Conversation, Message
from chat.formats.tool_syntax import SYNTAXES, Reply, ToolSyntax
from chat.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class Turn:
    """What surrounds the text of one role; the assistant's `closing` is trained, `gap` is not."""

    opening: str
    closing: str
    gap: str = ""


@dataclass(frozen=True)
class ChatFormat:
    """How conversations are written for one kind of model.

    name: What users call the format.
    special_table: The table of chat/tokenizers/special_tokens.py that completes a tiktoken file.
    special_tokens: The special tokens that this row's own strings hold.
    begin: What stands before the first turn.
    turns: The surroundings of each role's text.
    stop_tokens: The special tokens at which an assistant's turn ends; they are trained.
    tool_syntax: A name in chat/formats/tool_syntax.py: how tools and calls are written.
    tools_in: The role whose first message announces the tools; a system message is made for it.
    default_system: The system text of a conversation that has none; empty for no system turn.
    strip: Whether white space around a message is dropped.
    end_tokens: Special tokens that end a reply too, where the tokenizer has them; none is trained.
    """

    name: str
    special_table: str
    special_tokens: tuple[str, ...]
    begin: str
    turns: Mapping[str, Turn]
    stop_tokens: tuple[str, ...]
    tool_syntax: str
    tools_in: Literal["system", "user"] = "system"
    default_system: str = ""
    strip: bool = True
    end_tokens: tuple[str, ...] = ()

    @property
    def syntax(self) -> ToolSyntax:
        """The functions that write and read this format's tools and calls."""
        return SYNTAXES[self.tool_syntax]

    def opening(self, role: str) -> tuple["Segment", ...]:
        """Return the segments before the text of a role."""
        return _own_text(self, self.turns[role].opening, False, role)


_LLAMA3 = ChatFormat(
    name="llama3",
    special_table="llama3",
    special_tokens=(
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
    begin="<|begin_of_text|>",
    turns={
        role: Turn(f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>")
        for role in ("system", "user", "assistant", "tool")
    },
    stop_tokens=("<|eot_id|>",),
    tool_syntax="namespace",
    # Meta's base models end a document with it, so a reply of theirs may end with it too.
    end_tokens=("<|end_of_text|>",),
)

FORMATS: dict[str, ChatFormat] = {
    "llama3": _LLAMA3,
    "llama3_short": replace(_LLAMA3, name="llama3_short", tool_syntax="namespace_short"),
}


def find_format(name: str) -> ChatFormat:
    """Return the chat format of that name; ValueError suggests the nearest known one."""
    if name in FORMATS:
        return FORMATS[name]
    close = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"wanted one of {', '.join(FORMATS)}"
    raise ValueError(f"unknown chat format {name!r}; {hint}")


class Segment(NamedTuple):
    """A stretch of one rendered text: a special token or ordinary text, trained or not."""

    text: str
    special: bool
    trained: bool
    role: str


@dataclass(frozen=True)
class Tokens:
    """Token ids, and for each whether the model learns to predict it."""

    ids: list[int]
    trained: list[bool]


def render(conversation: Conversation, format: ChatFormat) -> list[Segment]:
    """Render a conversation; every assistant turn is trained, from its text to its stop token."""
    return _merged(_pieces(conversation, format))


def render_prompt(conversation: Conversation, format: ChatFormat) -> list[Segment]:
    """Render a conversation and the opening of the assistant turn that answers it."""
    return _merged([*_pieces(conversation, format), format.opening("assistant")])


def tokenize(segments: Iterable[Segment], tokenizer: Tokenizer) -> Tokens:
    """Turn segments into ids and mask; ValueError when the tokenizer lacks a special token.

    Neighbouring untrained text is one segment, so the ids are those of the whole text tokenised at
    once. The one border inside ordinary text is where an assistant's text begins; in `llama3` it
    follows two newlines, where Llama 3's pattern cuts whatever comes next.
    """
    ids: list[int] = []
    trained: list[bool] = []
    for text, special, learned, _ in segments:
        found = [special_id(text, tokenizer)] if special else tokenizer.encode(text)
        ids += found
        trained += [learned] * len(found)
    return Tokens(ids, trained)


def special_id(token: str, tokenizer: Tokenizer) -> int:
    """Return the id of a special token; ValueError when the tokenizer does not have it."""
    if token not in tokenizer.special_tokens:
        raise ValueError(
            f"{tokenizer.path} has no special token {token}, which the chat format needs; "
            "use the tokenizer of a model that was made for this format"
        )
    return tokenizer.special_tokens[token]


def stop_ids(format: ChatFormat, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids at which generation ends, the trained ones first."""
    known = tokenizer.special_tokens
    ends = (known[token] for token in format.end_tokens if token in known)
    return (*(special_id(token, tokenizer) for token in format.stop_tokens), *ends)


def reply_text(tokens: Iterable[int], tokenizer: Tokenizer) -> str:
    """Return the text of generated tokens; special tokens have none."""
    special = set(tokenizer.special_tokens.values())
    return tokenizer.decode([token for token in tokens if token not in special])


def parse_reply(text: str, format: ChatFormat) -> Reply:
    """Read an assistant's text without its stop token: content, calls, or what is wrong."""
    return format.syntax.decode(text)


def unreadable_turns(conversation: Conversation, format: ChatFormat) -> list[str]:
    """Return the place and reason of each assistant turn that cannot be written and read back."""
    reasons = (
        (i, _unreadable(message, format))
        for i, message in enumerate(conversation.messages)
        if message.role == "assistant"
    )
    return [f"messages[{i}]: {reason}" for i, reason in reasons if reason]


def _unreadable(message: Message, format: ChatFormat) -> str | None:
    try:
        reply = parse_reply(_text(message, format), format)
    except ValueError as error:
        return str(error)
    if reply.problem:
        return reply.problem
    made, read = (
        [(call.name, dict(call.arguments)) for call in calls]
        for calls in (message.tool_calls, reply.tool_calls)
    )
    return None if made == read else "its text would be read as other calls than it makes"


def _pieces(conversation: Conversation, format: ChatFormat) -> Iterator[tuple[Segment, ...]]:
    """Yield the texts of a conversation in order, each cut at its special tokens."""
    yield _own_text(format, format.begin, False, "")
    for message in _with_tools(conversation, _with_system(conversation, format), format):
        role, turn = message.role, format.turns[message.role]
        trained = role == "assistant"
        yield _own_text(format, turn.opening, False, role)
        text = _text(message, format)
        yield (Segment(text, False, trained, role),) if text else ()
        yield _own_text(format, turn.closing, trained, role)
        yield _own_text(format, turn.gap, False, role)


def _with_system(conversation: Conversation, format: ChatFormat) -> tuple[Message, ...]:
    """Put a system message first where the format has a default or needs one for the tools."""
    messages = conversation.messages
    needed = format.default_system or (conversation.tools and format.tools_in == "system")
    if not needed or (messages and messages[0].role == "system"):
        return messages
    return (Message("system", format.default_system), *messages)


def _with_tools(
    conversation: Conversation, messages: tuple[Message, ...], format: ChatFormat
) -> tuple[Message, ...]:
    """Announce the tools at the end of a system text, or before the text of the first user."""
    place = next((i for i, message in enumerate(messages) if message.role == format.tools_in), None)
    if not conversation.tools:
        return messages
    if place is None:
        raise ValueError(
            f"chat format {format.name} announces tools in the first {format.tools_in} message, "
            "and the conversation has none"
        )
    tools, content = format.syntax.describe(conversation.tools), messages[place].content
    texts = [content.strip(), tools] if format.tools_in == "system" else [tools, content]
    announced = replace(messages[place], content="\n\n".join(text for text in texts if text))
    return (*messages[:place], announced, *messages[place + 1 :])


def _text(message: Message, format: ChatFormat) -> str:
    content = message.content.strip() if format.strip else message.content
    return format.syntax.encode(content, message.tool_calls)


def _own_text(format: ChatFormat, text: str, trained: bool, role: str) -> tuple[Segment, ...]:
    """Cut a string of the format itself into its special tokens and the text between them."""
    return _own_segments(text, format.special_tokens, trained, role)


@cache
def _own_segments(
    text: str, special_tokens: tuple[str, ...], trained: bool, role: str
) -> tuple[Segment, ...]:
    """Cut a string at special tokens; cached, because a format has a dozen strings in all."""
    names = "|".join(map(re.escape, special_tokens))
    parts = re.split(f"({names})", text) if names else [text]
    return tuple(Segment(part, part in special_tokens, trained, role) for part in parts if part)


def _merged(pieces: Iterable[tuple[Segment, ...]]) -> list[Segment]:
    """Join pieces; adjacent ordinary texts become one segment when both or neither are trained."""
    merged: list[Segment] = []
    for piece in pieces:
        if merged and piece:
            last, first = merged[-1], piece[0]
            if not (last.special or first.special) and last.trained == first.trained:
                merged[-1] = Segment(last.text + first.text, False, last.trained, last.role)
                piece = piece[1:]
        merged += piece
    return merged
