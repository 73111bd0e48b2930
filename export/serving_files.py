"""The files beside exported Hugging Face weights that say how they are served.

`chat_template.jinja` is the format's, whatever template the base model had. `serve.md` has the
commands, `Modelfile` is Ollama's, `llama3_tool_parser.py` is vLLM's plugin for the formats that
need it, and `tokenizer_config.json` gets the response template of the format.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from chat.formats.format import ChatFormat
from chat.formats.template import chat_template
from console.command import shell_quote
from export.serve_check import Outcome, ServeCheck, format_response_template
from export.servers import (
    GGUF_FILE,
    PARSERS,
    PLUGIN_FILE,
    PLUGIN_PARSER,
    RECORDED,
    TEMPLATE_PARSERS,
    TITLES,
    row_name,
    serving_command,
)
from storage.json_file import read_json_object, write_json

SERVE_FILE = "serve.md"
MODELFILE = "Modelfile"
TEMPLATE_FILE = "chat_template.jinja"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_PLUGIN = Path(__file__).with_name(PLUGIN_FILE)
# The first version that fills in the chat template of a GGUF file and reads calls by it.
_OLLAMA = "0.30.0"


def write_serving_files(
    directory: Path, format: ChatFormat, check: ServeCheck, place: Path, stop_texts: Sequence[str]
) -> None:
    """Write what says how an export is served.

    `place` is where the directory will be in the end, `stop_texts` the tokens that end a reply.
    OSError names a file that cannot be written.
    """
    if any(PLUGIN_PARSER in parsers for parsers in PARSERS.get(row_name(format), {}).values()):
        shutil.copyfile(_PLUGIN, directory / PLUGIN_FILE)
    (directory / TEMPLATE_FILE).write_text(chat_template(format), encoding="utf-8")
    write_tokenizer_settings(directory, format)
    (directory / MODELFILE).write_text(format_modelfile(stop_texts), encoding="utf-8")
    page = format_serve_page(check, place.absolute())
    (directory / SERVE_FILE).write_text(page, encoding="utf-8", errors="backslashreplace")


def write_tokenizer_settings(directory: Path, format: ChatFormat | None) -> None:
    """Write how replies are read, and take out what the base model's settings say of it.

    Code that they name, which others would fetch and run, is taken out without a format too.
    """
    file = directory / _TOKENIZER_CONFIG
    before = read_json_object(file) if file.is_file() else {}
    left_out = {"auto_map", *(("chat_template", "response_template") if format else ())}
    settings = {key: value for key, value in before.items() if key not in left_out}
    template = format_response_template(format) if format else None
    if template is not None:
        settings["response_template"] = template
    if settings != before:
        write_json(file, settings)


def format_modelfile(stop_texts: Sequence[str]) -> str:
    """Return Ollama's Modelfile; it has no TEMPLATE, so that the GGUF's chat template is used."""
    stops = "".join(f"PARAMETER stop {json.dumps(text)}\n" for text in stop_texts)
    return (
        f"# {GGUF_FILE} is made by llama.cpp's converter: see {SERVE_FILE}. There is no TEMPLATE:\n"
        "# Ollama then uses the chat template of the GGUF file, and reads calls by it.\n"
        f"REQUIRES {_OLLAMA}\nFROM ./{GGUF_FILE}\n{stops}"
    )


def format_serve_page(check: ServeCheck, place: Path) -> str:
    """Return the text of `serve.md`, for an export that lies at this absolute place."""
    parts = [_HEAD.format(name=check.format_name)]
    parts += [_part(server, check, place) for server in TITLES]
    parts += [_TRY] if check.has_calls else []
    if check.unwritable:
        parts.append(_UNWRITABLE.format(", ".join(check.unwritable)))
    return "\n".join(parts)


_HEAD = """\
# Serving this model

