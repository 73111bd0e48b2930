"""Dataset layouts: one small module each, told apart by what a row holds."""

import difflib
from typing import Any

from data.reading import (
    anthropic,
    gemini,
    glaive,
    gorilla,
    hammer,
    langchain,
    lmflow,
    mcp,
    openai,
    preference,
    prompt_completion,
    rendered,
    responses,
    reward,
    seal_tools,
    sharegpt,
    toolace,
    toolbench,
    toolllama,
    xlam,
)
from data.reading.layout import Source
from data.reading.rows import RawRow, read_rows
from data.reading.unknown_layout import unknown_layout

__all__ = [
    "SOURCES",
    "RawRow",
    "Source",
    "detect_format",
    "explain_format",
    "find_source",
    "read_rows",
]

# In the order in which they are tried: those that ask more of a row come first.
SOURCES: dict[str, Source] = {
    "glaive": glaive.SOURCE,
    "xlam": xlam.SOURCE,
    "preference": preference.SOURCE,
    "reward": reward.SOURCE,
    "prompt_completion": prompt_completion.SOURCE,
    "mcp": mcp.SOURCE,
    "langchain": langchain.SOURCE,
    "responses": responses.SOURCE,
    "gemini": gemini.SOURCE,
    "anthropic": anthropic.SOURCE,
    "lmflow": lmflow.SOURCE,
    "openai": openai.SOURCE,
    "seal_tools": seal_tools.SOURCE,
    "toolllama": toolllama.SOURCE,
    "toolace": toolace.SOURCE,
    "sharegpt": sharegpt.SOURCE,
    "hammer": hammer.SOURCE,
    "gorilla": gorilla.SOURCE,
    "toolbench": toolbench.SOURCE,
    "text": rendered.SOURCE,
}


def detect_format(row: Any) -> str:
    """Return the name of the layout that `row` has; ValueError names the nearest one."""
    if fitting := _fitting(row):
        return fitting[0]
    raise ValueError(unknown_layout(row, SOURCES))


def explain_format(row: Any, chosen: str) -> str:
    """Return why a layout was chosen for `row` where others fit it too; no text where none do."""
    others = [name for name in _fitting(row) if name != chosen]
    if not others:
        return ""
    also = f"{' and '.join(others)} would fit the first row too"
    if chosen not in _fitting(row)[:1]:
        return f"{also}; {chosen} was named"
    told_by = SOURCES[chosen].told_by
    return f"{also}; {chosen} asks more of a row" + (f": {told_by}" if told_by else "")


def _fitting(row: Any) -> list[str]:
    """Return the layouts that a row fits, the one that is chosen first."""
    return [name for name, source in SOURCES.items() if (source.detects or source.recognises)(row)]


def find_source(name: str) -> Source:
    """Return the layout `name`; ValueError names the nearest one."""
    if name in SOURCES:
        return SOURCES[name]
    close = difflib.get_close_matches(name, SOURCES, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ValueError(f"no format {name!r}; {hint}there are auto, {', '.join(SOURCES)}")
