"""Record what mistral-common writes for the shapes of tests/chat_shapes.py.

    python3 -m venv ORACLE && ORACLE/bin/pip install "mistral-common[sentencepiece]==1.13.1"
    PYTHONPATH=.:tests ORACLE/bin/python tests/oracles/record_mistral.py

Files mistral_v1.json, mistral_v3.json and mistral_tekken.json, with ids and texts. `whole` is the
conversation in finetuning mode, `prompts` are requests in serving mode. Calls have the ids of
`with_nine_letter_ids`, for mistral-common refuses others; those of a last message have none, as
mistral-finetune trains them (finetune/data/tokenize.py at 1943535: a random id is not predicted).
"""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mistral_common
from chat_shape_parts import with_nine_letter_ids
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
from oracles.makers import record, sha256_of

from chat.conversation import Conversation, Message

FILES = {
    "mistral_v1": "tokenizer.model.v1",
    "mistral_v3": "mistral_instruct_tokenizer_240323.model.v3",
    "mistral_tekken": "tekken_240718.json",
}


def main() -> None:
    """Record all three tokenizers."""
    for name, file_name in FILES.items():
        file = Path(mistral_common.__file__).parent / "data" / file_name
        source = {
            "script": "tests/oracles/record_mistral.py",
            "mistral_common": version("mistral_common"),
            "tokenizer": file_name,
            "tokenizer_sha256": sha256_of(file),
        }
        finetuning = MistralTokenizer.from_file(file, mode=ValidationMode.finetuning)
        serving = MistralTokenizer.from_file(file, mode=ValidationMode.serving)
        record(
            name,
            source,
            lambda conversation, maker=finetuning: encode(maker, conversation),
            lambda conversation, maker=serving: encode(maker, conversation),
        )


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


if __name__ == "__main__":
    main()
