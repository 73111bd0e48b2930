"""JSON as all our files hold it."""

import json
from pathlib import Path
from typing import Any


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; ValueError names a file that holds none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{file} must hold an object, found {type(value).__name__}")
    return value


def write_json(file: Path, value: Any) -> None:
    """Write a value as indented JSON with a newline at the end.

    Half a surrogate pair, as a path may hold, is written as its escape and reads back the same.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
