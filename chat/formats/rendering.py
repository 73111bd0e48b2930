"""Rendering with a chat format: text, token ids and the loss mask; replies back to calls."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from chat.conversation import ROLES, Conversation, Message, is_learnt
from chat.formats.call_syntax import Reply, read_reply, write_reply
from chat.formats.format import CannotWrite, ChatFormat, Piece
from chat.formats.known import FORMATS
from chat.tokenizers.tokenizer import Tokenizer

# The roles of tokens as stored numbers: their places here. The first is text before any turn.
TOKEN_ROLES = ("", *ROLES)
_ROLE_NUMBERS = {role: number for number, role in enumerate(TOKEN_ROLES)}
_ROLE_BYTES = {role: bytes([number]) for role, number in _ROLE_NUMBERS.items()}


class Segment(NamedTuple):
    """A stretch of one rendered text: a special token or ordinary text, trained or not."""

    text: str
    special: bool
    trained: bool
    role: str


@dataclass(frozen=True)
class Tokens:
    """Token ids; for each its role by number, and whether the model learns to predict it."""

    ids: list[int]
    trained: list[bool]
    roles: bytearray


def training_sequences(conversation: Conversation, format: ChatFormat) -> Iterator[Conversation]:
    """Yield the conversations to train on, each message marked by whether it is learnt.

    One where the format writes earlier turns the same whatever follows, else one for each learnt
    reply, which ends with it.
    """
    if format.earlier_turns_stay(conversation):
        yield conversation
        return
    messages = conversation.messages
    for place, message in enumerate(messages):
        if is_learnt(message):
            known = (replace(earlier, trained=False) for earlier in messages[:place])
            yield replace(conversation, messages=(*known, message))


def check_writable(conversation: Conversation, format: ChatFormat) -> None:
    """Raise CannotWrite where a conversation cannot be written, or would not be read back.

    Of several training sequences the last decides: it begins with the turns of those before it.
    """
    check_readable(conversation, format)
    check_last_sequence(conversation, format)
    if format.earlier_turns_stay(conversation):
        render(conversation, format)


def check_last_sequence(conversation: Conversation, format: ChatFormat) -> None:
    """Raise CannotWrite where the last of several training sequences has no way to be written.

    What stands in it decides it for all: each begins with the turns of those before it.
    """
    if format.earlier_turns_stay(conversation):
        return
    messages = conversation.messages
    learnt = [place for place, message in enumerate(messages) if is_learnt(message)]
    if learnt:
        render(replace(conversation, messages=messages[: learnt[-1] + 1]), format)


def render(conversation: Conversation, format: ChatFormat) -> list[Segment]:
    """Render a conversation; learnt turns are trained from their text to their stop token.

    Raises CannotWrite where the format has no way to write it.
    """
    return _segments(format.write(conversation, format.settings), format)


def render_prompt(conversation: Conversation, format: ChatFormat) -> list[Segment]:
    """Render a conversation and the opening of the assistant turn that answers it."""
    opening = Piece(format.reply_opening, True, "assistant")
    return _segments((*format.write(conversation, format.settings), opening), format)


def tokenize(segments: Iterable[Segment], tokenizer: Tokenizer, joins: bool = False) -> Tokens:
    """Turn segments into ids and mask; ValueError when the tokenizer lacks a special token.

    Neighbouring texts that are alike in being trained are tokenised at once. The one border inside
    ordinary text is where an assistant's text begins. Where it `joins` the text before it, both
    are tokenised at once too, and cut where the first one's ids end.
    """
    tokens = Tokens([], [], bytearray())
    ids, learnt, roles = tokens.ids, tokens.trained, tokens.roles
    known = tokenizer.special_tokens
    run: list[Segment] = []
    before = ""
    for segment in segments:
        text, special, trained, role = segment
        if run and (special or trained != run[0].trained):
            before += _add_texts(tokens, run, before if joins else "", tokenizer)
            run = []
        if special:
            before = ""
            ids.append(known[text] if text in known else special_id(text, tokenizer))
            learnt.append(trained)
            roles.append(_ROLE_NUMBERS[role])
        else:
            run.append(segment)
    if run:
        _add_texts(tokens, run, before if joins else "", tokenizer)
    return tokens


def _add_texts(tokens: Tokens, run: list[Segment], before: str, tokenizer: Tokenizer) -> str:
    """Add the ids of neighbouring texts and return the whole text; `before` stands before it."""
    text, _, trained, role = run[-1]
    if len(run) > 1:
        text = "".join([part.text for part in run])
    ids = _continued(before, text, tokenizer) if before else tokenizer.encode(text)
    left = len(ids)
    tokens.ids.extend(ids)
    tokens.trained.extend([trained] * left)
    for part in run[:-1]:
        # To within a token, where one reaches over the border of two roles.
        length = min(len(tokenizer.encode(part.text)), left)
        tokens.roles.extend(_ROLE_BYTES[part.role] * length)
        left -= length
    tokens.roles.extend(_ROLE_BYTES[role] * left)
    return text


def _continued(before: str, text: str, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a text that goes on from another one."""
    known, whole = tokenizer.encode(before), tokenizer.encode(before + text)
    # Only where a token would reach over the border is the text one of its own.
    return whole[len(known) :] if whole[: len(known)] == known else tokenizer.encode(text)


