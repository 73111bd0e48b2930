"""Record what the tool-call parsers of vLLM and SGLang read, in an environment of their own.

    python tests/export/record_verdicts.py

Not part of the tests: it rewrites `verdicts.json` beside it, from what the chat formats write and
the replies in `other_replies.json`.
The environment was a Python 3.11 with the project's requirements and, without what they depend on
(`pip install --no-deps`), vllm 0.33.0 and sglang 0.5.23 as published, to which were added
partial-json-parser, ijson, mistral_common, xgrammar, msgspec, cachetools, cbor2, blake3, pyzmq,
cloudpickle, orjson, gguf and what those imports asked for. No GPU and no kernels: only the parsers
run, unchanged, each through the code of its server that calls it, whole replies and replies fed a
piece at a time.

For each parser the file has the replies it read something in: calls, content, and under
"streamed" the same for a reply in pieces of so many characters, where more than the white space
around the content differs; only for the formats that the parser serves, and with the tags in pieces
too where they are ordinary text for one of them. A reply that is not listed was left as text.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT))

from chat.conversation import Tool  # noqa: E402
from chat.formats.known import FORMATS  # noqa: E402
from export.response_templates import CALL_FIELDS, response_template  # noqa: E402
from export.serve_check import written_replies  # noqa: E402
from export.servers import PARSERS  # noqa: E402
from export.shapes import TOOLS  # noqa: E402

PLUGIN = ROOT / "export" / "llama3_tool_parser.py"
# Characters a piece when a reply is streamed.
PIECES = (1, 2, 3, 5, 8)
# Tokens that a parser looks for in the vocabulary; the other tokens are characters.
SPECIAL = ("<|python_tag|>", "[TOOL_CALLS]", "<tool_call>", "</tool_call>", "<|eot_id|>")
# What stands behind the size of pieces where no token is special.
AS_TEXT = ", all ordinary text"
# vLLM's xlam reads Mistral's lists too, and loses arguments when they are streamed;
# phi4_mini_json reads none of the formats.
VLLM_PARSERS = ("llama3_json", "hermes", "mistral", "tool_uses", "hf")
SGLANG_PARSERS = ("llama3", "qwen25", "hermes", "mistral", "response_template")
BY_TEMPLATE = {"hf", "response_template"}
# The end of every prompt: the opening of the reply, which a response template looks for.
OPENING = "ASSISTANT:"
# Formats whose replies are those of another.
SAME_REPLIES = {
    "llama3_short": "llama3",
    "qwen3": "qwen2_5",
    "hermes": "qwen2_5",
    "hermes_short": "qwen2_5",
    "qwen2_for_tool": "llama3_for_tool",
}
Read = dict[str, Any]
# Reads a text in pieces of so many characters, between special tokens; of 0: as a whole.
Reader = Callable[[str, int, Sequence[str]], Read]


class Characters:
    """A tokenizer of characters and a few special tokens."""

    is_fast = True

    def __init__(self, template: dict[str, Any] | None) -> None:
        self.response_template = template
        self.init_kwargs: dict[str, Any] = {}
        self._tokens = [*SPECIAL]
        self._ids = {token: i for i, token in enumerate(SPECIAL)}

    def get_vocab(self) -> dict[str, int]:
        return self._ids

    def encode(self, text: str, **_: Any) -> list[int]:
        return [self._id(token) for token in cut(text, 1, SPECIAL)]

    def decode(self, ids: Any, **_: Any) -> str:
        return "".join(self._tokens[i] for i in ([ids] if isinstance(ids, int) else ids))

    def _id(self, token: str) -> int:
        if token not in self._ids:
            self._ids[token] = len(self._tokens)
            self._tokens.append(token)
        return self._ids[token]


def cut(text: str, size: int, special_tokens: Sequence[str]) -> Iterator[str]:
    """Yield a text in pieces of so many characters; a special token is a piece of its own."""
    while text:
        special = next((token for token in special_tokens if text.startswith(token)), None)
        places = [text.find(token) for token in special_tokens if token in text]
        length = len(special) if special else min([size, *(place for place in places if place > 0)])
        yield text[:length]
        text = text[length:]


def openai_tool(tool: Tool) -> dict[str, Any]:
    return tool.to_record()


def vllm_reader(name: str, template: dict[str, Any] | None) -> Reader:
    """Return a function that reads a reply as vLLM does."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser.parser_manager import ParserManager

    tools = [openai_tool(tool) for tool in TOOLS]
    messages = [{"role": "user", "content": "Hello"}]
    tokenizer = Characters(template)
    parser_class = ParserManager.get_parser(
        tool_parser_name=name, enable_auto_tools=True, tokenizer=tokenizer
    )

    def read(text: str, size: int, special: Sequence[str]) -> Read:
        request = ChatCompletionRequest(messages=messages, model="m", tools=tools)
        parser = parser_class(tokenizer, request.tools)
        if not size:
            _, content, calls = parser.parse(text, request, enable_auto_tools=True)
            return told(content, [(call.name, call.arguments) for call in calls or ()])
        parser._enable_auto_tools = True
        pieces = list(cut(text, size, special)) or [""]
        content, made = "", dict[int, list[str]]()
        for number, piece in enumerate(pieces, 1):
            delta = parser.parse_delta(
                piece,
                tokenizer.encode(piece),
                request,
                prompt_token_ids=tokenizer.encode(OPENING),
                finished=number == len(pieces),
            )
            content += (delta.content or "") if delta else ""
            for call in delta.tool_calls if delta else ():
                parts = made.setdefault(call.index, ["", ""])
                parts[0] += call.function.name or ""
                parts[1] += call.function.arguments or ""
        return told(content, [tuple(parts) for _, parts in sorted(made.items())])

    return read