It was trained in the chat format `{name}`. `chat_template.jinja` writes its prompts. A server also
has to read its calls: one with another parser than those below answers as if none had been made.
Replies of many shapes were written in this format and read by the rules of each parser.
"""
_UNWRITABLE = """\
## What the format cannot write

It has no way to write these replies, so none of them was trained: {}.
"""
_TRY = """\
## To see that calls are read

Ask for something that a tool answers. The answer must have `tool_calls`: text that looks like a
call in `content`, or nothing at all, means the wrong parser.

`NAME` is what `http://localhost:8000/v1/models` lists. Port 8000 is that of vLLM and trtllm-serve;
SGLang listens at 30000, llama-server at 8080, Ollama at 11434, where nothing else is said.

```sh
curl http://localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{
  "model": "NAME",
  "messages": [{"role": "user", "content": "How is the weather in Oslo?"}],
  "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
}'
```
"""
_BY_TEMPLATE = (
    f"It reads by the response template in `{_TOKENIZER_CONFIG}`, as {{}} does; older versions may "
    "not have it."
)
_REFUSES = {"vllm": " With it vLLM refuses a `tool_choice` other than `auto` and `none`."}
_NO_CALLS = "The format has no calls, so no parser is needed.\n"
_NO_PARSER = "None of its parsers reads this format: calls stay in the text of a reply.\n"
_NOT_CHECKED = """\
It derives from the chat template how calls are read, which was not checked for this template.
"""
_DERIVED = """\
It derives from the chat template how calls are read; a lost reply is answered with an error. For
several calls in one reply, put `"parallel_tool_calls": true` into the request.
"""
_NOT_DERIVED = """\
It derives from the chat template how calls are read, and finds none in this one: it may answer any
request that has tools with an error. With `--skip-chat-parsing` calls stay in the text of a reply.
"""
_OLLAMA_READS = f"""\
From {_OLLAMA} on it hands chats to llama.cpp's server, so what is said there holds here; it does
not ask for several calls in one reply.
"""


def _part(server: str, check: ServeCheck, place: Path) -> str:
    directory = shell_quote(place)
    command = serving_command(server, check.best_parser(server), directory)
    before = {
        "llama.cpp": f"python convert_hf_to_gguf.py {directory} --outfile "
        f"{shell_quote(place / GGUF_FILE)}\n",
        "ollama": f"ollama create NAME --file {shell_quote(place / MODELFILE)}\n",
    }.get(server, "")
    return f"## {TITLES[server]}\n\n```sh\n{before}{command}\n```\n\n{_verdicts(server, check)}"


def _verdicts(server: str, check: ServeCheck) -> str:
    """Return what is said of a server: a line for each parser that reads calls, or why none."""
    lines = "".join(_verdict(outcome) for outcome in check.of(server) if check.reads_calls(outcome))
    if not check.has_calls:
        return _NO_CALLS
    if server == "ollama":
        return _OLLAMA_READS
    if server == "llama.cpp":
        unread = _NOT_DERIVED if check.of(server) else _NOT_CHECKED
        return f"{lines}\n{_DERIVED}" if lines else unread
    return lines or _NO_PARSER


def _verdict(outcome: Outcome) -> str:
    """Return the line of a parser: how many shapes it reads, which it loses, what it needs."""
    all_shapes = len(outcome.read) + len(outcome.lost)
    lost = f"; it loses: {', '.join(outcome.lost)}" if outcome.lost else ""
    streamed = outcome.streamed_lost
    lost += f"; streamed, it also loses: {', '.join(streamed)}" if streamed else ""
    needs = ""
    if outcome.parser == TEMPLATE_PARSERS.get(outcome.server):
        version = f"{TITLES[outcome.server]} {RECORDED[outcome.server]}"
        needs = f" {_BY_TEMPLATE.format(version)}{_REFUSES.get(outcome.server, '')}"
    return f"- `{outcome.parser}` reads {len(outcome.read)} of {all_shapes} shapes{lost}.{needs}\n"
