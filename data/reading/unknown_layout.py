"""What to say of a row that no layout fits: what it holds, the nearest layout, where all are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chat.schemas.tools_file import tool_records
from chat.schemas.validation import read_tool
from data.reading.layout import Source

_PAGE = "docs/data-formats.md"
# The layout that README shows.
_README = "openai"
# A text, with the colon after it where it is a key; or a bracket.
_PARTS = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*:)?|([\[{])|[\]}]')
# How an error shows keys, of which a row may have any number.
_MOST_KEYS = 12


def unknown_layout(row: Any, sources: Mapping[str, Source]) -> str:
    """Return why a row has none of these layouts, in one line."""
    if _is_tool(row):
        return "no known layout: this is a file of tools; name it with --tools-file"
    if not isinstance(row, dict):
        found, near = f"{type(row).__name__} {str(row)[:40]!r}", ""
    else:
        more = len(row) - _MOST_KEYS
        found = f"an object with the keys {_quoted(list(row)[:_MOST_KEYS]) or '(none)'}"
        found += f" and {more} more" if more > 0 else ""
        near = _nearest(row, sources)
    return (
        f"no known layout: found {found}{near}; README's layout is {sources[_README].looks_like}; "
        f"all of them: {_PAGE}"
    )


def _nearest(row: Mapping[str, Any], sources: Mapping[str, Source]) -> str:
    """Return the layout that shares most keys with a row, with those that the row lacks.

    Of several it is README's, else the one of fewest keys.
    """
    keys = {name: list(dict.fromkeys(_keys(s.looks_like))) for name, s in sources.items()}
    shared = {name: len(row.keys() & set(of)) for name, of in keys.items()}
    best = max(shared, key=lambda name: (shared[name], name == _README, -len(keys[name])))
    if not shared[best]:
        return ""
    lacks = [key for key in keys[best] if key not in row]
    why = f"lacks {_quoted(lacks)}" if lacks else f"wants {sources[best].looks_like}"
    return f"; nearest is {best} ({why})"


def _keys(looks_like: str) -> Iterator[str]:
    """Yield the keys of the outermost object of a layout's picture."""
    depth = 0
    for part in _PARTS.finditer(looks_like):
        if part[1] is None:
            depth += 1 if part[3] else -1
        elif part[2] and depth == 1:
            yield part[1]


def _is_tool(row: Any) -> bool:
    """Return whether a row is a tool, wrapped or bare, or an object that holds a list of tools."""
    if not isinstance(row, dict) or not row.keys() & {"function", "description", "tools", "result"}:
        return False
    try:
        return bool(list(map(read_tool, tool_records(row))))
    except ValueError:
        return False


def _quoted(keys: list[Any]) -> str:
    return ", ".join(map(repr, keys))
