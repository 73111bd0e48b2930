"""How replies are read, as data that Transformers, vLLM and SGLang understand.

Transformers defines the `response_template` of a tokenizer: the fields of a message, each with what
opens and closes its text. vLLM 0.33 (`--tool-call-parser hf`) and SGLang 0.5.23
(`--tool-call-parser response_template`) read replies by it, so a format that none of their own
parsers knows can be served all the same.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from export.parsers import Reading

_NAME = r'(?P<name>[^"\\]+)'


def _calls(name: str, arguments: str, **region: Any) -> dict[str, Any]:
    """Return the field of calls: where their text is, and the call that is made of it."""
    function = {"name": name, "arguments": arguments}
    return {
        "content": "json",
        "repeats": True,
        "transform": {"type": "function", "function": function},
        **region,
    }


# A raw newline cannot stand in JSON text, so what begins with one ends a call for certain. White
# space before calls is theirs: as content it would replace the text before it. `END` stands for the
# end of the reply; its white space is searched from its first letter on, or each would be tried.
_TOOL_USES = _calls(
    "{name}",
    "{content}",
    open_pattern=rf'\s{{0,2}}(?:\{{"tool_uses": \[|, )\{{"recipient_name": "functions\.{_NAME}", '
    r'"parameters": ',
    close_pattern=r'\}(?:\]\}END|(?=, \{"recipient_name": "functions\.))',
)
_WHOLE_REPLY = r'\A\s*\{{"name": "(?P<name>[^"\\]+)", "{}": '
_TAGGED_JSON = _calls(
    "{content.name}",
    "{content.arguments}",
    open_pattern=r"\s{0,2}<tool_call>\n",
    close_pattern=r"\n</tool_call>",
)
_LMFLOW = _calls(
    "{name}",
    "{content}",
    open_pattern=_WHOLE_REPLY.format("arguments"),
    close_pattern=r"\}END",
)
_MISTRAL = _calls(
    "{name}",
    "{arguments}",
    open_pattern=r"\s{0,2}\[TOOL_CALLS\]\s*",
    close_pattern=r"(?<!\s)END",
    transform_each=True,
    repeats=False,
)

# The field of calls by the name of the chat format.
CALL_FIELDS: dict[str, dict[str, Any]] = {
    "llama3": _TOOL_USES,
    "llama3_short": _TOOL_USES,
    "llama3_1": _calls(
        "{name}",
        "{content}",
        open_pattern=_WHOLE_REPLY.format("parameters"),
        close_pattern=r"\}END",
    ),
    "llama3_for_tool": _LMFLOW,
    "qwen2_for_tool": _LMFLOW,
    "qwen2_5": _TAGGED_JSON,
    "qwen3": _TAGGED_JSON,
    "hermes": _TAGGED_JSON,
    "hermes_short": _TAGGED_JSON,
    "mistral_v3": _MISTRAL,
    "mistral_tekken": _MISTRAL,
    "glaive_text": _calls(
        "{content.name}",
        "{content.arguments}",
        open_pattern=r"\s{0,2}<functioncall>\s*",
        close_pattern=r"(?<!\s)END",
    ),
    "phi3_xlam": _calls(
        "{content.name}",
        "{content.arguments}",
        open_pattern=r'(?:\s{0,2}<calls>|\n)(?=\{"name": )',
        close_pattern=r'(?:(?=\n\{"name": )|</calls>END)',
    ),
    "tool_call_tags": _calls(
        "{name}",
        "{content}",
        open_pattern=r"\s{0,2}<tool_call>\nname: (?P<name>[^\n]+)\nparameters: ",
        close_pattern=r"\n</tool_call>",
    ),
}

# What stands before a reply, for formats that open none with a text of its own.
OPENINGS = {
    "mistral_v3": ("[/INST]", "[/TOOL_RESULTS]"),
    "mistral_tekken": ("[/INST]", "[/TOOL_RESULTS]"),
    "phi3_xlam": ("</tools>\n\n",),
}


def response_template(
    format_name: str, openings: Sequence[str], stops: Sequence[str]
) -> dict[str, Any] | None:
    """Return the response template of a chat format, None for a format without calls of its own.

    `openings` are the texts with which an assistant's turn begins, `stops` those that end it.
    """
    field = CALL_FIELDS.get(format_name)
    if field is None:
        return None
    names = "|".join(map(re.escape, stops))
    end = rf"\s*(?:(?:{names})\s*)?\Z" if stops else r"\s*\Z"
    calls = {
        key: value.replace("END", end) if key.endswith("_pattern") else value
        for key, value in field.items()
    }
    content = {"close": list(stops)} if stops else {}
    fields = {"content": {"content": "text", **content}, "tool_calls": calls}
    return {"defaults": {"role": "assistant"}, "fields": fields, "start_anchor": list(openings)}


def read_by_template(template: Mapping[str, Any], text: str) -> Reading:
    """Read a reply by a response template; a call that is no JSON is lost, as in the servers.

    So is one that is nested too deeply to be read.
    """
    field = template["fields"]["tool_calls"]
    opening = re.compile(field["open_pattern"], re.DOTALL)
    closing = re.compile(field["close_pattern"], re.DOTALL)
    content, calls, at = "", list[tuple[str, Any]](), 0
    while found := opening.search(text, at):
        content += text[at : found.start()]
        end = closing.search(text, found.end())
        at = end.end() if end else len(text)
        calls += _made_calls(field, text[found.end() : end.start() if end else at], found)
    return Reading(content + text[at:], tuple(calls))


def _made_calls(
    field: Mapping[str, Any], body: str, opened: re.Match[str]
) -> list[tuple[str, Any]]:
    try:
        value = json.loads(body)
        scopes = value if field.get("transform_each") else [{"content": value}]
        function = field["transform"]["function"]
        return [
            (_filled(function["name"], scope), _filled(function["arguments"], scope))
            for scope in ({**opened.groupdict(), **scope} for scope in scopes)
        ]
    except (ValueError, TypeError, LookupError, RecursionError):
        return []


def _filled(placeholder: str, scope: Any) -> Any:
    for key in placeholder.strip("{}").split("."):
        scope = scope[key]
    return scope
