"""What a receipt holds, as its JSON file has it."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.atomic import new_file
from storage.json_file import write_json

RECEIPT_FILE = "receipt.json"


class Record(BaseModel):
    """A part of a receipt; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Record):
    """Files that belong together: where they were, the sha256 of each, and what makes them."""

    directory: str
    files: dict[str, str]
    made_by: str


class Data(Record):
    """What was trained on.

    splits: Of each its conversations, tokens, trained tokens and their share, and fingerprint.
    sources: The files that the dataset was built from, with the sha256 of each.
    """

    chat_format: str
    tokenizer_sha256: str
    splits: dict[str, dict[str, Any]]
    sources: list[dict[str, Any]]


class Score(Record):
    """What one file of scripts/evaluate.py says; figures are shares with 95% intervals."""

    file: str
    items: int
    answered: int
    figures: dict[str, Any]
    plain_text: dict[str, Any] | None = None


class Receipt(Record):
    """What made a tuned model.

    base_sha256: Of the weights that were trained, as the run recorded it; null where it did not.
    made_with: From which step on which code, packages and devices made it.
    merge: The proof of the merge.
    files: By part: base, dataset, checkpoint, merged, results.
    absent: What is not in this receipt, by name, and why.
    """

    receipt: Literal[1] = 1
    name: str
    step: int
    seed: int
    base_sha256: str | None
    settings: dict[str, Any]
    data: Data | None
    made_with: list[dict[str, Any]]
    merge: dict[str, Any] | None
    scores: list[Score]
    files: dict[str, Part]
    absent: dict[str, str]


def write_receipt(file: Path, receipt: Receipt) -> None:
    """Write a receipt whole or not at all; the same files always give the same bytes."""
    with new_file(file) as partial:
        write_json(partial, receipt.model_dump(mode="json"))


def read_receipt(file: Path) -> Receipt:
    """Read a receipt; FileNotFoundError or ValueError says what is wrong with it."""
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing; write it with: python scripts/receipt.py --run-dir D"
        )
    try:
        return Receipt.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "it"
        raise ValueError(f"{file} is no receipt: {where}: {problem['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no receipt: {error}") from None
