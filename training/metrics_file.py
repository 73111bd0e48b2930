"""The file of figures that a run logs, `metrics.jsonl`: what a run that goes on does with it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.atomic import new_file

METRICS_FILE = "metrics.jsonl"


def cut_metrics(file: Path, start_step: int) -> None:
    """Keep only the lines up to the step that a run resumes from."""
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        with new_file(file) as partial:
            kept = (line for line in lines if _step_of(line) <= start_step)
            partial.write_text("".join(kept), encoding="utf-8")


def logged_losses(file: Path) -> Iterator[float]:
    """Yield the training losses that were logged so far."""
    for record in logged(file):
        if record["kind"] == "train" and record.get("loss") is not None:
            yield record["loss"]


def logged(file: Path) -> list[dict[str, Any]]:
    """Return the records that were logged so far; none without a file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]


def _step_of(line: str) -> float:
    """Return the step of a metrics line; infinity for a torn last line, so that it is cut."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
