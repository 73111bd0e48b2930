"""`chat_template.jinja`: a chat format as a template, for servers that render one.

Transformers, vLLM and llama.cpp take it. A template is text here: nothing in this project runs one,
least of all one that came with a stranger's model.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from chat.formats.format import ChatFormat

_FOLDER = Path(__file__).parent / "templates"
# Formats that differ from another by a setting alone, and the file that writes both.
_SHARED: Mapping[str, str] = {"llama3_short": "llama3", "mistral_tekken": "mistral_v3"}
# What a template calls a format's settings; a caller may set them too.
_VARIABLES: Mapping[str, str] = {"date": "date_string", "cutoff": "cutoff_string"}


def chat_template(format: ChatFormat) -> str:
    """Return the Jinja template that writes what the format writes, its settings as defaults.

    It takes what `apply_chat_template` passes, arguments as an object or as JSON text, and refuses
    what the format cannot write. The templates of `llama3` write tools alike when their schemas are
    such as cleaning leaves.
    """
    name = format.name.partition(":")[0]
    file = _FOLDER / f"{_SHARED.get(name, name)}.jinja"
    return _defaults(name, format.settings) + file.read_text(encoding="utf-8").rstrip("\n")


def _defaults(name: str, settings: Mapping[str, str]) -> str:
    """Return a line that sets what the caller has not set; empty where nothing is to be set."""
    values: dict[str, str | bool] = {_VARIABLES[key]: value for key, value in settings.items()}
    if name.startswith("llama3") and _SHARED.get(name, name) == "llama3":
        values["with_wrapper"] = name == "llama3"
    return "".join(
        f"{{%- set {variable} = {variable} if {variable} is defined else {_literal(value)} -%}}"
        for variable, value in values.items()
    ) + ("\n" if values else "")


def _literal(value: str | bool) -> str:
    return json.dumps(value, ensure_ascii=False)
