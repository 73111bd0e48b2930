"""`phi3_xlam`: one question, its tools and its calls, as seed scripts train Phi-3 on xLAM's rows.

The layout is `<user>…</user>`, `<tools>…</tools>`, `<calls>…</calls>` in ordinary text, a line for
each tool and call. Here these are JSON, not Python's repr, and the end token is trained.
"""

import re
from collections.abc import Iterator

from chat.conversation import Conversation
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import (
    CannotWrite,
    ChatFormat,
    Piece,
    Settings,
    cannot_write,
    check_marks,
    content,
    own,
    reply,
)

CALLS = CallSyntax(
    opening="<calls>", between="\n", closing="</calls>", starts=("<calls>",), joint=None
)

_MARKS = re.compile("</?(?:user|tools|calls)>")


def _write(conversation: Conversation, settings: Settings) -> Iterator[Piece]:
    """Write one user turn, the tools after it, and the reply."""
    messages = conversation.messages
    for place, (message, role) in enumerate(zip(messages, ("user", "assistant"), strict=False)):
        if message.role != role:
            raise cannot_write(message, place, f"a turn of the {role} is wanted")
    if not 1 <= len(messages) <= 2:
        raise CannotWrite(f"{len(messages)} messages, and one question with its reply is wanted")
    check_marks(conversation, _MARKS)
    yield own("<user>", "user")
    yield content(messages[0].content, "user")
    yield own("</user>\n\n<tools>", "user")
    tools = "\n".join(tool.function_json_text for tool in conversation.tools)
    yield content(tools, "user")
    yield own("</tools>\n\n", "user")
    for message in messages[1:]:
        yield from reply(message, CALLS)
        yield own("<|endoftext|>", "assistant", message.trained)


PHI3_XLAM = ChatFormat(
    name="phi3_xlam",
    write=_write,
    special_tokens=("<|endoftext|>",),
    begin="",
    reply_opening="",
    stop_tokens=("<|endoftext|>",),
    calls=CALLS,
    reply_joins=True,
    # Phi-3's generation_config.json lists them beside the trained one.
    end_tokens=("<|end|>", "<|assistant|>"),
)
