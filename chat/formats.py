"""A chat format is a row of data; its text, its tokens and their mask are born together from it.

The strings of a row may name special tokens; those alone become special ids. What a conversation
brings (contents, tools, arguments) is ordinary text whatever it holds.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chat.conversation import Conversation, Message
from chat.tokenizer import Tokenizer
from chat.tool_syntax import SYNTAXES, Reply, ToolSyntax


@dataclass(frozen=True)
class Turn:
    """What stands around the text of one role; an assistant learns `closing`, not `gap`."""

    opening: str
    closing: str
    gap: str = ""


@dataclass(frozen=True)
class ChatFormat:
    """How conversations are written for one kind of model.

    name: What users call the format.
    special_table: The table of chat/tokenizer.py that gives a tiktoken file its special tokens.
    special_tokens: The special tokens that this row's own strings hold.
    begin: What stands before the first turn.
    turns: The surroundings of each role's text.
    stop_tokens: The special tokens at which an assistant's turn ends.
    tool_syntax: A name in chat/tool_syntax.py: how tools are announced and calls are written.
    default_system: The system text of a conversation that has none; empty for no system turn.
    strip: Whether white space around a message is dropped.
    """

    name: str
    special_table: str
    special_tokens: tuple[str, ...]
    begin: str
    turns: Mapping[str, Turn]
    stop_tokens: tuple[str, ...]
    tool_syntax: str
    default_system: str = ""
    strip: bool = True

    @property
    def syntax(self) -> ToolSyntax:
        """The trio that writes and reads this format's tools and calls."""
        return SYNTAXES[self.tool_syntax]


def _llama3_turn(role: str) -> Turn:
    return Turn(f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>")


FORMATS: dict[str, ChatFormat] = {
    "llama3": ChatFormat(
        name="llama3",
        special_table="llama3",
        special_tokens=(
            "<|begin_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ),
        begin="<|begin_of_text|>",
        turns={role: _llama3_turn(role) for role in ("system", "user", "assistant", "tool")},
        stop_tokens=("<|eot_id|>",),
        tool_syntax="namespace",
    ),
}


def find_format(name: str) -> ChatFormat:
    """Return the chat format of that name; ValueError suggests the nearest known one."""
    if name in FORMATS:
        return FORMATS[name]
    close = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"wanted one of {', '.join(FORMATS)}"
    raise ValueError(f"unknown chat format {name!r}; {hint}")


@dataclass(frozen=True)
class Segment:
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
    """Write a conversation; every assistant turn is trained, from its text to its stop token."""
    return list(_merged(_segments(conversation, format)))


def render_prompt(conversation: Conversation, format: ChatFormat) -> list[Segment]:
    """Write a conversation and the opening of the assistant turn that answers it."""
    opening = _own_text(format, format.turns["assistant"].opening, False, "assistant")
    return list(_merged([*_segments(conversation, format), *opening]))


def tokenize(segments: Iterable[Segment], tokenizer: Tokenizer) -> Tokens:
    """Turn segments into ids and mask; ValueError when the tokenizer lacks a special token.

    Neighbouring untrained text is one segment, so the ids are those of the whole text tokenised at
    once. The one border inside ordinary text is where an assistant's text begins; in `llama3` it
    follows two newlines, where Llama 3's pattern cuts whatever comes next.
    """
    ids: list[int] = []
    trained: list[bool] = []
    for segment in segments:
        found = (
            [special_id(segment.text, tokenizer)]
            if segment.special
            else tokenizer.encode(segment.text)
        )
        ids += found
        trained += [segment.trained] * len(found)
    return Tokens(ids, trained)


def special_id(token: str, tokenizer: Tokenizer) -> int:
    """Return the id of a special token; ValueError when the tokenizer does not have it."""
    if token not in tokenizer.special_tokens:
        raise ValueError(
            f"{tokenizer.path} has no special token {token}, which the chat format needs; "
            "use the tokenizer of a model that was made for this format"
        )
    return tokenizer.special_tokens[token]


def stop_ids(format: ChatFormat, tokenizer: Tokenizer) -> frozenset[int]:
    """Return the ids at which generation ends."""
    return frozenset(special_id(token, tokenizer) for token in format.stop_tokens)


def parse_reply(text: str, format: ChatFormat) -> Reply:
    """Read an assistant's text without its stop token: content, calls, or what is wrong."""
    return format.syntax.decode(text)


def unreadable_turns(conversation: Conversation, format: ChatFormat) -> list[str]:
    """Name each assistant turn that would not be read back as it is, with the reason."""
    found = []
    for i, message in enumerate(conversation.messages):
        if message.role != "assistant":
            continue
        reply = parse_reply(_text(message, format), format)
        wanted = [(call.name, dict(call.arguments)) for call in message.tool_calls]
        if reply.problem:
            found.append(f"messages[{i}]: {reply.problem}")
        elif [(call.name, dict(call.arguments)) for call in reply.tool_calls] != wanted:
            found.append(f"messages[{i}]: its text would be read as other calls than it makes")
    return found


def _segments(conversation: Conversation, format: ChatFormat) -> Iterator[Segment]:
    yield from _own_text(format, format.begin, False, "")
    for message in _with_system(conversation, format):
        role, turn = message.role, format.turns[message.role]
        trained = role == "assistant"
        yield from _own_text(format, turn.opening, False, role)
        yield Segment(_text(message, format), False, trained, role)
        yield from _own_text(format, turn.closing, trained, role)
        yield from _own_text(format, turn.gap, False, role)


def _with_system(conversation: Conversation, format: ChatFormat) -> Sequence[Message]:
    """Announce the tools in the first system message, which is made where there is none."""
    messages = conversation.messages
    system = Message("system", format.default_system)
    if messages and messages[0].role == "system":
        system, messages = messages[0], messages[1:]
    if conversation.tools:
        tools = format.syntax.describe(conversation.tools)
        content = system.content.strip()
        system = replace(system, content=f"{content}\n\n{tools}" if content else tools)
    has_system = system.content or len(messages) < len(conversation.messages)
    return (system, *messages) if has_system else messages


def _text(message: Message, format: ChatFormat) -> str:
    content = message.content.strip() if format.strip else message.content
    return format.syntax.encode(content, message.tool_calls)


def _own_text(format: ChatFormat, text: str, trained: bool, role: str) -> Iterator[Segment]:
    """Cut a string of the format itself into its special tokens and the text between them."""
    names = "|".join(map(re.escape, format.special_tokens))
    for part in re.split(f"({names})", text) if names else [text]:
        yield Segment(part, part in format.special_tokens, trained, role)


def _merged(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Drop empty segments and join neighbouring ordinary ones that are trained alike."""
    last: Segment | None = None
    for segment in segments:
        if not segment.text:
            continue
        if last and not (last.special or segment.special) and last.trained == segment.trained:
            last = replace(last, text=last.text + segment.text)
            continue
        if last:
            yield last
        last = segment
    if last:
        yield last
