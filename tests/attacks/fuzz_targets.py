"""What is fuzzed: every reader of text or files that strangers wrote, each with what it may refuse.

A target reads bytes and returns, or raises one of its refusals. Anything else is a finding.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Tool
from chat.formats.format import CannotWrite
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply
from chat.formats.template import chat_template
from chat.schemas.dialects import normalise_parameters
from chat.schemas.patterns import matches
from chat.schemas.tools_file import tool_records
from chat.schemas.type_names import read_type
from chat.schemas.validation import read_tool, schema_problem, validate_arguments
from chat.strict_json import read_json
from data.reading import SOURCES, RawRow

ROOT = Path(__file__).parents[2]
# What a command turns into one line.
REFUSALS: tuple[type[BaseException], ...] = (ValueError, RecursionError)
WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})


@dataclass(frozen=True)
class Target:
    """A reader, which takes bytes, and the exceptions with which it may refuse them."""

    read: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...] = REFUSALS


def _text(data: bytes) -> str:
    """Return bytes as text; what is no UTF-8 gives halves of surrogate pairs."""
    return data.decode("utf-8", errors="surrogateescape")


def _choice(data: bytes, names: list[Any]) -> tuple[Any, bytes]:
    """Choose by the first byte, and return what follows it."""
    return names[data[0] % len(names) if data else 0], data[1:]


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder in memory, where there is one, that lasts as long as the process."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


def _file(name: str, data: bytes) -> Path:
    path = Path(_folder().name) / name
    path.write_bytes(data)
    return path


def read_reply(data: bytes) -> None:
    """Read an assistant's turn in one of the chat formats."""
    name, data = _choice(data, sorted(FORMATS))
    parse_reply(_text(data), FORMATS[name])


def read_server_reply(data: bytes) -> None:
    """Read a turn by the rule of one of the servers' parsers."""
    from export.parsers import SERVER_PARSERS, read_as

    (server, parser), data = _choice(data, sorted(SERVER_PARSERS))
    read_as(server, parser, _text(data), ["weather"])


def read_layout(name: str, data: bytes) -> None:
    """Read and clean one row of a layout, named or told by its keys."""
    from data.cleaning.clean_row import Settings, clean_row

    value = json.loads(data)
    row = RawRow(0, value, "0" * 64, "line 1")
    for source in SOURCES.values():
        (source.detects or source.recognises)(value)
    # A row that is no such layout is a named rejection, like all that is wrong in one.
    outcome = clean_row(row, name, "fuzz.json", Settings())
    if outcome.line:
        Conversation.from_record(json.loads(outcome.line))


def read_row_file(data: bytes) -> None:
    """Read a file of rows, as a JSON list, JSON Lines or Parquet."""
    from data.reading.rows import read_rows

    skips, data = _choice(data, [False, True])
    for _ in read_rows(_file("rows.json", data), skip_malformed=skips):
        pass


def read_call_text(data: bytes) -> None:
    """Find calls in the text of a turn, in any notation."""
    from data.reading.notations import find_calls, read_calls_of_turn

    find_calls(_text(data), {"weather": WEATHER})
    read_calls_of_turn(_text(data))


def read_schema(data: bytes) -> None:
    """Bring parameters of any dialect to JSON Schema, and check arguments with them."""
    value = read_json(data)
    schema = normalise_parameters(value)
    tool = Tool("tool", "", schema)
    schema_problem(tool)
    for arguments in ({}, {"a": 1}, {"city": "Lyon"}):
        validate_arguments(tool, arguments, formats=True)


def read_pattern(data: bytes) -> None:
    """Try a text, after the first line end, with a pattern of a schema."""
    pattern, _, text = _text(data).partition("\n")
    matches(pattern, text)


def read_tools(data: bytes) -> None:
    """Read the tools of a JSON file."""
    for record in tool_records(read_json(data)):
        read_tool(record)


def build_grammar(data: bytes) -> None:
    """Make the grammar that constrains calls of a tool."""
    from speaking_model import TOKENIZER

    from inference.constrain.constraint import constraint_for

    (name, forced), data = _choice(data, [(n, f) for n in _CONSTRAINED for f in (False, True)])
    tool = Tool("tool", "", normalise_parameters(read_json(data)))
    constraint_for([tool], FORMATS[name], _tokenizer(TOKENIZER), forced)


# Formats whose special tokens Llama 3's tiktoken file has.
_CONSTRAINED = ("llama3", "llama3_1", "llama3_short")


@cache
def _tokenizer(path: Path) -> Any:
    from chat.tokenizers.tokenizer import load_tokenizer

    return load_tokenizer(path)


def read_tokenizer(data: bytes) -> None:
    """Load a tokenizer file of any kind, and encode a text with it."""
    from chat.tokenizers.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(_file("tokenizer.json", data))
    tokenizer.decode(tokenizer.encode("What is rain? 雨 \n"))
    tokenizer.token_texts()


def read_gguf(data: bytes) -> None:
    """Open a GGUF file and read its settings and its tokenizer."""
    from weights.gguf.config import params_from_metadata
    from weights.gguf.reading import open_gguf
    from weights.gguf.tokenizer import tokenizer_files

    file = open_gguf(_file("model.gguf", data))
    tokenizer_files(file)
    params_from_metadata(file)


def read_params(data: bytes) -> None:
    """Read a params.json."""
    from model.config import ModelConfig

    _file("params.json", data)
    ModelConfig.read(Path(_folder().name))


def read_model_config(data: bytes) -> None:
    """Read Hugging Face's config.json."""
    from weights.hugging_face.config import params_from_config

    value = read_json(data)
    if isinstance(value, dict):
        params_from_config(value, "config.json")


