"""What mistral-common writes for the shapes of tests/chat_shapes.py, with ids and texts.

`whole` is the conversation in finetuning mode, `prompts` are requests in serving mode. Calls have
the ids of `with_nine_letter_ids`, for mistral-common refuses others; those of a last message have
none, as mistral-finetune trains them (finetune/data/tokenize.py at 1943535: a random id is not
predicted).
"""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import mistral_common
from chat_shape_parts import with_nine_letter_ids
from chat_shapes import SHAPES
from mistral_common.protocol.instruct.messages import (
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Function, FunctionCall, Tool, ToolCall
from mistral_common.protocol.instruct.validator import ValidationMode
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from oracles.makers import attempt, prompts_of

from chat.conversation import Conversation, Message

FILES = {
    "mistral_v1": "tokenizer.model.v1",
    "mistral_v3": "mistral_instruct_tokenizer_240323.model.v3",
    "mistral_tekken": "tekken_240718.json",
}


def tokenizer_file(name: str) -> Path:
    """Return the tokenizer that mistral-common brings for a chat format of ours."""
    return Path(mistral_common.__file__).parent / "data" / FILES[name]


@cache
def written_by_mistral(name: str) -> dict[str, dict[str, Any]]:
    """Return `whole` and `prompts` of each shape, in the layout of `read_recordings`."""
    file = tokenizer_file(name)
    finetuning = MistralTokenizer.from_file(file, mode=ValidationMode.finetuning)
    serving = MistralTokenizer.from_file(file, mode=ValidationMode.serving)
    return {
        shape: {
            "whole": attempt(partial(encode, finetuning, conversation)),
            "prompts": {
                place: attempt(partial(encode, serving, before))
                for place, before in prompts_of(conversation)
            },
        }
        for shape, conversation in SHAPES.items()
    }


def encode(maker: MistralTokenizer, conversation: Conversation) -> dict[str, Any]:
    """Return the ids of a request, and its text: special tokens and the strings between them."""
    conversation = without_last_ids(with_nine_letter_ids(conversation))
    tokenizer = maker.instruct_tokenizer.tokenizer
    encoded: list[tuple[str, list[int]]] = []

    def listen(s: str, bos: bool, eos: bool) -> list[int]:
        ids = type(tokenizer).encode(tokenizer, s, bos, eos)
        # A copy: mistral-common appends the end of sequence to the list it is given.
        encoded.append((s, list(ids)))
        return ids

    tokenizer.encode = listen
    try:
        ids = maker.encode_chat_completion(request(conversation)).tokens
    finally:
        del tokenizer.encode
    return {"text": _text(ids, encoded, tokenizer), "ids": ids}


def _text(ids: list[int], encoded: list[tuple[str, list[int]]], tokenizer: Any) -> str:
    """Join special tokens and strings.

    Where two strings meet, SentencePiece's mark of a new word is written as a space.
    """
    parts, at = [], 0
    strings = iter([pair for pair in encoded if pair[1]])
    follows_string = False
    while at < len(ids):
        if tokenizer.is_special(ids[at]):
            parts.append(tokenizer.id_to_piece(ids[at]))
            at, follows_string = at + 1, False
            continue
        string, own = next(strings)
        assert ids[at : at + len(own)] == own, "the ids between special tokens are those of a text"
        parts.append(f" {string}" if follows_string else string)
        at, follows_string = at + len(own), True
    return "".join(parts)


def without_last_ids(conversation: Conversation) -> Conversation:
    """Take the ids from the calls of the last message; in mistral-common "null" is none."""
    *earlier, last = conversation.messages
    calls = tuple(replace(call, id="null") for call in last.tool_calls)
    return replace(conversation, messages=(*earlier, replace(last, tool_calls=calls)))


def request(conversation: Conversation) -> ChatCompletionRequest:
    """Return a conversation as mistral-common's request."""
    return ChatCompletionRequest(
        model="any",
        messages=[_message(message) for message in conversation.messages],
        tools=[
            Tool(
                function=Function(
                    name=tool.name,
                    description=tool.description,
                    parameters=dict(tool.parameters),
                )
            )
            for tool in conversation.tools
        ]
        or None,
    )


def _message(message: Message) -> Any:
    if message.role == "system":
        return SystemMessage(content=message.content)
    if message.role == "user":
        return UserMessage(content=message.content)
    if message.role == "tool":
        return ToolMessage(
            content=message.content, tool_call_id=message.tool_call_id, name=message.name
        )
    calls = [
        ToolCall(id=call.id, function=FunctionCall(name=call.name, arguments=dict(call.arguments)))
        for call in message.tool_calls
    ]
    return AssistantMessage(content=message.content, tool_calls=calls or None)