def encode_conversation(
    conversation: Conversation, format: ChatFormat, tokenizer: Tokenizer
) -> Tokens:
    """Return the ids of a conversation, and which of them are learnt."""
    return tokenize(render(conversation, format), tokenizer, format.reply_joins)


def encode_prompt(
    conversation: Conversation, format: ChatFormat, tokenizer: Tokenizer
) -> list[int]:
    """Return the ids up to where the assistant speaks."""
    return tokenize(render_prompt(conversation, format), tokenizer, format.reply_joins).ids


def special_id(token: str, tokenizer: Tokenizer) -> int:
    """Return the id of a special token; ValueError when the tokenizer does not have it."""
    id = tokenizer.special_tokens.get(token)
    if id is None:
        raise ValueError(
            f"{tokenizer.path} has no special token {token}, which the chat format needs; "
            "use the tokenizer of a model that was made for this format"
        )
    return id


def check_special_tokens(format: ChatFormat, tokenizer: Tokenizer) -> None:
    """Raise ValueError where the tokenizer lacks a special token of the format."""
    known = tokenizer.special_tokens
    for token in format.special_tokens:
        if token not in known:
            fits = [row.name for row in FORMATS.values() if known.keys() >= {*row.special_tokens}]
            hint = (
                f"name one that fits with --chat-format: {', '.join(fits)}"
                if fits
                else "use the tokenizer of a model that was made for this format"
            )
            raise ValueError(
                f"{tokenizer.path} has no special token {token}, which the chat format "
                f"{format.name} needs; {hint}"
            )


def stop_ids(format: ChatFormat, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids at which generation ends, the trained ones first."""
    known = tokenizer.special_tokens
    ends = (known[token] for token in format.end_tokens if token in known)
    return (*(special_id(token, tokenizer) for token in format.stop_tokens), *ends)


def silent_ids(format: ChatFormat, tokenizer: Tokenizer) -> frozenset[int]:
    """Return the special ids that have no text in a reply: all but those that write calls."""
    known = tokenizer.special_tokens
    written = {known[token] for token in format.calls.special_tokens if token in known}
    return frozenset(known.values()) - written


def reply_text(tokens: Iterable[int], tokenizer: Tokenizer, silent: frozenset[int]) -> str:
    """Return the text of generated tokens without those that are `silent`."""
    return tokenizer.decode([token for token in tokens if token not in silent])


def parse_reply(text: str, format: ChatFormat) -> Reply:
    """Read an assistant's text without its stop token: content, calls, or what is wrong."""
    return read_reply(text, format.calls)


def written_reply(message: Message, format: ChatFormat) -> str:
    """Return an assistant's turn as a model would write it, without its stop token."""
    asked = (Message("user", "."), replace(message, trained=True))
    segments = [part for part in render(Conversation(asked), format) if part.trained]
    stops = [part.special and part.text in format.stop_tokens for part in segments]
    return "".join(part.text for part, stop in zip(segments, stops, strict=True) if not stop)


def check_readable(conversation: Conversation, format: ChatFormat) -> None:
    """Raise CannotWrite with the place and reason of a turn that would not be read back."""
    for i, message in enumerate(conversation.messages):
        if message.role == "assistant" and (reason := _unreadable(message, format)):
            raise CannotWrite(f"messages[{i}]: {reason}")


def _unreadable(message: Message, format: ChatFormat) -> str | None:
    try:
        text = write_reply(message.content.strip(), message.tool_calls, format.calls)
        reply = parse_reply(text, format)
    except ValueError as error:
        return str(error)
    if reply.problem:
        return reply.problem
    if not message.tool_calls and not reply.tool_calls:
        return None
    made, read = (
        [(call.name, dict(call.arguments)) for call in calls]
        for calls in (message.tool_calls, reply.tool_calls)
    )
    return None if made == read else "its text would be read as other calls than it makes"


def _segments(pieces: Iterable[Piece], format: ChatFormat) -> list[Segment]:
    """Cut the format's own strings at special tokens, and join neighbouring texts of one kind."""
    segments: list[Segment] = []
    # Texts that become one segment.
    run: list[Segment] = []
    for text, own, role, trained in pieces:
        if not own:
            parts: Sequence[Segment] = (Segment(text, False, trained, role),)
        else:
            parts = _own_segments(text, format.special_tokens, trained, role)
            if parts and parts[0].special:
                # Most of them open or end a turn.
                if run:
                    segments.append(_joined(run))
                run = [] if parts[-1].special else [parts[-1]]
                segments += parts if parts[-1].special else parts[:-1]
                continue
        for part in parts:
            if run and (part.special or run[0].trained != trained or run[0].role != role):
                segments.append(_joined(run))
                run = []
            if part.special:
                segments.append(part)
            elif part.text:
                run.append(part)
    if run:
        segments.append(_joined(run))
    return segments


def _joined(run: list[Segment]) -> Segment:
    first = run[0]
    if len(run) == 1:
        return first
    return Segment("".join([part.text for part in run]), False, first.trained, first.role)


@cache
def _own_segments(
    text: str, special_tokens: tuple[str, ...], trained: bool, role: str
) -> tuple[Segment, ...]:
    """Cut a string at special tokens; cached, because a format has a dozen strings in all."""
    names = "|".join(map(re.escape, sorted(special_tokens, key=len, reverse=True)))
    parts = re.split(f"({names})", text) if names else [text]
    return tuple(Segment(part, part in special_tokens, trained, role) for part in parts if part)