def read_settings(data: bytes) -> None:
    """Read the settings of a training run."""
    from console.flags import UsageError
    from training.config import read_config

    try:
        read_config(_file("settings.json", data))
    except UsageError as error:
        raise ValueError(str(error)) from error


def read_dialog_file(data: bytes) -> None:
    """Read a file of dialogs."""
    from chat.dialogs import read_dialogs

    read_dialogs(_file("dialogs.json", data))


def read_conversation_file(data: bytes) -> None:
    """Read canonical conversations and write each in every chat format."""
    from chat.formats.rendering import render
    from data.conversations import read_conversations

    for conversation in read_conversations(_file("conversations.jsonl", data)):
        for name in FORMATS:
            try:
                render(conversation, FORMATS[name])
            except CannotWrite:
                continue


def render_template(data: bytes) -> None:
    """Write a conversation by a format's template, in the sandbox that servers use."""
    name, data = _choice(data, sorted(FORMATS))
    conversation = Conversation.from_record(read_json(data))
    _template(name).render(
        messages=[message.to_record() for message in conversation.messages],
        tools=[tool.to_record() for tool in conversation.tools] or None,
    )


@cache
def _template(name: str) -> Any:
    from transformers.utils.chat_template_utils import _compile_jinja_template

    return _compile_jinja_template(chat_template(FORMATS[name]))


def _template_refusals() -> tuple[type[BaseException], ...]:
    from jinja2 import TemplateError

    return (*REFUSALS, TemplateError)


def read_format_name(data: bytes) -> None:
    """Find a chat format by its name and settings."""
    from chat.formats.known import find_format

    find_format(_text(data))


def read_flags(data: bytes) -> None:
    """Check a command line, its arguments a line each, and read the values."""
    from console.flags import check_flags, own_spellings, value_readers

    command, data = _choice(data, list(_commands()))
    arguments, spelled = own_spellings(command, _text(data).split("\n"))
    check_flags(command, arguments, spelled)
    readers = value_readers(command, spelled)
    for argument in arguments:
        flag, _, value = argument.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if name in readers:
            readers[name](value)


@cache
def _commands() -> tuple[Callable[..., None], ...]:
    import finetune
    from scripts import clean_dataset, evaluate, make_pairs

    return (finetune.main, clean_dataset.main, evaluate.main, make_pairs.main)


def _flag_refusals() -> tuple[type[BaseException], ...]:
    from console.flags import UsageError

    return (*REFUSALS, UsageError)


def read_bfcl(data: bytes) -> None:
    """Read questions and answers of BFCL, the answers after an empty line."""
    from data.benchmarks.bfcl import read_questions
    from data.benchmarks.bfcl_tasks import read_tasks

    questions, _, answers = data.partition(b"\n\n")
    file = _file("BFCL_v3_simple.json", questions)
    list(read_questions(file))
    read_tasks(file, _file("answers.json", answers) if answers else None)


def read_bfcl_turns(data: bytes) -> None:
    """Read questions, answers and functions of BFCL's tasks of several turns, in three parts."""
    from data.benchmarks.bfcl_turns import FUNCTIONS_FOLDER, read_turn_tasks

    questions, answers, functions = (*data.split(b"\n\n", 2), b"", b"")[:3]
    (Path(_folder().name) / FUNCTIONS_FOLDER).mkdir(exist_ok=True)
    _file(f"{FUNCTIONS_FOLDER}/math_api.json", functions)
    read_turn_tasks(_file("questions.json", questions), _file("answers.json", answers))


def read_nexusraven(data: bytes) -> None:
    """Read queries and functions of NexusRaven, the functions after an empty line."""
    from data.benchmarks.nexusraven import read_queries

    queries, _, functions = data.partition(b"\n\n")
    read_queries(_file("queries.json", queries), _file("functions.json", functions))


def read_literal(data: bytes) -> None:
    """Read source text of Java or JavaScript as a value of BFCL."""
    from evaluation.scoring.bfcl_literals import read_java, read_javascript

    readers = [(read_java, kind) for kind in _JAVA] + [(read_javascript, kind) for kind in _SCRIPT]
    (read, kind), data = _choice(data, readers)
    read(_text(data), kind)


_JAVA = ("ArrayList", "Array", "HashMap", "integer", "float", "long", "double", "boolean")
_SCRIPT = ("dict", "array", "String", "integer", "float", "Bigint", "Boolean")

TARGETS: dict[str, Target] = {
    "replies": Target(read_reply, ()),
    "replies_of_servers": Target(read_server_reply, ()),
    "rows": Target(read_row_file),
    **{f"layout_{name}": Target(partial(read_layout, name)) for name in SOURCES},
    "call_text": Target(read_call_text),
    "schemas": Target(read_schema),
    "type_names": Target(lambda data: read_type(_text(data))),
    "patterns": Target(read_pattern),
    "tools": Target(read_tools),
    "grammars": Target(build_grammar),
    "tokenizers": Target(read_tokenizer),
    "gguf": Target(read_gguf),
    "params": Target(read_params),
    "model_config": Target(read_model_config),
    "settings": Target(read_settings),
    "dialogs": Target(read_dialog_file),
    "conversations": Target(read_conversation_file),
    "templates": Target(render_template, _template_refusals()),
    "format_names": Target(read_format_name),
    "flags": Target(read_flags, _flag_refusals()),
    "bfcl": Target(read_bfcl),
    "bfcl_turns": Target(read_bfcl_turns),
    "nexusraven": Target(read_nexusraven),
    "literals": Target(read_literal),
}
