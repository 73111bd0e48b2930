"""JSON as all our files hold it."""

import json
from pathlib import Path
from typing import Any


def write_json(file: Path, value: Any) -> None:
    """Write a value as indented JSON with a newline at the end.

    Half a surrogate pair, as a path may hold, is written as its escape and reads back the same.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
