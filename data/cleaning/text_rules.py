"""Rules about texts: what JSON cannot hold, invisible characters, end marks of other formats."""

import re
from dataclasses import replace

from chat.conversation import Conversation, Message, to_json
from data.outcomes import Change, Draft, Rejected, pointer
from data.reading.end_marks import without_end_mark

# Tabs and line ends are text; so are the controls of a tool's result, which is what it printed.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def writable_text(conversation: Conversation) -> Draft:
    """Reject what JSON in UTF-8 cannot hold."""
    try:
        for tool in conversation.tools:
            tool.json_text.encode()
        for message in conversation.messages:
            # JSON can hold any text that UTF-8 can.
            if message.is_text_alone:
                message.content.encode()
            else:
                message.json_text.encode()
    except (ValueError, RecursionError):
        record = conversation.to_record()
        for key in ("tools", "messages"):
            for i, part in enumerate(record[key]):
                _check_writable(part, pointer(key, i))
        raise
    return Draft(conversation)


def _check_writable(part: object, where: str) -> None:
    try:
        to_json(part).encode()
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid-text", where, str(error), repr(part)) from error


def visible_text(conversation: Conversation) -> Draft:
    """Take invisible control characters out of what is said, and marks off the end of answers."""
    messages = list(conversation.messages)
    changes: list[Change] = []
    for i, message in enumerate(messages):
        for rule, content in _mended(message):
            where = pointer("messages", i, "content")
            changes.append(Change(rule, where, messages[i].content, content))
            messages[i] = replace(message, content=content)
    if not changes:
        return Draft(conversation)
    return Draft(replace(conversation, messages=tuple(messages)), tuple(changes))


def _mended(message: Message) -> list[tuple[str, str]]:
    """Return the rules that mend a turn's text, each with the text after it."""
    text, found = message.content, []
    if message.role != "tool" and not text.isprintable() and _CONTROL.search(text):
        text = _CONTROL.sub("", text)
        found.append(("control-characters", text))
    if message.role == "assistant" and (bare := without_end_mark(text)) != text:
        found.append(("end-mark", bare))
    return found
