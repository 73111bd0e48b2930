"""Record what LMFlow writes for the shapes of tests/chat_shapes.py, and which of it it trains.

    git clone https://github.com/OptimalScale/LMFlow && git -C LMFlow checkout f3597dba
    PYTHONPATH=.:tests python tests/oracles/record_lmflow.py LMFlow

LMFlow's templates run as they are, under a tokenizer whose ids are code points; its package is
entered without its `__init__`, which needs every dependency. A shape is brought to LMFlow's
layout: the first system text beside the turns, a tool as the JSON of its name, description and
parameters, an assistant's calls as a turn `function` (a call's JSON, or a list of several), a
result as a turn `observation`. `whole` has the text that the template's `_encode` gives, begun as
it says, and the stretches of it that are trained; or `kept`, where LMFlow's training code drops
turns of it: what is not a group of two or four turns, and, since its `add_special_starter` keeps
two turns of the first group, the result and answer of llama3_for_tool's first call.
"""

import ast
import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from oracles.makers import record

from chat.conversation import Conversation, Message, ToolCall, to_json
from console.command import run

BEGIN = "<|begin_of_text|>"
TRAINING = "contrib/tool-finetune/function_call_finetune.py"


class TextTokenizer:
    """A tokenizer whose ids are the code points of the text; the begin of text is -1."""

    bos_token_id = -1

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Return the code points of a text."""
        return [ord(letter) for letter in text]

    @staticmethod
    def decode(ids: list[int]) -> str:
        """Return the text of code points."""
        return "".join(BEGIN if id == -1 else chr(id) for id in ids)


def main(lmflow_dir: str) -> None:
    """Record llama3_for_tool and qwen2_for_tool.

    Args:
        lmflow_dir: A checkout of LMFlow.
    """
    folder = Path(lmflow_dir)
    templates = _templates(folder)
    for name in ("llama3_for_tool", "qwen2_for_tool"):
        source = {
            "script": "tests/oracles/record_lmflow.py",
            "repository": "OptimalScale/LMFlow f3597dba",
            "files": f"src/lmflow/utils/conversation_template/, {TRAINING}",
        }
        write = _Writer(folder, templates[name])
        record(name, source, write.whole)


class _Writer:
    def __init__(self, folder: Path, template: Any) -> None:
        self._template = template
        self._tokenize = _training_function(folder / TRAINING)

    def whole(self, conversation: Conversation) -> dict[str, Any]:
        instance = lmflow_instance(conversation)
        tokenizer = TextTokenizer()
        template, messages = self._template, instance["messages"]
        tools = template._handle_tools(instance["tools"])
        groups = template._encode(tokenizer, messages, instance["system"] or "", tools)
        ids = [tokenizer.bos_token_id] if template.special_starter else []
        ids += [id for group in groups for turn in group for id in turn]
        made = self._tokenize(
            {key: [value] for key, value in instance.items()},
            SimpleNamespace(train_on_prompt=False, disable_group_texts=False),
            tokenizer,
            ["messages"],
            template,
        )
        kept, labels = made["input_ids"][0], made["labels"][0]
        text = tokenizer.decode(ids)
        if kept != ids:
            return {"text": text, "kept": tokenizer.decode(kept)}
        return {"text": text, "trained": list(_stretches(ids, labels))}


def _stretches(ids: list[int], labels: list[int]) -> Iterator[str]:
    """Yield each stretch of trained text."""
    start = None
    for place, label in enumerate([*labels, -100]):
        if label != -100 and start is None:
            start = place
        if label == -100 and start is not None:
            yield TextTokenizer.decode(ids[start:place])
            start = None


def lmflow_instance(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation in LMFlow's layout."""
    messages = list(conversation.messages)
    system = messages.pop(0).content if messages[0].role == "system" else None
    tools = [to_json(tool.to_record()["function"]) for tool in conversation.tools]
    turns = [turn for message in messages for turn in _turns(message)]
    return {"system": system, "tools": tools, "messages": turns}


def _turns(message: Message) -> Iterator[dict[str, str]]:
    role = "observation" if message.role == "tool" else message.role
    if message.content or not message.tool_calls:
        yield {"role": role, "content": message.content}
    if message.tool_calls:
        calls = [_call(call) for call in message.tool_calls]
        yield {"role": "function", "content": to_json(calls if len(calls) > 1 else calls[0])}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": dict(call.arguments)}


def _templates(folder: Path) -> dict[str, Any]:
    package = ModuleType("lmflow")
    package.__path__ = [str(folder / "src" / "lmflow")]
    sys.modules["lmflow"] = package
    from lmflow.utils.conversation_template.llama import LLAMA3_TEMPLATE_FOR_TOOL
    from lmflow.utils.conversation_template.qwen import QWEN2_TEMPLATE_FOR_TOOL

    return {
        "llama3_for_tool": LLAMA3_TEMPLATE_FOR_TOOL,
        "qwen2_for_tool": QWEN2_TEMPLATE_FOR_TOOL,
    }


def _training_function(file: Path) -> Any:
    """Return the function that tokenizes conversations, alone: its module needs all of LMFlow."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    wanted = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "conversation_tokenize_function"
    ]
    for argument in wanted[0].args.args:
        argument.annotation = None
    logger = logging.getLogger("lmflow")
    logger.setLevel(logging.ERROR)
    names = {
        "CONVERSATION_ROLE_NAMES": {"user": "user"},
        "CaptureLogger": lambda logger: nullcontext(SimpleNamespace(out="")),
        "logger": logger,
        "tok_logger": logger,
    }
    exec(compile(ast.Module(wanted, []), str(file), "exec"), names)
    return names["conversation_tokenize_function"]


if __name__ == "__main__":
    run(main)
