"""--train-on: the assistant's turns, the last of them, or the whole text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speaking_model import TOKENIZER

from chat.conversation import Conversation, Message, Tool
from chat.formats.format import CannotWrite
from chat.formats.known import find_format
from data.building.dataset import Settings, build_dataset
from data.building.trained_turns import trained_sequences
from data.conversations import json_line
from data.soundness import check_soundness
from data.tokenized import TokenizedDataset

TURNS = ("user", "One?"), ("assistant", "Yes."), ("user", "Two?"), ("assistant", "No.")
LLAMA3 = find_format("llama3")


def conversation(number: int, *unlearnt: int) -> Conversation:
    messages = tuple(
        Message(role, f"{text} {number}", trained=place not in unlearnt)
        for place, (role, text) in enumerate(TURNS)
    )
    return Conversation(messages, id=str(number))


def built(folder: Path, train_on: str, *conversations: Conversation) -> dict[str, object]:
    rows = folder / "rows.jsonl"
    rows.write_text("".join(map(json_line, conversations)), encoding="utf-8")
    settings = Settings(val_ratio=0.5, train_on=train_on)
    return build_dataset(rows, TOKENIZER, folder / "built", settings)


def masks(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the ids and the mask of each conversation of both splits."""
    found = []
    for split in ("train", "validation"):
        dataset = TokenizedDataset.open(folder / "built", split)
        check_soundness(dataset)
        found += [(dataset.tokens(i), dataset.trained(i)) for i in range(len(dataset))]
    return found


@pytest.mark.parametrize(("train_on", "turns"), [("assistant", 2), ("last", 1), ("all", 1)])
def test_each_choice_trains_its_turns_and_is_recorded(
    tmp_path: Path, train_on: str, turns: int
) -> None:
    description = built(tmp_path, train_on, *map(conversation, range(6)))
    assert description["provenance"]["train_on"] == train_on
    for ids, trained in masks(tmp_path):
        starts = np.flatnonzero(np.diff(np.concatenate([[0], trained.astype(np.int8)])) == 1)
        assert len(starts) == turns
        assert trained[len(ids) - 1] and not trained[0]
        assert (trained.sum() == len(ids) - 1) == (train_on == "all")


def test_the_last_turn_stays_unlearnt_where_its_row_says_so() -> None:
    (found,) = trained_sequences(conversation(1, 3), LLAMA3, "last")
    assert not any(message.trained for message in found.messages if message.role == "assistant")


def test_formats_that_rewrite_earlier_turns_have_one_sequence_for_the_last() -> None:
    mistral, asked = find_format("mistral_v3"), replace(conversation(1), tools=(Tool("f"),))
    assert len(list(trained_sequences(asked, mistral, "assistant"))) == 2
    (sequence,) = trained_sequences(asked, mistral, "last")
    assert [message.trained for message in sequence.messages][-1:] == [True]


def test_a_whole_text_with_an_unlearnt_turn_is_listed(tmp_path: Path) -> None:
    rows = [*map(conversation, range(6)), conversation(6, 1)]
    with pytest.raises(CannotWrite, match=r"messages\[1\]: the turn is not to be learnt"):
        list(trained_sequences(rows[-1], LLAMA3, "all"))
    description = built(tmp_path, "all", *rows)
    assert [entry["id"] for entry in description["rejected"]["unwritable"]] == ["6"]


def test_another_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="--train-on is 'first', wanted assistant or last or all"):
        Settings(train_on="first")
