"""Record what Meta's own prompt generators write for the shapes of tests/chat_shapes.py.

    git clone https://github.com/meta-llama/llama-models && cd llama-models
    git checkout 8c88b8c0 && ln -s models llama_models
    python3 -m venv ORACLE && ORACLE/bin/pip install pydantic pillow tiktoken jinja2 termcolor
    PYTHONPATH=.:tests:llama-models ORACLE/bin/python tests/oracles/record_meta.py

That commit is the last with both the generators of system texts and the chat format; only the
tokenizer (a text's code points) and the clock (26 July 2024) are replaced. The file
meta_llama3_1.json shows how far Meta's code and the published template, which serving stacks use
and our format follows, are apart; no test compares it with ours.
"""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from llama_models.llama3.api.chat_format import ChatFormat
from llama_models.llama3.api.datatypes import (
    RawMessage,
    StopReason,
    ToolCall,
    ToolDefinition,
    ToolParamDefinition,
    ToolPromptFormat,
)
from llama_models.llama3.api.interface import LLama31Interface
from llama_models.llama3.prompt_templates import system_prompts
from oracles.makers import record

from chat.conversation import Conversation, Message, Tool

SPECIAL = (
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<|image|>",
)


class TextTokenizer:
    """A tokenizer whose ids are code points, and negative for special tokens."""

    special_tokens = {name: -place for place, name in enumerate(SPECIAL, start=1)}  # noqa: RUF012

    def encode(self, text: str, bos: bool, eos: bool) -> list[int]:
        """Return the code points of a text."""
        return [ord(letter) for letter in text]

    @staticmethod
    def decode(ids: list[int]) -> str:
        """Return the text of ids."""
        return "".join(SPECIAL[-id - 1] if id < 0 else chr(id) for id in ids)


def main() -> None:
    """Record every shape: the prompt that Meta's code writes for what follows it."""
    system_prompts.datetime = SimpleNamespace(now=lambda: datetime(2024, 7, 26))
    source = {
        "script": "tests/oracles/record_meta.py",
        "repository": "meta-llama/llama-models 8c88b8c0d75dbd136b6895220c4f56ccbe2f2d24",
    }
    record("meta_llama3_1", source, _dialog)


def _dialog(conversation: Conversation) -> str:
    interface = LLama31Interface.__new__(LLama31Interface)
    interface.tokenizer = TextTokenizer()
    interface.formatter = ChatFormat(interface.tokenizer)
    interface.tool_prompt_format = ToolPromptFormat.json
    messages = list(conversation.messages)
    instruction = messages.pop(0).content if messages[0].role == "system" else None
    tools = [_definition(tool) for tool in conversation.tools]
    dialog = interface.system_messages([], tools, instruction)
    dialog += [_raw(message) for message in messages]
    return TextTokenizer.decode(interface.get_tokens(dialog))


def _definition(tool: Tool) -> ToolDefinition:
    required = tool.parameters.get("required", [])
    return ToolDefinition(
        tool_name=tool.name,
        description=tool.description,
        parameters={
            name: ToolParamDefinition(
                param_type=str(schema["type"]),
                description=schema.get("description"),
                required=name in required,
            )
            for name, schema in tool.parameters["properties"].items()
        },
    )


def _raw(message: Message) -> RawMessage:
    if message.role != "assistant":
        return RawMessage(role=message.role, content=message.content)
    calls: list[Any] = [
        ToolCall.model_construct(
            call_id=call.id or "", tool_name=call.name, arguments=dict(call.arguments)
        )
        for call in message.tool_calls
    ]
    return RawMessage(
        role="assistant",
        content=message.content,
        tool_calls=calls,
        stop_reason=StopReason.end_of_turn,
    )


if __name__ == "__main__":
    main()
