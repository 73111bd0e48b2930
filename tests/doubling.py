"""What reads text that others wrote, each with input that doubles: run as `doubling.py NAME`.

Prints the sizes and the CPU seconds of three runs at each, as JSON.
"""

import functools
import gc
import json
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tiny_models import TINY, random_model  # noqa: E402

from chat.conversation import Conversation, Message, Tool, ToolCall  # noqa: E402
from chat.formats.call_syntax import write_reply  # noqa: E402
from chat.formats.format import CannotWrite, ChatFormat  # noqa: E402
from chat.formats.known import FORMATS  # noqa: E402
from chat.formats.rendering import (  # noqa: E402
    check_readable,
    encode_conversation,
    parse_reply,
    render,
    tokenize,
)
from chat.formats.typescript import describe_function  # noqa: E402
from chat.schemas.patterns import TooCostly, matches  # noqa: E402
from chat.schemas.type_names import read_type  # noqa: E402
from chat.schemas.validation import read_tool, schema_problem, validate_arguments  # noqa: E402
from chat.tokenizers.ranks import LLAMA3_CUTTING, TiktokenTokenizer  # noqa: E402
from chat.tokenizers.tokenizer import load_tokenizer  # noqa: E402
from console.printable import printable  # noqa: E402
from data.benchmarks.bfcl_tasks import read_tasks  # noqa: E402
from data.benchmarks.nexusraven import read_queries  # noqa: E402
from data.building.encoding import Job, _Encoder  # noqa: E402
from data.building.mixture import Part  # noqa: E402
from data.building.splitting import group_tools  # noqa: E402
from data.building.tally import Tally  # noqa: E402
from data.cleaning.balancing import balance  # noqa: E402
from data.cleaning.clean_file import clean  # noqa: E402
from data.cleaning.clean_row import Settings, clean_row  # noqa: E402
from data.cleaning.result_rules import linked_results  # noqa: E402
from data.cleaning.turn_rules import whole_assistants  # noqa: E402
from data.outcomes import Rejected  # noqa: E402
from data.reading import RawRow  # noqa: E402
from data.reading.call_text import read_calls  # noqa: E402
from data.reading.python_text import read_call_expressions, read_literal  # noqa: E402
from data.reading.rows import read_rows  # noqa: E402
from data.reading.system_text import WITH_TOOLS, read_system  # noqa: E402
from evaluation.answers.endpoint import wire_messages, wire_names  # noqa: E402
from evaluation.answers.predictions import read_predictions  # noqa: E402
from evaluation.scoring.bfcl_literals import read_java, read_javascript  # noqa: E402
from evaluation.scoring.calls import score  # noqa: E402
from export.parsers import SERVER_PARSERS, read_as  # noqa: E402
from export.response_templates import read_by_template  # noqa: E402
from export.serve_check import format_response_template  # noqa: E402
from inference.chat_model import ChatModel  # noqa: E402
from inference.constrain.completions import Completions  # noqa: E402
from inference.constrain.json_text import JsonText  # noqa: E402
from inference.constrain.schemas import enforceable  # noqa: E402
from inference.streaming import ReplyStream, TokenText  # noqa: E402
from serving.generation_requests import _results, _tools  # noqa: E402
from serving.reading import ReplyReader, _Stop  # noqa: E402
from serving.requests import read_request  # noqa: E402

SHORTEST = 0.05
SIZES = 3
RUNS = 3

# Makes input of a size, and returns what reads it.
Reader = Callable[[int], Callable[[], Any]]
LLAMA3 = FORMATS["llama3"]
PORT: dict[str, Any] = {"type": "object", "properties": {"port": {"type": "string"}}}


def reading(read: Callable[..., Any], text: Callable[[int], Any]) -> Reader:
    """Return what reads `text(size)`; that it may be refused is part of reading."""

    def prepare(size: int) -> Callable[[], Any]:
        given = text(size)

        def run() -> None:
            with suppress(ValueError, RecursionError, Rejected):
                read(given)

        return run

    return prepare


def row(layout: str, value: Callable[[int], Any]) -> Reader:
    """Return what cleans one row, all rules included."""
    return reading(
        lambda given: clean_row(RawRow(0, given, "", "line 1"), layout, "rows", Settings()), value
    )


def rows(value: Callable[[int], Any]) -> Reader:
    """Return what cleans that many rows, and compares them."""

    def text(size: int) -> list[RawRow]:
        return [RawRow(i, value(i), str(i), f"line {i}") for i in range(size)]

    return reading(lambda given: list(clean({"rows": given}, "openai", Settings())), text)


def file(read: Callable[[Path], Any], text: Callable[[int], str]) -> Reader:
    """Return what reads a file."""

    def run(given: str) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "file.json"
            path.write_text(given)
            read(path)

    return reading(run, text)


def call(arguments: Any, name: str = "find_tide") -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def turns(count: int) -> list[Any]:
    """Return a conversation of so many exchanges with a call each."""
    found: list[Any] = []
    for i in range(count):
        made = {"id": f"c{i}", "type": "function", "function": call({"port": f"p{i}"})}
        found += [
            {"role": "user", "content": f"Tide at port {i}?"},
            {"role": "assistant", "content": "", "tool_calls": [made]},
            {"role": "tool", "tool_call_id": f"c{i}", "content": "ok"},
            {"role": "assistant", "content": f"At {i}."},
        ]
    return found


def tool(parameters: Any = PORT, name: str = "find_tide") -> dict[str, Any]:
    return {"name": name, "description": "Finds a tide.", "parameters": parameters}


def openai(messages: list[Any], tools: list[Any] | None = None) -> dict[str, Any]:
    return {"messages": messages, "tools": [tool()] if tools is None else tools}


def asking(arguments: Any, parameters: Any = PORT) -> dict[str, Any]:
    """Return a row with one call."""
    made = {"role": "assistant", "tool_calls": [{"function": call(arguments)}]}
    return openai([{"role": "user", "content": "Tide?"}, made], [tool(parameters)])


def saying(text: str, role: str = "assistant") -> dict[str, Any]:
    """Return a row in which one turn says a text."""
    said = {"role": role, "content": text}
    others = [{"role": "user", "content": "Tide?"}]
    turns = [said, *others] if role == "system" else [*others, said]
    return openai([*turns, {"role": "assistant", "content": "x"}])


def glaive(chat: str, system: str = "SYSTEM: " + WITH_TOOLS + json.dumps(tool())) -> dict[str, Any]:
    return {"system": system, "chat": chat}


def keyed(count: int) -> str:
    """Return the text of an object with so many keys, the last of them twice."""
    return "{" + ", ".join(f'"k{i}": {i}' for i in range(count)) + f', "k{count - 1}": 0}}'


