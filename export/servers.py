"""Which tool-call parsers of a server read the replies of a chat format, and how they are asked."""

from collections.abc import Mapping

from chat.formats.format import ChatFormat

TITLES = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tensorrt-llm": "TensorRT-LLM",
    "llama.cpp": "llama.cpp",
    "ollama": "Ollama",
}
GGUF_FILE = "model.gguf"
# llama.cpp derives from the chat template how calls are read; this stands for the name of a parser.
DERIVED_PARSER = "chat template"
PLUGIN_FILE = "llama3_tool_parser.py"
# The parser that the plugin registers.
PLUGIN_PARSER = "tool_uses"
# Parsers that read by the response template in tokenizer_config.json, and the versions that were
# the newest when their parsers were recorded.
TEMPLATE_PARSERS = {"vllm": "hf", "sglang": "response_template"}
RECORDED = {"vllm": "0.33.0", "sglang": "0.5.23"}

_TOOL_USES = {"vllm": (PLUGIN_PARSER, "hf"), "sglang": ("response_template",)}
_TAGGED_JSON = {
    "vllm": ("hermes", "hf"),
    "sglang": ("qwen25", "response_template"),
    "tensorrt-llm": ("qwen3",),
}
# SGLang's `qwen25` loses the end of a text before a call whose tags come in pieces.
_TAGGED_AS_TEXT = {**_TAGGED_JSON, "sglang": ("hermes", "response_template")}
_TEMPLATE_ONLY = {"vllm": ("hf",), "sglang": ("response_template",)}

# The parsers of each server that read a chat format, by its name. A server that is missing has
# none; llama.cpp and Ollama have none to choose.
PARSERS: dict[str, Mapping[str, tuple[str, ...]]] = {
    "llama3": _TOOL_USES,
    "llama3_short": _TOOL_USES,
    "llama3_1": {
        "vllm": ("llama3_json", "hf"),
        "sglang": ("llama3", "response_template"),
    },
    "qwen2_5": _TAGGED_JSON,
    "qwen3": _TAGGED_JSON,
    "hermes": _TAGGED_AS_TEXT,
    "hermes_short": _TAGGED_AS_TEXT,
    "mistral_v3": {"vllm": ("mistral", "hf"), "sglang": ("mistral", "response_template")},
    # vLLM's `llama3_json` wants the token <|python_tag|>, which Llama 3 and Qwen2 do not have.
    "llama3_for_tool": {"vllm": ("hf",), "sglang": ("llama3", "response_template")},
    "qwen2_for_tool": {"vllm": ("hf",), "sglang": ("llama3", "response_template")},
    # SGLang's `mistral` wants a blank after [TOOL_CALLS], which tekken does not write.
    "mistral_tekken": {"vllm": ("mistral", "hf"), "sglang": ("response_template",)},
    "glaive_text": _TEMPLATE_ONLY,
    "phi3_xlam": _TEMPLATE_ONLY,
    "tool_call_tags": _TEMPLATE_ONLY,
}

# The special token after which a format's tokenizer decodes ordinary text with a blank before it.
BLANK_AFTER = {"mistral_v3": "[TOOL_CALLS]"}

# Shapes of replies that a parser reads as a whole, and loses when the reply is streamed, in pieces
# of some size; recorded as the verdicts were, but TensorRT-LLM's read from its source (it waits for
# arguments that are not empty, at commit 01bf192).
LOST_WHEN_STREAMED: dict[tuple[str, str], tuple[str, ...]] = {
    ("vllm", "llama3_json"): ("text that is JSON", "no arguments"),
    ("vllm", "mistral"): (
        "one call",
        "parallel calls",
        "no arguments",
        "no arguments, then a call",
        "unicode",
        "20 digits",
        "brackets in an argument",
    ),
    ("sglang", "llama3"): ("text with braces",),
    ("sglang", "mistral"): ("text with braces", "parallel calls", "no arguments, then a call"),
    ("tensorrt-llm", "qwen3"): ("no arguments", "no arguments, then a call"),
}
# Those lost besides where the tags of calls are ordinary text: one may then begin in a piece with
# the text before it; of TensorRT-LLM's too read from its source at that commit.
LOST_WITHOUT_TOKENS: dict[tuple[str, str], tuple[str, ...]] = {
    ("tensorrt-llm", "qwen3"): ("text beside a call", "text beside calls"),
}


def row_name(format: ChatFormat) -> str:
    """Return the name of a format without its settings."""
    return format.name.partition(":")[0]


def serving_command(server: str, parser: str | None, directory: str) -> str:
    """Return the command that serves an exported directory, which stands in it as it is typed.

    Without a parser the server leaves calls in the text of a reply.
    """
    plugin = f" --tool-parser-plugin {directory}/{PLUGIN_FILE}" if parser == PLUGIN_PARSER else ""
    flag = PARSER_FLAGS.get(server)
    return _COMMANDS[server].format(directory) + (
        f" {flag} {parser}{plugin}" if flag and parser else ""
    )


# The flags that name a parser; the other servers have none to choose.
PARSER_FLAGS = {
    "vllm": "--enable-auto-tool-choice --tool-call-parser",
    "sglang": "--tool-call-parser",
    "tensorrt-llm": "--tool_parser",
}
_COMMANDS = {
    "vllm": "vllm serve {}",
    "sglang": "python -m sglang.launch_server --model-path {}",
    "tensorrt-llm": "trtllm-serve {}",
    "llama.cpp": f"llama-server --jinja --model {{}}/{GGUF_FILE}",
    "ollama": "ollama run NAME",
}