def sglang_reader(name: str, template: dict[str, Any] | None) -> Reader:
    """Return a function that reads a reply as SGLang does."""
    from sglang.srt.entrypoints.openai.protocol import Tool as ServerTool
    from sglang.srt.function_call.function_call_parser import FunctionCallParser

    tools = [ServerTool(**openai_tool(tool)) for tool in TOOLS]

    def read(text: str, size: int, special: Sequence[str]) -> Read:
        parser = FunctionCallParser(tools, name, tokenizer=Characters(template))
        if not size:
            content, calls = parser.parse_non_stream(text)
            return told(content, [(call.name, call.parameters) for call in calls])
        content, made = "", dict[int, list[str]]()
        feeds: list[Callable[[], Any]] = [
            *(
                lambda piece=piece: parser.parse_stream_chunk(piece)
                for piece in cut(text, size, special)
            ),
            parser.parse_stream_end,
        ]
        for feed in feeds:
            piece_of_content, calls = feed()
            content += piece_of_content or ""
            for call in calls:
                parts = made.setdefault(call.tool_index, ["", ""])
                parts[0] += call.name or ""
                parts[1] += call.parameters or ""
        send_rest(parser.detector, made)
        return told(content, [tuple(parts) for _, parts in sorted(made.items())])

    return read


def send_rest(detector: Any, made: dict[int, list[str]]) -> None:
    """Add the arguments of the last call that were not sent, as SGLang's chat endpoint does."""
    seen, sent = detector.prev_tool_call_arr, detector.streamed_args_for_tool
    last = len(seen) - 1
    if not seen or not sent or last >= len(sent):
        return
    arguments = seen[last].get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    if text.startswith(sent[last]) and last in made:
        made[last][1] += text[len(sent[last]) :]


def told(content: str | None, calls: list[Any]) -> Read:
    return {"content": content or "", "calls": [list(call) for call in calls]}


def verdicts(read: Reader, replies: dict[str, str], served: set[str]) -> dict[str, Any]:
    """Return what a parser read in each reply by its name; not those it left as text.

    `served` are the formats whose replies it reads streamed, too.
    """
    streamed = {SAME_REPLIES.get(name, name) for name in served}
    ordinary = {
        SAME_REPLIES.get(name, name) for name in served if not FORMATS[name].calls.special_tokens
    }
    found = {}
    for name, text in replies.items():
        whole = guarded(read, text, 0, SPECIAL)
        verdict = dict(whole)
        format_name = name.split(": ")[0]
        ways: dict[str, Sequence[str]] = {"": SPECIAL} if format_name in streamed else {}
        if format_name in ordinary and any(token in text for token in SPECIAL):
            ways[AS_TEXT] = ()
        for way, special in ways.items():
            for size in PIECES:
                other = guarded(read, text, size, special)
                if without_white_space(other) != without_white_space(whole):
                    verdict.setdefault("streamed", {})[f"{size}{way}"] = other
        if verdict != told(text, []):
            found[name] = verdict
    return found


def without_white_space(read: Read) -> Read:
    """Return what was read without white space around its content."""
    return {**read, "content": read.get("content", "").strip()}


def guarded(read: Reader, text: str, size: int, special: Sequence[str]) -> Read:
    try:
        return read(text, size, special)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def main() -> None:
    logging.disable(logging.CRITICAL)
    from vllm.tool_parsers import ToolParserManager

    ToolParserManager.import_tool_parser(str(PLUGIN))
    replies = {
        name: written_replies(row)[0] for name, row in FORMATS.items() if name in CALL_FIELDS
    }
    for other, same in SAME_REPLIES.items():
        assert replies.pop(other) == replies[same], other
    others = json.loads((HERE / "other_replies.json").read_text(encoding="utf-8"))
    replies["no format"] = others
    everything = {
        f"{name}: {shape}": t for name, texts in replies.items() for shape, t in texts.items()
    }
    record: dict[str, Any] = {"versions": {}, "replies": everything, "verdicts": {}}
    for server, names, reader in (
        ("vllm", VLLM_PARSERS, vllm_reader),
        ("sglang", SGLANG_PARSERS, sglang_reader),
    ):
        record["versions"][server] = version(server)
        for name in names:
            served = {row for row, parsers in PARSERS.items() if name in parsers.get(server, ())}
            if name not in BY_TEMPLATE:
                record["verdicts"][f"{server} {name}"] = verdicts(
                    reader(name, None), everything, served
                )
                continue
            found = record["verdicts"][f"{server} {name}"] = {}
            for format_name in CALL_FIELDS.keys() & replies.keys():
                template = response_template(format_name, [OPENING], ["<|eot_id|>"])
                own = {
                    key: t for key, t in everything.items() if key.startswith(f"{format_name}: ")
                }
                found |= verdicts(reader(name, template), own, served)
    text = json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True)
    (HERE / "verdicts.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
