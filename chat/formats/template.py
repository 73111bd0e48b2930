"""`chat_template.jinja`: a chat format as a template, for servers that render one.

Transformers, vLLM and llama.cpp take it. A template is only text here: nothing in this project runs
one, least of all one that came with a stranger's model.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from chat.formats.format import ChatFormat

_FOLDER = Path(__file__).parent / "templates"
# Formats whose template is made of other files than the one of their name, in this order.
_FILES: Mapping[str, tuple[str, ...]] = {
    "llama3": ("typescript", "llama3"),
    "llama3_short": ("typescript", "llama3"),
    "hermes_short": ("typescript", "hermes"),
    "mistral_tekken": ("mistral_v3",),
}
_SWITCHES: Mapping[str, Mapping[str, bool]] = {
    "llama3": {"with_wrapper": True},
    "llama3_short": {"with_wrapper": False},
}
# What templates call the settings of formats, as Meta's does.
_VARIABLES: Mapping[str, str] = {"date": "date_string", "cutoff": "cutoff_string"}


def chat_template(format: ChatFormat) -> str:
    """Return the Jinja template that writes what the format writes, and refuses what it refuses.

    It takes what `apply_chat_template` passes; arguments may be JSON text. The format's settings
    stand in its first line, and a caller's own `date_string` wins. Three differences stay:
    Mistral's takes an id of nine letters or digits, or the end of a longer one, where the format
    makes one; types are alike for tools as cleaning leaves them; llama.cpp writes arguments that
    are no text with six digits and integers of 64 bits.
    """
    name = format.name.partition(":")[0]
    settings = {_VARIABLES[key]: value for key, value in format.settings.items()}
    files = (_FOLDER / f"{file}.jinja" for file in _FILES.get(name, (name,)))
    text = "\n".join(file.read_text(encoding="utf-8").rstrip("\n") for file in files)
    return _defaults({**settings, **_SWITCHES.get(name, {})}) + text


def _defaults(values: Mapping[str, str | bool]) -> str:
    """Return a line that sets what the caller has not set; empty where nothing is to be set."""
    statements = [
        f"{{%- set {name} = {name} if {name} is defined else "
        f"{json.dumps(value, ensure_ascii=False)} -%}}"
        for name, value in values.items()
    ]
    return "".join([*statements, "\n"] if statements else [])
