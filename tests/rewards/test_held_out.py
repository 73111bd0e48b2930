"""What is held out yields no prompt and is not replayed."""

import json
from pathlib import Path

import pytest
from speaking_model import TOKENIZER

from chat.conversation import Conversation, Message, Tool, ToolCall
from console.flags import UsageError
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from data.tokenized import TokenizedDataset
from rewards.held_out import HeldOut, check_places, validation_of
from rewards.prompts import read_prompts
from rewards.replayed import replayed

BELL = Tool("ring", "", {"type": "object", "properties": {"times": {"type": "integer"}}})


def rung(times: int) -> Conversation:
    asked = Message("user", f"Ring {times} times")
    called = Message("assistant", "", (ToolCall("ring", {"times": times}, "c1"),))
    result = Message("tool", "{}", name="ring", tool_call_id="c1")
    return Conversation(
        (asked, called, result, Message("assistant", "Done.")), (BELL,), f"rung-{times}"
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rung.jsonl"
    write_conversations(path, map(rung, range(40)))
    return path


def held_out(folder: Path, conversations: list[Conversation]) -> HeldOut:
    path = folder / "scored.jsonl"
    write_conversations(path, conversations)
    return HeldOut([path])


def ids(file: Path, held: HeldOut) -> set[str]:
    return {prompt.id for prompt in read_prompts([file], held)}


def test_a_prompt_of_a_held_out_file_is_refused(file: Path, tmp_path: Path) -> None:
    held = held_out(tmp_path, [rung(3), rung(7)])
    everything = ids(file, HeldOut([]))
    assert everything - ids(file, held) == {"rung-3/1", "rung-3/3", "rung-7/1", "rung-7/3"}
    assert list(held.lines()) == [
        f"Held out: 4 prompts that stand in {tmp_path / 'scored.jsonl'} are not used"
    ]


def test_the_same_prompt_under_another_id_and_reply_is_refused(file: Path, tmp_path: Path) -> None:
    asked = Conversation((rung(3).messages[0], Message("assistant", "No.")), (BELL,), "other")
    refused = ids(file, HeldOut([])) - ids(file, held_out(tmp_path, [asked]))
    assert refused == {"rung-3/1"}


def test_the_validation_split_of_a_dataset_is_refused(file: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    build_dataset(file, TOKENIZER, dataset, Settings(val_ratio=0.3))
    held = HeldOut([dataset])
    kept = {origin.id for origin in TokenizedDataset.open(dataset, "train").origins()}
    assert 0 < len(kept) < 40
    assert {identity.partition("/")[0] for identity in ids(file, held)} == kept


def test_what_is_held_out_is_not_replayed(file: Path, tmp_path: Path) -> None:
    held = held_out(tmp_path, [rung(3)])
    found = replayed([file], held, 100, seed=1)
    assert {conversation.id for conversation in found} == {f"rung-{n}" for n in range(40)} - {
        "rung-3"
    }
    assert len(replayed([file], held, 5, seed=1)) == 5


def test_nothing_held_out_is_a_warning() -> None:
    (line,) = HeldOut([]).lines()
    assert "name what you score on with --never-from" in line


def test_a_place_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="--never-from nowhere does not exist"):
        check_places(["nowhere"])


def test_a_dataset_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "chat_format.json").write_text('{"name": "llama3"}')
    (tmp_path / "progress.json").write_text('{"data": []}')
    (tmp_path / "config.json").write_text(json.dumps({"data": {"dataset_dir": "gone"}}))
    told = list[str]()
    assert validation_of(tmp_path, told.append) == []
    assert "is not there any more; name what is held out with --never-from" in told[0]


def test_prompts_are_drawn_by_the_seed(file: Path) -> None:
    drawn = [
        [prompt.id for prompt in read_prompts([file], HeldOut([]), limit=5, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5


def test_prompts_of_two_files_have_ids_of_their_own(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    write_conversations(other, [rung(3)])
    found = [prompt.id for prompt in read_prompts([file, other], HeldOut([]), ["call"])]
    assert len(set(found)) == len(found) == 41
    assert "rung-3/1/2" in found


def test_an_unknown_category_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="there is no 'calls'"):
        read_prompts([file], HeldOut([]), ["calls"])


def test_no_prompt_left_is_told(file: Path) -> None:
    with pytest.raises(ValueError, match="is left to be replied to; 80 are held out"):
        read_prompts([file], HeldOut([file]))
