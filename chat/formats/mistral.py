"""`mistral_v1`, `mistral_v3` and `mistral_tekken`: Mistral's instruct models.

v1 is Mistral 7B v0.1's and has no tools; v3 is v0.3's; tekken is Nemo's, with the texts of v3.
The oracle is mistral-common 1.13 (tokens/tokenizers/instruct.py and the normalizer): system text
and tools stand at the last user turn (in v1 the system text at the first), results are JSON. As in
mistral-finetune, a call to be learnt has no id, and one that was answered has nine letters or
digits. So what a turn looks like depends on what follows, and each reply is learnt in a sequence
of its own, but in a chat without system text and tools.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from chat.conversation import Conversation, Message, to_json
from chat.formats.call_syntax import NO_CALLS, CallSyntax
from chat.formats.format import (
    CannotWrite,
    ChatFormat,
    Piece,
    Settings,
    cannot_write,
    content,
    own,
    reply,
)

CALLS = CallSyntax(
    opening="[TOOL_CALLS][",
    between=", ",
    closing="]",
    starts=("[TOOL_CALLS]",),
    id_key="id",
    joint=None,
    special_tokens=("[TOOL_CALLS]",),
)
_ID = re.compile(r"[a-zA-Z0-9]{9}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _write_v1(conversation: Conversation, settings: Settings) -> Iterator[Piece]:
    """Write the system text at the first user turn; tools cannot be written."""
    if conversation.tools:
        raise CannotWrite(
            "tools are offered, and mistral_v1 has no calls; glaive_text and tool_call_tags have "
            "them, with the same tokenizer"
        )
    yield own("<s>")
    system, messages = _system_apart(conversation)
    first = True
    for place, message in messages:
        if message.role == "tool" or message.tool_calls:
            raise cannot_write(message, place, "mistral_v1 has no tools")
        if message.role == "user":
            text = _with_system(system, message) if first else message.content
            yield own("[INST] ", "user")
            yield content(text, "user")
            yield own(" [/INST]", "user")
            first = False
            continue
        if not message.content.strip():
            raise cannot_write(message, place, "a reply cannot be empty")
        yield from reply(message, NO_CALLS, lead=" ")
        yield own("</s>", "assistant", message.trained)


def _write_v3(conversation: Conversation, settings: Settings) -> Iterator[Piece]:
    """Write system text and tools at the last user turn."""
    yield own("<s>")
    system, messages = _system_apart(conversation)
    _check_names(conversation)
    users = [place for place, message in messages if message.role == "user"]
    for place, message in _with_ids(messages):
        if message.role == "user":
            last = place == users[-1]
            if last and conversation.tools:
                tools = to_json([tool.to_record() for tool in conversation.tools])
                yield own("[AVAILABLE_TOOLS]", "user")
                yield content(tools, "user")
                yield own("[/AVAILABLE_TOOLS]", "user")
            yield own("[INST]", "user")
            yield content(_with_system(system, message) if last else message.content, "user")
            yield own("[/INST]", "user")
        elif message.role == "tool":
            result = {"content": _json_value(message.content), "call_id": message.tool_call_id}
            yield own("[TOOL_RESULTS]", "tool")
            yield content(json.dumps(result, ensure_ascii=False), "tool")
            yield own("[/TOOL_RESULTS]", "tool")
        else:
            if not (message.tool_calls or message.content.strip()):
                raise cannot_write(message, place, "a reply cannot be empty")
            yield from reply(message, CALLS)
            yield own("</s>", "assistant", message.trained)


def _system_apart(conversation: Conversation) -> tuple[str, list[tuple[int, Message]]]:
    """Return the system texts, joined, and the other messages with their places.

    A user turn comes first, an empty one where there is none, and neighbouring user turns are one.
    CannotWrite for two assistant turns in a row, and for a system text that follows other turns
    than a user's.
    """
    texts: list[str] = []
    others: list[tuple[int, Message]] = []
    before = ""
    for place, message in enumerate(conversation.messages):
        if message.role == "system":
            if before not in ("", "user"):
                raise cannot_write(message, place, f"it follows a turn of the {before}")
            texts.append(message.content)
            continue
        if message.role == before == "assistant":
            raise cannot_write(message, place, "two turns of the assistant follow one another")
        if not before and message.role != "user":
            others.append((-1, Message("user")))
        others.append((place, message))
        before = message.role
    merged = list(_merge_users(others)) or [(-1, Message("user"))]
    return "\n\n".join(filter(None, texts)), merged


def _merge_users(messages: list[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
    """Yield messages, neighbouring user turns as one at the place of the last."""
    for role, group in groupby(messages, lambda numbered: numbered[1].role):
        if role != "user":
            yield from group
            continue
        turns = list(group)
        place, last = turns[-1]
        text = "\n\n".join(filter(None, (message.content for _, message in turns)))
        yield place, replace(last, content=text)


def _with_system(system: str, message: Message) -> str:
    return f"{system}\n\n{message.content}" if system else message.content


def _check_names(conversation: Conversation) -> None:
    """Raise CannotWrite for a name that Mistral's servers refuse."""
    called = [call.name for message in conversation.messages for call in message.tool_calls]
    for name in (*(tool.name for tool in conversation.tools), *called):
        if not _NAME.fullmatch(name):
            raise CannotWrite(
                f"the tool name {name[:80]!r} has other than 1 to 64 letters, digits, _ and -"
            )


