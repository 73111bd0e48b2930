"""Cut the texts that chat formats write at the formats' marks, and read calls as they read them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chat.conversation import ToolCall
from chat.formats import hermes, llama3, llama3_1, lmflow, mistral, phi3_xlam, qwen
from chat.formats import tool_call_tags as tags
from chat.formats.call_syntax import CallSyntax, read_reply
from chat.formats.typescript import END_OF_TYPE
from chat.strict_json import LENIENT_DECODER
from data.outcomes import Change, Rejected, records
from data.reading import glaive
from data.reading.contents import json_or_text
from data.reading.declarations import decode_tools
from data.reading.end_marks import without_end_mark
from data.reading.turns import END


@dataclass(frozen=True)
class Text:
    """What a rendered text says: turns in OpenAI's shape, and tools announced beside a system.

    has_types: Whether it announces tools as TypeScript, which does not hold their schemas.
    """

    turns: list[dict[str, Any]]
    tools: Any = None
    changes: tuple[Change, ...] = ()
    has_types: bool = False


@dataclass(frozen=True)
class Family:
    """Formats with the same marks: what a text of theirs begins with, and how it is read."""

    begins: re.Pattern[str]
    read: Callable[[str], Text]


def find_family(text: str) -> Family | None:
    """Return the family whose marks a text begins with, or None."""
    return next((family for family in FAMILIES if family.begins.match(text)), None)


def _reply(text: str, syntaxes: tuple[CallSyntax, ...]) -> dict[str, Any]:
    """Return a turn of the assistant, its calls in the first syntax that reads some."""
    for syntax in syntaxes:
        reply = read_reply(text, syntax)
        if reply.tool_calls:
            calls = [_record(call) for call in reply.tool_calls]
            return {"role": "assistant", "content": reply.content, "tool_calls": calls}
    return {"role": "assistant", "content": text}


def _record(call: ToolCall) -> dict[str, Any]:
    number = {} if call.id is None else {"id": call.id}
    return {**number, "name": call.name, "arguments": dict(call.arguments)}


def _headed(opening: re.Pattern[str], syntaxes: tuple[CallSyntax, ...]) -> Callable[[str], Text]:
    """Return the reader of texts whose turns begin with a header that names the role."""

    def read_turns(text: str) -> Text:
        headers = list(opening.finditer(text))
        if not headers:
            raise Rejected("wrong-layout", "", "no header of a turn names its role", text)
        ends = [header.start() for header in headers[1:]] + [len(text)]
        turns = []
        for header, end in zip(headers, ends, strict=True):
            role, said = header["role"], without_end_mark(text[header.end() : end])
            if role == "assistant":
                said = said.removeprefix(_NO_THOUGHTS)
                if not said.strip() and end == len(text):
                    continue  # where a reply is asked for
                turns.append(_reply(said, syntaxes))
            else:
                turns.append({"role": role, "content": said})
        return Text(turns)

    return read_turns


def _chatml(text: str) -> Text:
    """Read ChatML's turns; of Hermes' formats, the announcement of tools is no system text."""
    turns = _read_chatml(text).turns
    others, lines = _split_tools(turns, hermes.TOOLS, hermes.CALLING)
    if lines:
        return Text(others, _decode_lines(lines))
    others, types = _split_tools(turns, hermes.SHORT_TOOLS, END_OF_TYPE)
    return Text(others, has_types=True) if types.startswith(("//", "type ")) else Text(turns)


def _tags(text: str) -> Text:
    """Read the turns of `tool_call_tags`, each ended by a line's end of its own."""
    turns = _read_tags(text).turns
    for turn in turns:
        if turn["role"] != "assistant":
            turn["content"] = turn["content"].removesuffix("\n")
    others, lines = _split_tools(turns, tags.TOOLS, tags.CALLING)
    return Text(others, _decode_lines(lines) if lines else None)


def _split_tools(
    turns: list[dict[str, Any]], head: str, tail: str
) -> tuple[list[dict[str, Any]], str]:
    """Return turns without the announcement that ends a system text, and its tools, else empty.

    No tool is written with a head in it, so the last one is the announcement's.
    """
    if not turns or turns[0]["role"] != "system" or head not in turns[0]["content"]:
        return turns, ""
    before, _, tools = turns[0]["content"].rpartition(head)
    if not tools.endswith(tail):
        return turns, ""
    before = before.removesuffix("\n\n")
    system = [{"role": "system", "content": before}] if before else []
    return [*system, *turns[1:]], tools.removesuffix(tail)


def _decode_lines(lines: str) -> Any:
    return decode_tools("[" + lines.replace("\n", ",") + "]", "")


def _llama3(text: str) -> Text:
    """Read Llama 3's turns; 3.1 announces tools in the user's text and writes results as JSON."""
    found = _headed(_LLAMA3_HEADER, (llama3.CALLS, llama3_1.CALLS, lmflow.CALLS))(text)
    tools, has_types = None, False
    for turn in found.turns:
        said = turn["content"]
        if turn["role"] == "system":
            before, announced, _ = _DATES.sub("", said, count=1).partition(_NAMESPACE)
            turn["content"], has_types = before.rstrip(), has_types or bool(announced)
        elif turn["role"] == "user" and said.startswith(_ANNOUNCED):
            tools, turn["content"] = _leading_tools(said)
        elif turn["role"] == "ipython":
            turn["content"] = json_or_text(said)
    turns = [turn for turn in found.turns if turn["role"] != "system" or turn["content"]]
    return Text(turns, tools, has_types=has_types)


