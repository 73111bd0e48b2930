"""Real rows damaged at random: each still ends in an outcome, never in a traceback."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation
from data.cleaning.clean_row import Settings, clean_row
from data.cleaning.rules import MEANINGS
from data.reading import RawRow, read_rows

FILES = {
    "glaive": "glaive_v2_raw/reconstructed_layout.en_part.json",
    "sharegpt": "glaive_toolcall_sharegpt/glaive_toolcall_zh_demo.part.json",
    "openai": "glaive_toolcall_sharegpt/reason_tool_use_demo_50.rows_0_24.jsonl",
    "xlam": "xlam_function_calling_60k/xlam_rows.json",
    "hammer": "hammer/masking_sft_data_example.json",
    "gorilla": "gorilla_openfunctions_v1/gorilla_openfunctions_v1_test.rows_0_55.json",
    "seal_tools": "seal_tools/dataset_for_finetune_dev.rows_0_199.json",
    "toolbench": "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/608_CoT@1.json",
}
TIMES = {"glaive": 1000, "sharegpt": 1000, "toolbench": 200}
VALUES = [None, 1, 1.5, True, "", [], {}, "x", [1], {"a": 1}, float("nan"), "\ud800"]
SNIPPETS = ["'", '"', "}", "{", "[", "\\", "\\u", "\ud800", "\x00", "\r\n", "NaN", "null"]
SNIPPETS += ["\n\n\nUSER: ", "\n\n\nASSISTANT: ", "<functioncall> ", "<|endoftext|>"]


def damaged_text(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            text = text[:at] + text[at + chance.randint(1, 20) :]
        elif kind == 1:
            text = text[:at] + chance.choice(SNIPPETS) + text[at:]
        else:
            text = text[:at] if chance.random() < 0.3 else text[:at] + text[at // 2 :]
    return text


def damaged(row: Any, chance: random.Random) -> Any:
    """Return a copy of `row` with one value changed, damaged or taken out."""
    row = copy.deepcopy(row)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys if isinstance(value, dict | list) else ():
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    walk(row)
    holder, key = chance.choice(places)
    if isinstance(holder[key], str) and chance.random() < 0.8:
        holder[key] = damaged_text(holder[key], chance)
    elif chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = chance.choice(VALUES)
    return row


@pytest.mark.parametrize("layout", FILES)
def test_a_damaged_row_is_kept_repaired_or_rejected(shared: Path, layout: str) -> None:
    rows = [row.value for row in read_rows(shared / FILES[layout])]
    chance = random.Random(0)
    met = set()
    for index in range(TIMES.get(layout, 500)):
        row = RawRow(index, damaged(chance.choice(rows), chance), "0" * 64, f"line {index}")
        outcome = clean_row(row, layout, "damaged.json", Settings())
        if outcome.rejected:
            met.add(outcome.rejected.rule)
            assert outcome.line == "" and outcome.rejected.rule in MEANINGS
        else:
            met |= {change.rule for change in outcome.changes}
            assert outcome.line.encode().endswith(b"}\n")
            assert Conversation.from_record(json.loads(outcome.line)).messages
    assert {"wrong-layout", "unreadable-call", "unreadable-tools"} <= met