def _with_ids(messages: list[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
    """Yield messages whose answered calls, and the results, have ids of nine letters or digits.

    CannotWrite where calls and results do not pair. The calls of the last message have no ids.
    """
    open_ids: deque[str] = deque()
    count = 0
    for index, (place, message) in enumerate(messages):
        if message.role == "tool":
            if not open_ids:
                raise cannot_write(message, place, "it answers no call")
            next_id = open_ids.popleft()
            id = _nine_letters(message.tool_call_id) if message.tool_call_id else next_id
            yield place, replace(message, tool_call_id=id)
            continue
        if open_ids:
            raise cannot_write(message, place, f"{len(open_ids)} calls before it have no result")
        last = index == len(messages) - 1
        calls = []
        for call in message.tool_calls:
            count += 1
            calls.append(replace(call, id=_nine_letters(call.id or f"call {count}")))
        open_ids.extend(call.id or "" for call in calls)
        if last:
            calls = [replace(call, id=None) for call in calls]
        yield place, replace(message, tool_calls=tuple(calls))


def _nine_letters(id: str) -> str:
    """Return the end of an id, as vLLM cuts it; where that is no id, the beginning of its hash."""
    if _ID.fullmatch(id[-9:]):
        return id[-9:]
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def _json_value(text: str) -> Any:
    """Return what a result says in JSON, or its text; an empty one is an empty object."""
    if not text:
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _begins_with_its_system_texts(conversation: Conversation) -> bool:
    """Return whether no system text follows a reply, which would change the first user turn."""
    roles = [message.role for message in conversation.messages]
    return "assistant" not in roles or "system" not in roles[roles.index("assistant") :]


def _is_plain_chat(conversation: Conversation) -> bool:
    return not conversation.tools and not any(
        message.role == "system" or message.tool_calls for message in conversation.messages
    )


MISTRAL_V1 = ChatFormat(
    name="mistral_v1",
    write=_write_v1,
    special_tokens=("<s>", "</s>"),
    begin="<s>",
    reply_opening="",
    stop_tokens=("</s>",),
    calls=NO_CALLS,
    reply_joins=True,
    earlier_turns_stay=_begins_with_its_system_texts,
)

MISTRAL_V3 = ChatFormat(
    name="mistral_v3",
    write=_write_v3,
    special_tokens=(
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "[TOOL_CALLS]",
    ),
    begin="<s>",
    reply_opening="",
    stop_tokens=("</s>",),
    calls=CALLS,
    earlier_turns_stay=_is_plain_chat,
)

MISTRAL_TEKKEN = replace(MISTRAL_V3, name="mistral_tekken")
