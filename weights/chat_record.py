"""The chat format in which a directory of weights is spoken to: its `chat_format.json`.

Training writes it, and whatever is made of trained weights carries it on: `{"name": "llama3"}`, or
null for a name where the trained weights came without one. What a name means is known in `chat/`.
The `params.json` of a checkpoint says the name too, for those who copy only that and `lora.json`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.config import PARAMS_FILE, read_params
from storage.json_file import read_json
from weights.families.known import FAMILIES
from weights.families.llama import LLAMA

CHAT_RECORD_FILE = "chat_format.json"
# The format of a dataset or of recorded replies where no model says another.
PROPOSED_FORMAT = "llama3"
# Training and merging have always left one of these, also before they wrote a record. `config.json`
# is not among them: Hugging Face has a file of that name.
_TRAINED_FILES = ("base.json", "progress.json", "merge.json", "lora.json")


@dataclass(frozen=True)
class ChatRecord:
    """What is known of weights that were trained here: the format's name, None where it is not.

    `file` is the record, which may be missing where the name is None.
    """

    file: Path
    name: str | None


def read_chat_record(*directories: Path) -> ChatRecord | None:
    """Return the record of weights whose files lie in these directories, the first that has one.

    None where nothing was trained: such weights may be spoken to in any format. ValueError names a
    file that is no record.
    """
    for directory in directories:
        file = directory / CHAT_RECORD_FILE
        if file.is_file():
            return ChatRecord(file, _read_name(file))
    for directory in directories:
        if name := _name_in_params(directory):
            return ChatRecord(directory / PARAMS_FILE, name)
    for directory in directories:
        if any((directory / name).is_file() for name in _TRAINED_FILES):
            return ChatRecord(directory / CHAT_RECORD_FILE, None)
    return None


def proposed_format(directory: Path) -> str:
    """Return the format in which untrained weights are spoken to where nobody says another.

    It is that of their family, and PROPOSED_FORMAT where there are no weights.
    """
    if not (directory / PARAMS_FILE).is_file():
        return PROPOSED_FORMAT
    family = read_params(directory).get("family", LLAMA.name)
    return FAMILIES[family].chat_format if family in FAMILIES else PROPOSED_FORMAT


def write_chat_record(directory: Path, name: str | None) -> None:
    """Write the record of weights that were trained in this chat format; none may be known."""
    text = json.dumps({"name": name or None}, ensure_ascii=False)
    (directory / CHAT_RECORD_FILE).write_text(text + "\n", encoding="utf-8")


def copy_chat_record(target: Path, *sources: Path) -> None:
    """Write what `read_chat_record` finds in the sources to another directory, if it finds any."""
    if record := read_chat_record(*sources):
        write_chat_record(target, record.name)


def params_with_format(params: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return the `params.json` of weights that were trained in this chat format."""
    return {**params, "chat_format": name} if name else params


def _name_in_params(directory: Path) -> str | None:
    if not (directory / PARAMS_FILE).is_file():
        return None
    name = read_params(directory).get("chat_format")
    return name if isinstance(name, str) and name else None


def _read_name(file: Path) -> str | None:
    record = read_json(file)
    if not isinstance(record, dict) or record.keys() != {"name"}:
        raise ValueError(_malformed(file, json.dumps(record)[:80]))
    name = record["name"]
    if name is not None and not (isinstance(name, str) and name):
        raise ValueError(_malformed(file, json.dumps(record)[:80]))
    return name


def _malformed(file: Path, found: str) -> str:
    return (
        f'{file} is {found}, wanted such as {{"name": "{PROPOSED_FORMAT}"}}; '
        "write it so, with the format these weights were trained in"
    )