def nested(count: int, text: str = '{"name": [1, ') -> str:
    return text * count


def chained(keyword: str, count: int, leaf: Any = True) -> dict[str, Any]:
    """Return a chain of schemas each of which refers to the next one twice."""
    schemas: dict[str, Any] = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(count)
    }
    schemas[f"d{count}"] = leaf
    port = {"properties": {"port": {"$ref": "#/$defs/d0"}}}
    return {"type": "object", **port, "$defs": schemas}


def extended(keyword: str, count: int) -> dict[str, Any]:
    """Return a schema of objects each of which has the names of the one before it, and one more."""
    schemas: dict[str, Any] = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i - 1}"}], "properties": {f"p{i}": {}}}
        for i in range(1, count)
    }
    schemas["d0"] = {"type": "object", "properties": {"p0": {}}}
    properties = {f"a{i}": {"$ref": f"#/$defs/d{i}"} for i in range(count)}
    return {"type": "object", "properties": properties, "$defs": schemas}


def checks(schema: Callable[[int], Any], arguments: Callable[[int], Any]) -> Reader:
    """Return what checks the arguments of a call."""

    def prepare(size: int) -> tuple[Tool, Any]:
        return Tool("f", "", schema(size)), arguments(size)

    return reading(lambda given: validate_arguments(*given), prepare)


def described(parameters: Callable[[int], Any]) -> Reader:
    return reading(describe_function, lambda n: Tool("f", "", parameters(n)))


def streamed(text: Callable[[int], str], piece: int = 3, format: ChatFormat = LLAMA3) -> Reader:
    def read(given: str) -> None:
        stream = ReplyStream(format)
        for start in range(0, len(given), piece):
            list(stream.feed(given[start : start + piece]))
        list(stream.finish())

    return reading(read, text)


def served_reply(tokens: list[int]) -> None:
    reader = ReplyReader(ChatModel(random_model(TINY), DEMO, LLAMA3), ["and no more"])
    for token in tokens:
        reader.feed(token)
    reader.finish()


def followed(text: bytes) -> None:
    rules = Completions([{"pattern": "[0-9]{3}"}, {"pattern": "a.{12}b"}]).texts
    list(JsonText(rules=rules).feed(b'{"a": "' + text).completions())


def token_text(tokens: list[int]) -> None:
    text = TokenText(DEMO, LLAMA3)
    for token in tokens:
        text.feed(token)
    text.finish()


def tallied(count: int) -> None:
    tally = Tally.empty(1)
    for start in range(0, count, 250):
        part = Tally.empty(1)
        part.sources = {f"s{i}": 1 for i in range(start, start + 250)}
        tally.add(part)


def wire(count: int) -> list[Any]:
    """Return calls with their results in reverse order."""
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for i in range(count)
    ]
    results = [{"role": "tool", "tool_call_id": f"c{i}", "content": "1"} for i in range(count)]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *reversed(results)]


def answered(count: int, ids: bool = True) -> Conversation:
    calls = tuple(ToolCall(f"f{i}", {}, f"c{i}" if ids else None) for i in range(count))
    results = tuple(
        Message("tool", "1", name=f"f{i}", tool_call_id=f"c{i}" if ids else None)
        for i in reversed(range(count))
    )
    return Conversation((Message("assistant", "", calls), *results))


def written(count: int, text: str = "a") -> Conversation:
    said = (Message("user", "Tide?"), Message("assistant", text))
    return Conversation(said * count)


def uses(count: int) -> str:
    return write_reply("I look.", [ToolCall("f", {"a": i}) for i in range(count)], LLAMA3.calls)


def replies(format: ChatFormat) -> dict[str, Reader]:
    """Return what reads replies in the syntax of a format, as a whole and streamed."""
    syntax = format.calls

    def calls(size: int) -> str:
        """Return many calls, or one with a long argument where a turn has one."""
        if syntax.between:
            return write_reply("", [ToolCall("f", {"a": i}) for i in range(size)], syntax)
        return write_reply("", [ToolCall("f", {"a": list(range(size))})], syntax)

    def blanks(size: int) -> str:
        return write_reply("", [ToolCall("f", {})], syntax) + " " * size + "x"

    return {
        f"reply in {format.name}: calls": reading(lambda given: parse_reply(given, format), calls),
        f"stream in {format.name}: calls": streamed(calls, format=format),
        f"stream in {format.name}: a call and blanks": streamed(blanks, format=format),
    }


def prompts(format: ChatFormat) -> dict[str, Reader]:
    """Return what writes conversations in a format: with many turns of one kind, or many tools."""
    asked, answer = Message("user", "Tide?"), Message("assistant", "Noon.")
    called = Message("assistant", "", (ToolCall("f", {}, "c"),))
    result = Message("tool", "1", tool_call_id="c")
    conversations: dict[str, Callable[[int], Conversation]] = {
        "tools": lambda n: Conversation(
            (asked, answer), tuple(Tool(f"f{i}", "x", PORT) for i in range(n))
        ),
        "user turns": lambda n: Conversation((*[asked] * n, answer)),
        "results": lambda n: Conversation((*(asked, called, result) * n, answer)),
    }
    return {
        f"writing in {format.name}: {kind}": reading(
            lambda given: encode_conversation(given, format, BYTES[format.name]), conversation
        )
        for kind, conversation in conversations.items()
        if is_written(conversation(2), format)
    }


def served() -> dict[str, Reader]:
    """Return what reads replies as servers do: by the rules of parsers, and by templates."""
    openings = {"llama3": '{"name":', "mistral": "[TOOL_CALLS] ["}
    found: dict[str, Reader] = {}
    for server, parser in SERVER_PARSERS:
        read = partial(read_as, server, parser, tools=("f",))
        texts = hostile(openings.get(parser.removesuffix("_json"), "<tool_call>\n"))
        # The first brace that begins no JSON ends the reading of vLLM's parser.
        kinds = {"calls"} if parser == "llama3_json" else {"calls", "openings"}
        found |= {f"{server} {parser}: {kind}": reading(read, texts[kind]) for kind in kinds}
    for name in ("glaive_text", "mistral_v3", "phi3_xlam", "qwen2_5", "tool_call_tags"):
        read = partial(read_by_template, format_response_template(FORMATS[name]) or {})
        texts = hostile(FORMATS[name].calls.opening)
        found[f"template of {name}"] = reading(read, texts["a call and blanks"])
    return dict(sorted(found.items()))


def hostile(opening: str) -> dict[str, Callable[[int], str]]:
    """Return texts of a size that begin as calls do."""
    made = '"f", "arguments": {}}' if opening.endswith(":") else json.dumps(call({}, "f"))
    return {
        "openings": lambda n: (opening + "x ") * n,
        "calls": lambda n: (opening + made + "\n</tool_call>;") * n,
        "a call and blanks": lambda n: opening + made + " " * n + "x",
    }