def _leading_tools(text: str) -> tuple[list[Any], str]:
    """Return the declarations that stand before a user's text, and the text."""
    tools, at = [], text.find("\n\n{") + 2
    while 0 <= at < len(text) and text[at] == "{":
        try:
            value, end = LENIENT_DECODER.raw_decode(text, at)
        except ValueError:
            break
        if not (isinstance(value, dict) and isinstance(value.get("function"), dict)):
            break
        tools.append(value)
        at = end + 2 if text.startswith("\n\n", end) else end
    return tools, text[at:] if tools else text


def _mistral(text: str) -> Text:
    """Read Mistral's turns; its system text stands in a user's turn, and stays there."""
    turns: list[dict[str, Any]] = []
    tools, inside = None, ""
    for part in _MISTRAL_MARK.split(text):
        if _MISTRAL_MARK.fullmatch(part):
            inside = part if part in _MISTRAL_OPENINGS else ""
        elif inside == "[AVAILABLE_TOOLS]":
            tools = decode_tools(part, "")
        elif inside == "[INST]":
            turns += _with_system(part.strip())
        elif inside == "[TOOL_RESULTS]":
            turns += _results(json_or_text(part))
        elif part.strip():
            turns.append(_reply(part.strip(), (mistral.CALLS,)))
    return Text(turns, tools)


def _with_system(text: str) -> Iterator[dict[str, Any]]:
    """Yield a user's turn, before it the system text that Llama 2 puts between marks."""
    before, marked, rest = text.partition("<</SYS>>")
    if marked and before.startswith("<<SYS>>"):
        yield {"role": "system", "content": before.removeprefix("<<SYS>>").strip()}
        text = rest.strip()
    yield {"role": "user", "content": text}


def _results(value: Any) -> Iterator[dict[str, Any]]:
    for result in value if isinstance(value, list) else [value]:
        if isinstance(result, dict) and "content" in result:
            number = {"tool_call_id": result["call_id"]} if result.get("call_id") else {}
            yield {"role": "tool", "content": result["content"], **number}
        else:
            yield {"role": "tool", "content": result}


def _phi3_xlam(text: str) -> Text:
    asked, _, rest = text.partition("</user>")
    tools, _, reply = rest.partition("<tools>")[2].partition("</tools>")
    turns = [{"role": "user", "content": asked.removeprefix("<user>")}]
    if said := without_end_mark(reply).strip():
        turns.append(_reply(said, (phi3_xlam.CALLS,)))
    return Text(turns, tools)


def _glaive(text: str) -> Text:
    """Read Glaive's text, each reply of which ends in `</s>` or `<|endoftext|>`."""
    text = _GLAIVE_END.sub(END, text.removeprefix("<s>").lstrip())
    first = _GLAIVE_TURN.search(text)
    at = first.start() if first else len(text)
    found = glaive.read({"system": text[:at], "chat": text[at:]})
    tools = [tool.to_record() for tool in found.conversation.tools]
    return Text(records(*found.conversation.messages), tools, found.changes)


_NO_THOUGHTS = "<think>\n\n</think>\n\n"
_NAMESPACE = "# Tools\n\n## functions\n\nnamespace functions {"
_ANNOUNCED = "Given the following functions, please respond with a JSON for a function call"
_DATES = re.compile(
    r"\A(?:Environment: ipython\n)?(?:Cutting Knowledge Date: .*\n)?(?:Today Date: .*\n\n)?"
)
_read_chatml = _headed(re.compile(r"<\|im_start\|>(?P<role>\w++)\n"), (qwen.CALLS, lmflow.CALLS))
_read_tags = _headed(
    re.compile(r"(?:^|(?<=<s>))<\|(?P<role>system|user|assistant|tool)\|>\n", re.MULTILINE),
    (tags.CALLS,),
)
_LLAMA3_HEADER = re.compile(r"<\|start_header_id\|>(?P<role>\w++)<\|end_header_id\|>\n\n")
_MISTRAL_OPENINGS = ("[INST]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]")
_MISTRAL_MARK = re.compile(r"(\[/?(?:INST|AVAILABLE_TOOLS|TOOL_RESULTS)\]|</?s>)")
_GLAIVE_END = re.compile(r"</s>(?=\n\n|\s*+\Z)")
_GLAIVE_TURN = re.compile(r"(?<=\n)USER:(?=\s)")
FAMILIES = (
    Family(re.compile(r"\s*+<\|im_start\|>"), _chatml),
    Family(re.compile(r"\s*+(?:<\|begin_of_text\|>)?<\|start_header_id\|>"), _llama3),
    Family(re.compile(r"\s*+(?:<s>)?\s*+<\|(?:system|user)\|>\n"), _tags),
    Family(re.compile(r"\s*+(?:<s>)?\s*+\[(?:INST|AVAILABLE_TOOLS)\]"), _mistral),
    Family(re.compile(r"<user>(?=.*</user>\s*+<tools>)", re.DOTALL), _phi3_xlam),
    Family(re.compile(r"(?:<s>)?\s*+SYSTEM:(?=\s)"), _glaive),
)
