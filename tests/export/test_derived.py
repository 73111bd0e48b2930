"""What llama.cpp loses of each format is what was recorded of it with the project's templates."""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.formats.known import FORMATS
from export.derived import DERIVED, derived_losses
from export.shapes import SHAPES

RECORD: dict[str, Any] = json.loads(
    Path(__file__).with_name("llama_cpp.json").read_text(encoding="utf-8")
)["formats"]
TURNS = dict(SHAPES)


def is_read(shape: str, verdict: dict[str, Any]) -> bool:
    if "error" in verdict:
        return False
    wanted = [(call.name, call.arguments) for call in TURNS[shape].tool_calls]
    made = [(name, json.loads(arguments)) for name, arguments in verdict["calls"]]
    return made == wanted and verdict["content"].strip() == TURNS[shape].content


@pytest.mark.parametrize("name", RECORD)
def test_a_row_has_the_recorded_losses_and_template(name: str) -> None:
    verdicts = RECORD[name]["replies"]
    lost = {shape for shape, verdict in verdicts.items() if not is_read(shape, verdict)}
    assert DERIVED[name].template == RECORD[name]["template"]
    assert lost == set(DERIVED[name].lost) & set(verdicts)


def test_the_templates_are_those_recorded_with() -> None:
    """A template may change without this: exports then say that llama.cpp was not checked."""
    if changed := [name for name in FORMATS if derived_losses(FORMATS[name]) is None]:
        pytest.skip(f"run record_llama_cpp.py: templates changed of {', '.join(changed)}")


def test_every_format_was_recorded() -> None:
    assert set(DERIVED) == set(RECORD) == set(FORMATS)


def test_another_template_has_no_recorded_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.derived.chat_template", lambda format: "another")
    assert derived_losses(FORMATS["qwen2_5"]) is None
