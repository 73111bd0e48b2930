"""The chat formats by name."""

import difflib
from dataclasses import replace

from chat.formats.format import ChatFormat
from chat.formats.glaive_text import GLAIVE_TEXT
from chat.formats.hermes import HERMES, HERMES_SHORT
from chat.formats.llama3 import LLAMA3, LLAMA3_SHORT
from chat.formats.llama3_1 import LLAMA3_1
from chat.formats.lmflow import LLAMA3_FOR_TOOL, QWEN2_FOR_TOOL
from chat.formats.mistral import MISTRAL_TEKKEN, MISTRAL_V1, MISTRAL_V3
from chat.formats.phi3_xlam import PHI3_XLAM
from chat.formats.qwen import QWEN2_5, QWEN3
from chat.formats.tool_call_tags import TOOL_CALL_TAGS

# The most letters of a setting's value; longer ones, and names, are cut where an error shows them.
_LONGEST = 80

_ROWS = (
    *(LLAMA3, LLAMA3_SHORT, LLAMA3_1, LLAMA3_FOR_TOOL),
    *(QWEN2_5, QWEN3),
    *(HERMES, HERMES_SHORT, QWEN2_FOR_TOOL),
    *(MISTRAL_V1, MISTRAL_V3, MISTRAL_TEKKEN),
    *(GLAIVE_TEXT, PHI3_XLAM, TOOL_CALL_TAGS),
)
FORMATS: dict[str, ChatFormat] = {row.name: row for row in _ROWS}


def find_format(name: str) -> ChatFormat:
    """Return the chat format of that name; ValueError suggests the nearest known one.

    Settings may follow the name, such as `llama3_1:date=30 Nov 2026`.
    """
    name, colon, settings = name.partition(":")
    if name in FORMATS:
        return _with_settings(FORMATS[name], settings) if colon else FORMATS[name]
    close = [known for known in FORMATS if known.startswith(f"{name}_")]
    close = close or difflib.get_close_matches(name, FORMATS, n=1)
    hint = f"did you mean {' or '.join(close)}?" if close else f"wanted one of {', '.join(FORMATS)}"
    raise ValueError(f"unknown chat format {name[:_LONGEST]!r}; {hint}")


def _with_settings(format: ChatFormat, written: str) -> ChatFormat:
    """Return a format with settings written as `key=value`, several with commas between."""
    settings = {}
    for setting in written.split(","):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (equals and key in format.settings and value):
            known = ", ".join(f"{key}={value}" for key, value in format.settings.items())
            raise ValueError(
                f"chat format {format.name} has no setting {setting[:_LONGEST]!r}; "
                + (f"wanted such as {format.name}:{known}" if known else "it has no settings")
            )
        if key in settings:
            raise ValueError(f"chat format {format.name} has its setting {key} twice; name it once")
        _check_value(format, key, value)
        settings[key] = value
    settings = {**format.settings, **settings}
    if settings == format.settings:
        return format
    named = ",".join(f"{key}={value}" for key, value in settings.items())
    return replace(format, name=f"{format.name}:{named}", settings=settings)


def _check_value(format: ChatFormat, key: str, value: str) -> None:
    """Raise ValueError for a value that is long, no line of text, or holds a special token."""
    held = [token for token in (*format.special_tokens, *format.end_tokens) if token in value]
    if len(value) > _LONGEST or not value.isprintable() or held:
        found = f"it holds {held[0]}" if held else f"{len(value)} characters"
        raise ValueError(
            f"the setting {key} of chat format {format.name} is {value[:_LONGEST]!r} ({found}), "
            f"wanted up to {_LONGEST} printable characters without special tokens"
        )
