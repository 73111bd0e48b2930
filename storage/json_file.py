"""JSON as all our files hold it."""

import json
from pathlib import Path
from typing import Any

from storage.verified import read_verified

# Above every file of settings and records. Python's objects take some twenty times the text.
MOST_BYTES = 16 * 2**20


def read_json_object(
    file: Path, most_bytes: int = MOST_BYTES, as_it_is: bool = False
) -> dict[str, Any]:
    """Return the object that a JSON file holds, as it was recorded where it was, or `as_it_is`.

    ValueError names a file that holds none, or more than `most_bytes`.
    """
    value = read_json(file, most_bytes, as_it_is)
    if not isinstance(value, dict):
        raise ValueError(f"{file} must hold an object, found {type(value).__name__}")
    return value


def read_json(file: Path, most_bytes: int = MOST_BYTES, as_it_is: bool = False) -> Any:
    """Return the value that a JSON file holds, as `read_json_object` does the object."""
    size = file.stat().st_size
    if size > most_bytes:
        raise ValueError(f"{file} has {size:,} bytes, and at most {most_bytes:,} are read as JSON")
    content = file.read_bytes() if as_it_is else read_verified(file)
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"{file} is not JSON: it is nested too deep") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    except ValueError:
        # Where Python stops reading a whole number.
        raise ValueError(f"{file} is not JSON: a number has more than 4,300 digits") from None


def write_json(file: Path, value: Any) -> None:
    """Write a value as indented JSON with a newline at the end.

    Half a surrogate pair, as a path may hold, is written as its escape and reads back the same.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