def is_written(conversation: Conversation, format: ChatFormat) -> bool:
    try:
        render(conversation, format)
    except CannotWrite:
        return False
    return True


def long_chat(count: int) -> None:
    """Build a conversation of many replies, of which the first ones fit."""
    format = FORMATS["qwen3"]
    job = Job((Part(Path("rows")),), Path("tokenizer"), "qwen3", 200, 0.1, 0)
    _Encoder(job, 0, format, BYTES["qwen3"])._taken(written(count))


def request(count: int) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}, *wire(count)]}
    return json.dumps(body).encode()


def ordered(given: bytes) -> None:
    wanted = read_request(given)
    _results(wanted.messages[1:], 1)


def offered(given: bytes) -> None:
    _tools(read_request(given))


DEMO = load_tokenizer(ROOT / "tests" / "tokenizer.model")
# A tokenizer of bytes for each format, with its special tokens.
BYTES = {
    format.name: TiktokenTokenizer.of(
        Path("bytes.model"),
        "",
        {bytes([byte]): byte for byte in range(256)},
        {name: 256 + i for i, name in enumerate((*format.special_tokens, *format.end_tokens))},
        LLAMA3_CUTTING,
    )
    for format in FORMATS.values()
}
# One format for each syntax of calls that is not llama3's, which has readers of its own.
SYNTAXES = {
    format.calls: format
    for format in FORMATS.values()
    if format.calls.starts and format.calls != LLAMA3.calls
}
# These are written as others are.
ALIKE = ("llama3_short", "hermes_short", "qwen2_for_tool", "mistral_tekken")
TEXT = "The tide at Hull turns at noon, and the ferry leaves an hour before it does. "
PLACEHOLDERS = {
    "bracket": lambda n: "<a" + "_a" * n,
    "bracket, blanks": lambda n: "<a" + " a" * n,
    "word": lambda n: "your" + "_a" * n,
    "ends": lambda n: "your" + "_key" * n + "x",
    "variable": lambda n: "$var1" + ".a" * n + "!",
    "braces": lambda n: "{{" + " " * n + "a" + " " * n,
}
# A layout with rows that hold more and more of what it is made of.
LAYOUTS: Mapping[str, Callable[[int], Any]] = {
    "glaive": lambda n: glaive(
        "\n\n\n".join(
            f"USER: Tide {i}?\n\n\nASSISTANT: <functioncall> "
            f'{{"name": "find_tide", "arguments": \'{{"port": "{i}"}}\'}} <|endoftext|>'
            "\n\n\nFUNCTION RESPONSE: {}\n\n\nASSISTANT: Noon. <|endoftext|>"
            for i in range(n)
        )
    ),
    "xlam": lambda n: {
        "query": "Tide?",
        "tools": json.dumps([tool()]),
        "answers": json.dumps([call({"port": str(i)}) for i in range(n)]),
    },
    "lmflow": lambda n: {
        "type": "conversation",
        "system": "Hi",
        "tools": [json.dumps(tool())],
        "messages": [
            {"role": ("user", "assistant")[i % 2], "content": f"Tide {i}"} for i in range(2 * n)
        ],
    },
    "openai": lambda n: openai(turns(n)),
    "seal_tools": lambda n: {
        "conversations": [
            {
                "from": "human",
                "value": f"api_list = {[tool(PORT, f'f{i}') for i in range(n)]!r}"
                ' task_instruction = "Tide?" Output:',
            },
            {
                "from": "gpt",
                "value": repr(
                    [{"api": f"f{i}", "parameters": {}, "responses": []} for i in range(n)]
                ),
            },
        ]
    },
    "sharegpt": lambda n: {
        "tools": json.dumps([tool()]),
        "conversations": list(
            chain.from_iterable(
                [
                    {"from": "human", "value": f"Tide {i}?"},
                    {"from": "function_call", "value": json.dumps(call({"port": str(i)}))},
                    {"from": "observation", "value": "1"},
                    {"from": "gpt", "value": "Noon."},
                ]
                for i in range(n)
            )
        ),
    },
    "hammer": lambda n: {
        "instruction": "[BEGIN OF AVAILABLE TOOLS]\n"
        + json.dumps([tool(PORT, f"f{i}") for i in range(n)])
        + "\n[END OF AVAILABLE TOOLS]\n[BEGIN OF QUERY]\nTide?\n[END OF QUERY]",
        "output": "```\n" + json.dumps([call({"port": "x"}, f"f{i}") for i in range(n)]) + "\n```",
    },
    "gorilla": lambda n: {
        "question": "Tide?",
        "function": [tool(PORT, f"f{i}") for i in range(n)],
        "model_answer": [f"f{i}(port='x')" for i in range(n)],
    },
    "toolbench": lambda n: {
        "answer_generation": {"function": [tool()], "train_messages": [turns(n)]}
    },
    "prompt_completion": lambda n: {
        "prompt": turns(n)[:-1],
        "completion": turns(n)[-1:],
        "tools": [tool()],
    },
    "preference": lambda n: {
        "prompt": turns(n)[:-1],
        "chosen": turns(n)[-1:],
        "rejected": "Never.",
        "tools": [tool()],
    },
    "reward": lambda n: {
        "prompt": turns(n)[:-1],
        "reward_model": {"ground_truth": json.dumps([call({"port": str(i)}) for i in range(n)])},
        "tools": [tool()],
    },
    "responses": lambda n: {
        "input": [
            {"role": "user", "content": "Tides?"},
            *(
                {"type": "function_call", "call_id": f"c{i}", **call({"port": str(i)})}
                for i in range(n)
            ),
            *(
                {"type": "function_call_output", "call_id": f"c{i}", "output": "1"}
                for i in range(n)
            ),
        ],
        "tools": [tool()],
    },
    "anthropic": lambda n: {
        "messages": [
            {"role": "user", "content": "Tides?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": f"c{i}", "name": "find_tide", "input": {"port": "x"}}
                    for i in range(n)
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": f"c{i}", "content": "1"}
                    for i in range(n)
                ],
            },
            {"role": "assistant", "content": "Noon."},
        ],
        "tools": [tool()],
    },
    "gemini": lambda n: {
        "contents": [
            {"role": "user", "parts": [{"text": "Tides? "} for _ in range(n)]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "find_tide", "args": {"port": str(i)}}}
                    for i in range(n)
                ],
            },
        ],
        "tools": [{"functionDeclarations": [tool()]}],
    },
    "langchain": lambda n: {
        "input": "Tides?",
        "intermediate_steps": [
            [{"tool": "find_tide", "tool_input": {"port": str(i)}}, "1"] for i in range(n)
        ],
        "output": "Noon.",
        "tools": [tool()],
    },
    "mcp": lambda n: {
        "prompt": "Tides?",
        "trace": [
            {"jsonrpc": "2.0", "id": 0, "result": {"tools": [tool()]}},
            *(
                {"jsonrpc": "2.0", "id": i, "method": "tools/call", "params": call({"port": "x"})}
                for i in range(1, n)
            ),
            *({"jsonrpc": "2.0", "id": i, "result": {"content": []}} for i in range(1, n)),
        ],
    },
    "toolace": lambda n: {
        "system": json.dumps([tool()]) + " [func1(params_name=params_value)]",
        "conversations": [
            {"from": "user", "value": "Tides?"},
            {
                "from": "assistant",
                "value": f"[{', '.join(f'find_tide(port={i!r})' for i in map(str, range(n)))}]",
            },
        ],
    },
    "toolllama": lambda n: {
        "conversations": [
            {"from": "system", "value": f"You are AutoGPT, you can use many tools: {[tool()]!r}"},
            {"from": "user", "value": "Tides?\nBegin!\n"},
            *[
                {
                    "from": "assistant",
                    "value": "Action: find_tide\nAction Input: " + json.dumps({"port": "x"}),
                },
                {"from": "function", "value": "1"},
            ]
            * n,
        ]
    },
    "text": lambda n: {
        "text": "<|im_start|>user\nTide?<|im_end|>\n<|im_start|>assistant\nNoon.<|im_end|>\n" * n
    },
}
HOSTILE: Mapping[str, tuple[str, Callable[[int], Any]]] = {
    "text: end marks": ("text", lambda n: {"text": "<|im_start|>user\nx" + "</s>" * n}),
    "text: openings": ("text", lambda n: {"text": "<|im_start|>" * n}),
    "text: unclosed marks": ("text", lambda n: {"text": "[INST]" * n}),
    "text: closing marks": ("text", lambda n: {"text": "<user>" + "</user> " * n + "<tools>"}),
    "text: ends of glaive": ("text", lambda n: {"text": "SYSTEM: x" + "</s> " * n + "x"}),
    "toolllama: actions": (
        "toolllama",
        lambda n: {
            "conversations": [
                {"from": "system", "value": "You are AutoGPT, you can use many tools"},
                {"from": "assistant", "value": "Action: " * n + "\nAction:\n" * n + "\n" * n},
            ]
        },
    ),
    "toolace: an open list": (
        "toolace",
        lambda n: {
            "system": json.dumps([tool()]),
            "conversations": [{"from": "assistant", "value": "[find_tide(" + "[" * n}],
        },
    ),
    "toolace: many tools and calls": (
        "toolace",
        lambda n: {
            "system": json.dumps([tool(PORT, f"f{i}") for i in range(n)]),
            "conversations": [{"from": "gpt", "value": f"[f{i}(port='x')]"} for i in range(n)],
        },
    ),
    "hammer: unclosed marks": (
        "hammer",
        lambda n: {"instruction": "[BEGIN OF AVAILABLE TOOLS]" * n, "output": "[]"},
    ),
    "hammer: marks of many names": (
        "hammer",
        lambda n: {
            "instruction": "[BEGIN OF AVAILABLE TOOLS]"
            + "".join(f"[BEGIN OF {'A' * (i % 50 + 1)}]" for i in range(n)),
            "output": "[]",
        },
    ),
    "hammer: blanks in the output": (
        "hammer",
        lambda n: {
            "instruction": "[BEGIN OF AVAILABLE TOOLS][][END OF AVAILABLE TOOLS]"
            "[BEGIN OF QUERY]x[END OF QUERY]",
            "output": "```" + " " * n + "x",
        },
    ),
    "seal_tools: repeated marks": (
        "seal_tools",
        lambda n: {
            "conversations": [
                {"from": "human", "value": "api_list = " * n + ' task_instruction = "' * n},
                {"from": "gpt", "value": "[]"},
            ]
        },
    ),
    "seal_tools: blanks": (
        "seal_tools",
        lambda n: {
            "conversations": [
                {"from": "human", "value": "api_list = " + " " * n + 'task_instruction = "'},
                {"from": "gpt", "value": "[]"},
            ]
        },
    ),
    "glaive: an open call, then turns": (
        "glaive",
        lambda n: glaive(
            'USER: x\n\n\nASSISTANT: <functioncall> {"name": \'x' + "\n\n\nUSER: a }" * n
        ),
    ),
    "glaive: turns after an open call that never end": (
        "glaive",
        lambda n: glaive("ASSISTANT: <functioncall> {" + "\n\n\nUSER: a" * n),
    ),
    "glaive: line ends": ("glaive", lambda n: glaive("USER: x" + "\r\n\n" * n)),
    "glaive: many calls in a turn": (
        "glaive",
        lambda n: glaive(
            "USER: x\n\n\nASSISTANT: "
            + '<functioncall> {"name": "find_tide", "arguments": {}} ' * n
        ),
    ),
    "sharegpt: consecutive calls": (
        "sharegpt",
        lambda n: {
            "tools": json.dumps([tool()]),
            "conversations": [
                {"from": "human", "value": "x"},
                *[{"from": "function_call", "value": json.dumps(call({"port": "x"}))}] * n,
                *[{"from": "observation", "value": "1"}] * n,
                {"from": "gpt", "value": "x"},
            ],
        },
    ),
    "sharegpt: consecutive calls, one unanswered": (
        "sharegpt",
        lambda n: {
            "tools": json.dumps([tool()]),
            "conversations": [
                {"from": "human", "value": "x"},
                *[{"from": "function_call", "value": json.dumps(call({"port": "x"}))}] * n,
                *[{"from": "observation", "value": "1"}] * (n - 1),
                {"from": "gpt", "value": "x"},
            ],
        },
    ),
    "xlam: a key twice": (
        "xlam",
        lambda n: {
            "query": "x",
            "tools": "[]",
            "answers": '[{"name": "f", "arguments": ' + keyed(n) + "}]",
        },
    ),
    "gorilla: a key twice": (
        "gorilla",
        lambda n: {
            "question": "x",
            "function": [],
            "model_answer": f"f({', '.join(f'k{i}=1' for i in range(n))}, k0=1)",
        },
    ),
    "openai: one tool again and again": ("openai", lambda n: openai(turns(1), [tool()] * n)),
    "openai: tools of many names": (
        "openai",
        lambda n: openai(turns(1), [tool(), *(tool(PORT, f"f{i}") for i in range(n))]),
    ),
    "openai: names to be mended": (
        "openai",
        lambda n: openai(
            [
                {
                    **turn,
                    "tool_calls": [
                        {**c, "function": call({}, " functions.find_tide ")}
                        for c in turn["tool_calls"]
                    ],
                }
                if "tool_calls" in turn
                else turn
                for turn in turns(n)
            ]
        ),
    ),
    "openai: calls in one turn to be mended": (
        "openai",
        lambda n: openai(
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [{"function": call({}, " find_tide")}] * n},
            ]
        ),
    ),
    "openai: numbers in quotes, many calls": (
        "openai",
        lambda n: openai(
            turns(n),
            [
                tool(
                    {
                        "type": "object",
                        "properties": {"port": {"type": "string"}, "n": {"type": "integer"}},
                    }
                )
            ],
        ),
    ),
    "openai: results in reverse order": (
        "openai",
        lambda n: openai(
            [
                {"role": "user", "content": "x"},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": f"c{i}", "function": call({})} for i in range(n)],
                },
                *(
                    {"role": "tool", "tool_call_id": f"c{i}", "content": "1"}
                    for i in reversed(range(n))
                ),
                {"role": "assistant", "content": "x"},
            ]
        ),
    ),
    "openai: end marks": ("openai", lambda n: saying("x" + "<|im_end|> </s>" * n)),
    "openai: blanks": ("openai", lambda n: saying("x" + " " * n + "y")),
    "openai: call tags that never close": ("openai", lambda n: saying("<tool_call>" * n)),
    "openai: call tags": (
        "openai",
        lambda n: saying('<tool_call>{"name": "find_tide", "arguments": {}}</tool_call>' * n),
    ),
    "openai: marks of calls": (
        "openai",
        lambda n: saying('<functioncall> {"name": "find_tide", "arguments": {}}' * n),
    ),
    "openai: tags of broken calls": (
        "openai",
        lambda n: saying("Hm. " + '<tool_call>{"name": <tool>, </tool_call> ' * n),
    ),
    "openai: heads of functions": ("openai", lambda n: saying("<function=find_tide>{" * n)),
    "openai: calls between keys": (
        "openai",
        lambda n: saying("<tool_call>find_tide" + "<arg_key>a</arg_key><arg_value>" * n),
    ),
    "openai: fences": ("openai", lambda n: saying("```\n{}\n```\n" * n)),
    "openai: calls in fences": (
        "openai",
        lambda n: saying(("```\n" + json.dumps(call({})) + "\n```\n") * n),
    ),
    "openai: expressions": ("openai", lambda n: saying("find_tide(port='a')\n" * n)),
    "openai: open expressions": ("openai", lambda n: saying("[find_tide(port=[" * n + ")]")),
    "openai: actions": ("openai", lambda n: saying("Action: find_tide\nAction Input: {}\n" * n)),
    "openai: actions without input": ("openai", lambda n: saying("Action: find_tide\n\n" * n)),
    "openai: thoughts": ("openai", lambda n: saying("<think>x</think>\n" * n)),
    "openai: thoughts that never end": ("openai", lambda n: saying("x\n<think>" * n + "</think")),
    "openai: demands of a notation": (
        "openai",
        lambda n: saying("For each function call, return json within <tool_call> " * n, "system"),
    ),
    "openai: demands that name no notation": (
        "openai",
        lambda n: saying("If you need to, return json in the format of [func" * n, "system"),
    ),
    "openai: response tags": (
        "openai",
        lambda n: saying("<tool_response>x</tool_response>" * n, "tool"),
    ),
    "openai: control characters": ("openai", lambda n: saying("\x01a" * n)),
    "openai: parts": ("openai", lambda n: saying([{"type": "text", "text": "x"}] * n)),  # type: ignore[arg-type]
    "openai: a long name in arguments": (
        "openai",
        lambda n: asking({"port": "<your_port>", "k" * n: [{"a": 1}] * n}),
    ),
    "openai: placeholders said just before": (
        "openai",
        lambda n: openai(
            list(
                chain.from_iterable(
                    [
                        {"role": "user", "content": f"use <your_port_{i}>"},
                        {
                            "role": "assistant",
                            "tool_calls": [{"function": call({"port": f"<your_port_{i}>"})}],
                        },
                        {"role": "tool", "content": "1"},
                        {"role": "assistant", "content": "x"},
                    ]
                    for i in range(n)
                )
            )
        ),
    ),
    "openai: turns": (
        "openai",
        lambda n: openai(
            [{"role": ("user", "assistant")[i % 2], "content": "x"} for i in range(2 * n)]
        ),
    ),
    **{
        f"openai: placeholder, {name}": ("openai", lambda n, text=text: asking({"port": text(n)}))
        for name, text in PLACEHOLDERS.items()
    },
}
READERS: dict[str, Reader] = {
    **{f"{layout}: ordinary": row(layout, value) for layout, value in LAYOUTS.items()},
    **{name: row(layout, value) for name, (layout, value) in HOSTILE.items()},
    "rows that differ": rows(
        lambda i: openai([*turns(1)[:-1], {"role": "assistant", "content": f"{TEXT} {i}"}])
    ),
    "rows that repeat": rows(lambda i: openai(turns(1))),
    "balancing": reading(
        lambda given: balance(given, 3), lambda n: written(n, " " * 100 + "x please")
    ),
    "results by id": reading(linked_results, answered),
    "results by name": reading(linked_results, lambda n: answered(n, ids=False)),
    "whole assistants": reading(
        whole_assistants,
        lambda n: Conversation((Message("assistant", "", (ToolCall("f", {}),)),) * n),
    ),
    # Calls as text.
    "calls: JSON": reading(
        read_calls, lambda n: json.dumps([call({"port": str(i)}) for i in range(n)])
    ),
    "calls: one after the other": reading(
        read_calls, lambda n: (json.dumps(call({"port": "x"})) + "\n") * n
    ),
    "calls: a key twice": reading(
        read_calls, lambda n: '{"name": "f", "arguments": ' + keyed(n) + "}"
    ),
    "calls: single quotes": reading(
        read_calls, lambda n: '{"name": "f", "arguments": \'' + "' " * n
    ),
    "calls: single quotes, name last": reading(
        read_calls, lambda n: '{"arguments": \'' + '\', "name": "f' * n
    ),
    "calls: escapes": reading(
        read_calls, lambda n: '{"name": "f", "arguments": \'{"a": "' + "\\'" * n + "\"}'}"
    ),
    "calls: blanks": reading(read_calls, lambda n: '{"name"' + " " * n),
    "calls: Python": reading(read_calls, lambda n: repr([call({"port": "it's"})] * n)),
    "Python: an open text": reading(read_literal, lambda n: "['" + "\\'" * n),
    "Python: numbers": reading(read_literal, lambda n: "[" + "1_0, " * n + "]"),
    "Python: a long number": reading(read_literal, lambda n: "1" * n + "x"),
    "Python: calls": reading(read_call_expressions, lambda n: "[" + "f(a=1), " * n + "]"),
    # Tools in system texts.
    "system: announced": reading(
        lambda given: read_system(given, ""),
        lambda n: WITH_TOOLS + "\n".join(json.dumps(tool(PORT, f"f{i}")) for i in range(n)),
    ),
    "system: nested beginnings": reading(lambda given: read_system(given, ""), nested),
    "system: nested beginnings again and again": reading(
        lambda given: read_system(given, ""), lambda n: (nested(300) + "x ") * n
    ),
    "system: nested beginnings, Python": reading(
        lambda given: read_system(given, ""), lambda n: nested(n, "{'name': [1, ") + "]"
    ),
    "system: beginnings in quotes": reading(
        lambda given: read_system(given, ""), lambda n: nested(n, '{"name": "\\\\"')
    ),
    "system: beginnings, closed": reading(
        lambda given: read_system(given, ""), lambda n: '{"name": 1, x} ' * n
    ),
    "system: brackets and blanks": reading(
        lambda given: read_system(given, ""), lambda n: ("[" + " " * 50) * n
    ),
    "system: tags": reading(lambda given: read_system(given, ""), lambda n: "<tools> </tools>" * n),
    "system: opening tags": reading(lambda given: read_system(given, ""), lambda n: "<tools>" * n),
    "system: prose": reading(lambda given: read_system(given, ""), lambda n: TEXT * n),
    # Files of rows.
    "file: a list": file(
        lambda path: list(read_rows(path)), lambda n: json.dumps([openai(turns(1))] * n)
    ),
    "file: lines": file(
        lambda path: list(read_rows(path)), lambda n: (json.dumps(openai(turns(1))) + "\n") * n
    ),
    "file: an object around rows": file(
        lambda path: list(read_rows(path)),
        lambda n: (
            '{"type": "conversation", "instances": ' + json.dumps([openai(turns(1))] * n) + "}"
        ),
    ),
    "file: objects of many lines": file(
        lambda path: list(read_rows(path)),
        lambda n: (json.dumps(openai(turns(1)), indent=1) + "\n") * n,
    ),
    "file: one long row": file(
        lambda path: list(read_rows(path)), lambda n: json.dumps([openai(turns(n))])
    ),
    "file: a text that never ends": file(
        lambda path: list(read_rows(path)), lambda n: '[{"a": "' + "x" * 20 * n
    ),
    "file: an object with many texts": file(
        lambda path: list(read_rows(path)), lambda n: "{" + '"k": "v",\n' * n
    ),
    "file: BFCL": file(
        lambda path: read_tasks(path),
        lambda n: "".join(
            json.dumps(
                {
                    "id": f"irrelevance_{i}",
                    "question": [[{"role": "user", "content": "x"}]],
                    "function": [tool()],
                }
            )
            + "\n"
            for i in range(n)
        ),
    ),
    "file: BFCL, a long id": file(
        lambda path: read_tasks(path),
        lambda n: json.dumps(
            {"id": "irrelevance" + "_1-1" * n + "x", "question": [[]], "function": []}
        ),
    ),
    "file: predictions": file(
        lambda path: read_predictions(path, LLAMA3),
        lambda n: "".join(json.dumps({"id": str(i), "text": TEXT}) + "\n" for i in range(n)),
    ),
    "file: NexusRaven": file(
        lambda path: read_queries(path, path),
        lambda n: "".join(
            json.dumps(
                {
                    "dataset": "d",
                    "name": f"f{i}",
                    "args_dicts": [],
                    "prompt": "x",
                    "python_function_name": f"f{i}",
                    "python_args_dict": "{}",
                    "context_functions": [f"f{i}"],
                }
            )
            + "\n"
            for i in range(n)
        ),
    ),
    # Schemas.
    "schema: normalised": reading(
        read_tool,
        lambda n: tool(
            {f"p{i}": {"type": "List[int], optional", "description": "x"} for i in range(n)}
        ),
    ),
    "schema: a list of types": reading(
        read_tool,
        lambda n: tool(
            {
                "type": "object",
                "properties": {
                    "a": {
                        "type": [f"List[{'List[' * (i % 60)}int{']' * (i % 60)}]" for i in range(n)]
                    }
                },
            }
        ),
    ),
    "schema: a type many times": reading(
        read_tool, lambda n: tool({"type": "object", "properties": {"a": {"type": ["string"] * n}}})
    ),
    "schema: required names": reading(
        read_tool,
        lambda n: tool(
            {
                "type": "object",
                "properties": {f"p{i}": {} for i in range(n)},
                "required": ", ".join(f"p{i}" for i in range(n)),
            }
        ),
    ),
    "schema: type names with remarks": reading(
        lambda given: [read_type(text) for text in given],
        lambda n: [f"{i}" + ",;( " * 250 + "optional" for i in range(n)],
    ),
    "schema: type names, many remarks": reading(
        lambda given: [read_type(text) for text in given],
        lambda n: [f"t{i} " + "optional " * 120 for i in range(n)],
    ),
    "schema: patterns": reading(
        read_tool,
        lambda n: tool({"type": "object", "properties": {"a": {"pattern": "(a|b)?" * n}}}),
    ),
    "schema: checked": reading(
        schema_problem,
        lambda n: Tool(
            "f",
            "",
            {"type": "object", "properties": {f"p{i}": {"pattern": "^a+$"} for i in range(n)}},
        ),
    ),
    "schema: names inside": checks(
        lambda n: {
            "type": "object",
            "$defs": {f"d{i}": {"$anchor": f"a{i}", "type": "string"} for i in range(n)},
            "properties": {f"p{i}": {"$ref": f"#a{i}"} for i in range(n)},
        },
        lambda n: {f"p{i}": "x" for i in range(n)},
    ),
    "schema: required that repeats": reading(
        schema_problem,
        lambda n: Tool(
            "f", "", {"type": "object", "required": [{"a": i} for i in range(n)], "not": {}}
        ),
    ),
    # Arguments.
    **{
        f"arguments: chained {keyword}": checks(
            lambda n, keyword=keyword: chained(keyword, n % 40 + 8, {"type": "string"}),
            lambda n: {"port": ["x"] * n},
        )
        for keyword in ("allOf", "anyOf", "oneOf")
    },
    "arguments: chained allOf, longer": checks(
        lambda n: chained("allOf", min(n, 80), {"type": "object"}),
        lambda n: {"port": {str(i): 1 for i in range(n)}},
    ),
    "arguments: many references to one schema": checks(
        lambda n: {
            "$defs": {"d": {"properties": {f"p{i}": {} for i in range(n)}}},
            "allOf": [{"$ref": "#/$defs/d"}] * n,
        },
        lambda n: {"p1": 1},
    ),
    "arguments: a tree of references": checks(
        lambda n: {
            "$defs": {
                "d": {
                    "anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/d"}}]
                }
            },
            "properties": {"a": {"$ref": "#/$defs/d"}},
        },
        lambda n: {"a": [["x", ["y"]]] * n},
    ),
    "arguments: nested": checks(
        lambda n: {
            "$defs": {
                "d": {
                    "anyOf": [
                        {"properties": {"n": {"$ref": "#/$defs/d"}}, "required": ["x"]},
                        {"properties": {"n": {"$ref": "#/$defs/d"}}},
                    ]
                }
            },
            "$ref": "#/$defs/d",
        },
        lambda n: {"n": {"n": {"n": {"a": [0] * n}}}},
    ),
    "arguments: a list": checks(
        lambda n: {"properties": {"a": {"items": {"type": "number", "multipleOf": 1}}}},
        lambda n: {"a": list(range(n))},
    ),
    "arguments: distinct objects": checks(
        lambda n: {"properties": {"a": {"uniqueItems": True}}},
        lambda n: {"a": [{"a": i} for i in range(n)]},
    ),
    "arguments: choices": checks(
        lambda n: {"properties": {"a": {"items": {"enum": [f"c{i}" for i in range(n)]}}}},
        lambda n: {"a": [f"c{i}" for i in range(n)]},
    ),
    "arguments: patterned names": checks(
        lambda n: {"patternProperties": {"^(a+)+$": {}, "^b": {}}, "additionalProperties": False},
        lambda n: {f"b{i}": 1 for i in range(n)},
    ),
    "arguments: many patterns": checks(
        lambda n: {"patternProperties": {f"^a{i}$": {} for i in range(n)}},
        lambda n: {f"b{i}": 1 for i in range(20)},
    ),
    "arguments: unevaluated items": checks(
        lambda n: {"properties": {"a": {"allOf": [{"items": True}], "unevaluatedItems": False}}},
        lambda n: {"a": [0] * n},
    ),
    "arguments: unevaluated names": checks(
        lambda n: {
            "allOf": [{"properties": {f"p{i}": {} for i in range(n)}}],
            "unevaluatedProperties": False,
        },
        lambda n: {f"p{i}": 1 for i in range(n)},
    ),
    "arguments: wrong types": checks(
        lambda n: {"properties": {"a": {"items": {"type": "string", "minLength": 1, "not": {}}}}},
        lambda n: {"a": list(range(n))},
    ),
    "pattern: nested repetition": reading(
        lambda text: matches("^(a+)+$", text), lambda n: "a" * n + "!"
    ),
    "pattern: alternatives": reading(
        lambda text: matches(r"^(\w|\d|a)*$", text), lambda n: "a1" * n + "!"
    ),
    "pattern: mail": reading(
        lambda text: matches(r"^[\w.+-]+@[\w-]+\.[\w.-]+$", text), lambda n: "é." * n
    ),
    "pattern: not anchored": reading(lambda text: matches(r"a+b", text), lambda n: "a" * n),
    "patterns that look around": reading(
        lambda texts: [_try(r"^(?:(?=a)a+)+$", text) for text in texts],
        lambda n: ["a" * 40 + "!"] * n,
    ),
    "pattern: rewritten": reading(lambda text: _try(text, ""), lambda n: r"[\w-]\d{,3}" * n),
    # Announcing.
    "announced: properties": described(
        lambda n: {
            "type": "object",
            "properties": {f"p{i}": {"type": "string", "description": "x"} for i in range(n)},
            "required": [f"p{i}" for i in range(n)],
        }
    ),
    "announced: a type twice": described(
        lambda n: functools.reduce(
            lambda inner, _: {"type": ["object", "object"], "properties": {"a": inner}},
            range(30),
            {"enum": ["x"] * n},
        )
    ),
    "announced: choices and types": described(
        lambda n: {
            "properties": {
                "a": {
                    "enum": [f"c{i}" for i in range(n)],
                    "type": ["string", *(f"t{i}" for i in range(n))],
                }
            }
        }
    ),
    "announced: quotes in a list": described(
        lambda n: {
            "properties": {
                "a": {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"type": "object", "properties": {"b": {"description": '\\"' * n}}},
                            {"type": "string"},
                        ]
                    },
                }
            }
        }
    ),
    "announced: options": described(
        lambda n: {
            "properties": {
                "a": {"anyOf": [{"type": "object", "properties": {f"p{i}": {}}} for i in range(n)]}
            }
        }
    ),
    # Constrained decoding.
    "enforced: properties": reading(
        enforceable,
        lambda n: Tool(
            "f",
            "",
            {
                "type": "object",
                "properties": {f"p{i}": {"type": "string", "description": "x"} for i in range(n)},
            },
        ),
    ),
    "enforced: classes": reading(
        enforceable, lambda n: Tool("f", "", {"properties": {"a": {"pattern": "[^" * n}}})
    ),
    "enforced: classes that end": reading(
        enforceable, lambda n: Tool("f", "", {"properties": {"a": {"pattern": "[^ab]" * n}}})
    ),
    **{
        f"enforced: objects that extend one another by {keyword}": reading(
            enforceable, lambda n, keyword=keyword: Tool("f", "", extended(keyword, n))
        )
        for keyword in ("allOf", "anyOf", "oneOf")
    },
    "JSON under way: a number": reading(
        lambda text: JsonText().feed(text), lambda n: b'{"a": 0.' + b"1" * n
    ),
    "JSON under way: a text that rules follow": reading(followed, lambda n: b"a0\\n " * n),
    "JSON under way: a text": reading(
        lambda text: JsonText().feed(text), lambda n: b'{"a": "' + b"\\n" * n
    ),
    # Replies.
    "reply: calls": reading(lambda text: parse_reply(text, LLAMA3), uses),
    "reply: a key twice": reading(
        lambda text: parse_reply(text, LLAMA3),
        lambda n: '{"tool_uses": [{"recipient_name": "f", "parameters": ' + keyed(n) + "}]}",
    ),
    "reply: braces": reading(lambda text: parse_reply(text, LLAMA3), lambda n: "{" * n),
    "reply: braces and blanks": reading(
        lambda text: parse_reply(text, LLAMA3), lambda n: ("{" + " " * 50) * n
    ),
    "stream: text": streamed(lambda n: TEXT * n),
    "stream: many calls": streamed(uses),
    "stream: one long call": streamed(
        lambda n: (
            '{"tool_uses": [{"recipient_name": "f", "parameters": {"a": "' + "x y" * n + '"}}]}'
        )
    ),
    "stream: a call that never ends": streamed(
        lambda n: '{"tool_uses": [{"recipient_name": "f", "parameters": {"a": [' + "{}, " * n
    ),
    "stream: a brace and blanks": streamed(lambda n: "{" + " " * n),
    "stream: blanks": streamed(lambda n: "x" + " " * n),
    "stream: braces": streamed(lambda n: "{ " * n),
    "stream: one letter at a time": streamed(lambda n: TEXT * n, 1),
    **dict(chain.from_iterable(replies(format).items() for format in SYNTAXES.values())),
    **served(),
    **dict(
        chain.from_iterable(
            prompts(format).items() for name, format in FORMATS.items() if name not in ALIKE
        )
    ),
    "building: a chat of many replies": reading(long_chat, lambda n: n),
    "stream: tokens": reading(token_text, lambda n: DEMO.encode(TEXT * n)),
    "stream: tokens of parts of characters": reading(
        token_text, lambda n: DEMO.encode("😀")[:1] * n
    ),
    "reply served: a long call": reading(
        served_reply,
        lambda n: DEMO.encode(
            '{"tool_uses": [{"recipient_name": "f", "parameters": {"a": "' + "x y" * n + '"}}]}'
        ),
    ),
    "reply served: a call that never ends": reading(
        served_reply,
        lambda n: DEMO.encode(
            '{"tool_uses": [{"recipient_name": "f", "parameters": {"a": [' + '{"b": 1}, ' * n
        ),
    ),
    "stop text that is nearly met": reading(
        lambda text: _Stop("a" * 5000 + "b").find(text), lambda n: "a" * n
    ),
    "stop text, long": reading(lambda text: _Stop(text).find(text[:-1]), lambda n: "ab" * n),
    # Requests.
    "request: results in reverse order": reading(ordered, request),
    "request: tools": reading(
        offered,
        lambda n: json.dumps(
            {
                "model": "m",
                "messages": [{"role": "user", "content": "x"}],
                "tools": [{"type": "function", "function": tool(PORT, f"f{i}")} for i in range(n)],
            }
        ).encode(),
    ),
    "request: results to an endpoint": reading(
        lambda given: wire_messages(given.messages, {}), lambda n: answered(n)
    ),
    "request: results without ids": reading(
        lambda given: wire_messages(given.messages, {}), lambda n: answered(n, ids=False)
    ),
    "request: names that collide": reading(
        wire_names,
        lambda n: [Tool(f"é{i:b}".replace("0", "é").replace("1", "ü")) for i in range(n)],
    ),
    # BFCL's source text.
    **{
        f"Java: {kind} {text}": reading(
            lambda given, kind=kind: read_java(given, kind), lambda n, text=text: text * n
        )
        for kind, text in [
            ("ArrayList", "new ArrayList<>(Arrays.asList("),
            ("ArrayList", "new ArrayList<a>(Arrays.asList(1)"),
            ("Array", "new int[]{"),
            ("HashMap", "new HashMap<"),
            ("HashMap", "new HashMap<a> "),
        ]
    },
    "Java: a list that is added to": reading(
        lambda text: read_java(text, "ArrayList"),
        lambda n: "new ArrayList<>() {{ " + "add(" * n + "}}",
    ),
    "Java: a map that is put to": reading(
        lambda text: read_java(text, "HashMap"),
        lambda n: "new HashMap<>() {{ " + 'put("' * n + '",' * n + "}}",
    ),
    "Java: a map with lines": reading(
        lambda text: read_java(text, "HashMap"),
        lambda n: "new HashMap<>() {{ " + 'put("\n' * n + '",' * n + "}}",
    ),
    "Java: a full map": reading(
        lambda text: read_java(text, "HashMap"),
        lambda n: "new HashMap<>() {{ " + 'put("a", 1); ' * n + "}}",
    ),
    "JavaScript: lists": reading(lambda text: read_javascript(text, "array"), lambda n: "[" * n),
    "JavaScript: lists of lists": reading(
        lambda text: read_javascript(text, "array"), lambda n: "[" + "[1], " * n + "[2]]"
    ),
    "JavaScript: lists of lists that do not end": reading(
        lambda text: read_javascript(text, "array"), lambda n: "[" + "[1], " * n
    ),
    "JavaScript: an object": reading(
        lambda text: read_javascript(text, "dict"), lambda n: "{" + "a: 1, " * n + "}"
    ),
    "JavaScript: commas": reading(
        lambda text: read_javascript(text, "dict"), lambda n: "{a:" + ", " * n + "}"
    ),
    "JavaScript: words": reading(
        lambda text: read_javascript(text, "dict"), lambda n: "{a: " + "b, " * n + "c: 1}"
    ),
    "JavaScript: colons": reading(
        lambda text: read_javascript(text, "dict"), lambda n: "{" + ": , " * n + "}"
    ),
    # Building.
    "tally": lambda n: lambda: tallied(n),
    "rendering": reading(
        lambda given: tokenize(render(given, LLAMA3), DEMO), lambda n: written(n, TEXT)
    ),
    "turns that can be read back": reading(
        lambda given: check_readable(given, LLAMA3), lambda n: written(n, TEXT)
    ),
    "tokens: blanks": reading(DEMO.encode, lambda n: " " * n),
    "tokens: letters": reading(DEMO.encode, lambda n: "a" * n),
    "tokens: line ends": reading(DEMO.encode, lambda n: "\n" * n),
    "tokens: text": reading(DEMO.encode, lambda n: TEXT * n),
    "tool groups": reading(
        group_tools,
        lambda n: [
            Conversation((), (Tool(f"f{i}", "x"), Tool(f"f{i + 1}", "y"))) for i in range(n)
        ],
    ),
    "scoring: values": reading(
        lambda given: score(given, given), lambda n: [ToolCall("f", {f"a{i}": i for i in range(n)})]
    ),
    "printable": reading(printable, lambda n: "\x1b[0m" * n),
}


def _try(pattern: str, text: str) -> None:
    with suppress(TooCostly):
        matches(pattern, text)


def measured(name: str) -> dict[str, Any]:
    """Return the sizes, from the first that takes long enough, and the seconds of each run."""
    size = 8
    while (seconds := median(first := _runs(name, size))) < SHORTEST:
        size *= 2 if seconds > SHORTEST / 10 else 8
    sizes = [size << step for step in range(SIZES)]
    return {"sizes": sizes, "seconds": [first, *(_runs(name, size) for size in sizes[1:])]}


def _runs(name: str, size: int) -> list[float]:
    run = READERS[name](size)
    return [_seconds(run) for _ in range(RUNS)]


def _seconds(run: Callable[[], Any]) -> float:
    for value in gc.get_objects():
        if type(value) is functools._lru_cache_wrapper:
            value.cache_clear()
    re.purge()
    # Garbage collection takes time at some sizes only.
    gc.collect()
    gc.disable()
    start = process_time()
    run()
    taken = process_time() - start
    gc.enable()
    return taken


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
