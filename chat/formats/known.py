"""The chat formats by name."""

import difflib
from dataclasses import replace

from chat.formats.format import ChatFormat
from chat.formats.llama3 import LLAMA3, LLAMA3_SHORT

_ROWS = (LLAMA3, LLAMA3_SHORT)
FORMATS: dict[str, ChatFormat] = {row.name: row for row in _ROWS}


def find_format(name: str) -> ChatFormat:
    """Return the chat format of that name; ValueError suggests the nearest known one.

    Settings may follow the name, such as `llama3_1:date=30 Nov 2026`.
    """
    name, colon, settings = name.partition(":")
    if name in FORMATS:
        return _with_settings(FORMATS[name], settings) if colon else FORMATS[name]
    close = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"wanted one of {', '.join(FORMATS)}"
    raise ValueError(f"unknown chat format {name!r}; {hint}")


def _with_settings(format: ChatFormat, written: str) -> ChatFormat:
    """Return a format with settings written as `key=value`, several with commas between."""
    settings = {}
    for setting in written.split(","):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (equals and key in format.settings and value):
            known = ", ".join(f"{key}={value}" for key, value in format.settings.items())
            raise ValueError(
                f"chat format {format.name} has no setting {setting!r}; "
                + (f"wanted such as {format.name}:{known}" if known else "it has no settings")
            )
        settings[key] = value
    settings = {**format.settings, **settings}
    if settings == format.settings:
        return format
    named = ",".join(f"{key}={value}" for key, value in settings.items())
    return replace(format, name=f"{format.name}:{named}", settings=settings)
