"""Right replies as canonical rows: prompt and reply, of which only the reply is learnt."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chat.conversation import Conversation
from rewards.prompts import Prompt
from rewards.verdicts import JudgedReply


def kept_rows(
    prompt: Prompt,
    judged: Sequence[JudgedReply],
    most: int,
    skip_easy: bool,
    made_by: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of the first `most` right replies to a prompt that differ.

    Replies are the same where text and calls are, whatever the order of keys. With `skip_easy`
    there is none where every reply is right. `made_by` stands in each row, with the number of the
    reply.
    """
    if skip_easy and all(reply.right for reply in judged):
        return
    seen = set[str]()
    for number, reply in enumerate(judged):
        text = reply.message.sorted_json_text
        if reply.right and text not in seen and len(seen) < most:
            seen.add(text)
            yield _row(prompt, reply, number) | {"made_by": {**made_by, "reply": number}}


def _row(prompt: Prompt, reply: JudgedReply, number: int) -> dict[str, Any]:
    asked = prompt.item.conversation
    earlier = (
        replace(message, trained=False) if message.role == "assistant" else message
        for message in asked.messages
    )
    return Conversation(
        (*earlier, reply.message),
        asked.tools,
        f"{prompt.id}/{number}",
        f"replies to {prompt.file.name}",
        # That of the prompt's conversation: whoever scores it later is told that it was trained on.
        prompt.item.conversation_id,
    ).to_record()


def row_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of JSON; half a surrogate pair is escaped."""
    try:
        line = json.dumps(row, ensure_ascii=False)
        line.encode()
        return line + "\n"
    except UnicodeEncodeError:
        return json.dumps(row) + "\n"
