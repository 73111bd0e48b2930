"""Building pairs: both replies after the same tokens, both or none, a prompt in one split."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspected import byte_tokenizer

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import write_reply
from chat.formats.known import FORMATS
from chat.formats.rendering import encode_conversation, training_sequences
from chat.tokenizers.ranks import LLAMA3_CUTTING, TiktokenTokenizer
from data.building.dataset import Settings, build_dataset
from data.pairs import ReplyPair, write_pairs
from data.soundness import check_soundness, check_supervised
from data.split_files import SPLITS
from data.tokenized import TokenizedDataset
from evaluation.items import turn_items

PARAMETERS = {"type": "object", "properties": {"port": {"type": "string"}}}
TIDE, SPARE = Tool("find_tide", "Find a tide.", PARAMETERS), Tool("spare", "b" * 400, PARAMETERS)


def calling(port: str, name: str = "find_tide") -> Message:
    return Message("assistant", "", (ToolCall(name, {"port": port}, "call00001"),))


def pair(number: int, prompt: int | None = None, **changes: Any) -> ReplyPair:
    place = number if prompt is None else prompt
    asked = (
        *(Message("user", f"Hi {place}"), Message("assistant", "Hello.")),
        Message("user", f"Tide at port {place}?"),
    )
    named = Conversation(asked, (TIDE, SPARE), f"p-{number}", "made", f"{number:064x}")
    made = ReplyPair(named, calling(f"port {place}"), calling(f"bay {number}"), "wrong value")
    return replace(made, **changes)


SOME = [pair(number) for number in range(8)]


def build(
    directory: Path, pairs: list[ReplyPair], **settings: Any
) -> tuple[dict[str, Any], dict[str, TokenizedDataset]]:
    write_pairs(directory / "pairs.jsonl", pairs)
    tokenizer = byte_tokenizer(directory / "bytes.model")
    chosen = Settings(**{"val_ratio": 0.5, "pairs": True, **settings})
    described = build_dataset(directory / "pairs.jsonl", tokenizer, directory / "d", chosen)
    return described, {split: TokenizedDataset.open(directory / "d", split) for split in SPLITS}


def stored(splits: dict[str, TokenizedDataset]) -> list[tuple[TokenizedDataset, int]]:
    return [(split, first) for split in splits.values() for first in range(0, len(split), 2)]


# Those of Mistral's first format have no calls.
@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"mistral_v1"}))
def test_both_replies_follow_the_same_tokens_in_every_format(name: str) -> None:
    format = FORMATS[name]
    names = dict.fromkeys([*format.special_tokens, *format.stop_tokens, *format.end_tokens])
    ranks = {bytes([value]): value for value in range(256)}
    specials = {name: 256 + place for place, name in enumerate(names)}
    tokenizer = TiktokenTokenizer.of(Path("small.model"), "", ranks, specials, LLAMA3_CUTTING)
    made = pair(1, rejected=Message("assistant", "Which port?"))
    # Some formats write one question and its reply, and no more.
    made = replace(made, prompt=replace(made.prompt, messages=made.prompt.messages[-1:]))
    (chosen,), (rejected,) = (list(training_sequences(side, format)) for side in made.sides)
    one, other = (encode_conversation(side, format, tokenizer) for side in (chosen, rejected))
    begin = one.trained.index(True)
    assert begin == other.trained.index(True) and one.ids[:begin] == other.ids[:begin]
    for tokens in (one, other):
        end = begin + sum(tokens.trained)
        assert all(tokens.trained[begin:end]) and not any(tokens.trained[end:])


def test_each_pair_is_stored_as_its_chosen_and_its_rejected_side(tmp_path: Path) -> None:
    _, splits = build(tmp_path, SOME)
    for split, first in stored(splits):
        for index, word in ((first, b"port "), (first + 1, b"bay ")):
            reply = bytes(id for id in split.tokens(index)[split.trained(index)].tolist()[:-1])
            assert b"find_tide" in reply and word in reply
        assert split.origin(first).id == split.origin(first + 1).id
    for opened in splits.values():
        check_soundness(opened)


def test_dataset_says_that_conversations_come_in_pairs(tmp_path: Path) -> None:
    described, splits = build(tmp_path, SOME)
    assert described["group_size"] == 2
    assert all(split.group_size == 2 and len(split) % 2 == 0 for split in splits.values())
    assert splits["train"].origin(1).kind == "wrong value"


def test_no_prompt_stands_in_both_splits(tmp_path: Path) -> None:
    _, splits = build(tmp_path, [pair(number, prompt=number % 7) for number in range(35)])
    prompts = {
        name: {
            split.tokens(i)[: int(split.trained(i).argmax())].tobytes() for i in range(len(split))
        }
        for name, split in splits.items()
    }
    assert len(prompts["train"]) + len(prompts["validation"]) == 7
    assert not prompts["train"] & prompts["validation"]


def test_a_weight_repeats_pairs_whole(tmp_path: Path) -> None:
    _, splits = build(tmp_path, SOME, weights="2")
    train = splits["train"]
    ids = [train.origin(index).id for index in range(len(train))]
    assert ids == [id for id in dict.fromkeys(ids) for _ in range(4)]
    sides = [train.tokens(index).tobytes() for index in range(4)]
    assert sides[:2] == sides[2:] and sides[0] != sides[1]


def test_tools_that_neither_side_calls_are_left_out_to_fit(tmp_path: Path) -> None:
    _, whole = build(tmp_path, SOME)
    limit = whole["train"].longest - 100
    described, splits = build(tmp_path, SOME, max_seq_len=limit)
    assert len(described["repaired"]["tools_dropped"]) == 8
    assert described["repaired"]["tools_dropped"][0]["tools"] == ["spare"]
    for split, first in stored(splits):
        tokens, trained = split.tokens(first), split.trained(first)
        begin = int(trained.argmax())
        assert (tokens[:begin] == split.tokens(first + 1)[:begin]).all()


def test_an_overlong_side_leaves_out_the_whole_pair(tmp_path: Path) -> None:
    calls_both = pair(99, rejected=calling("x" * 2000, "spare"))
    described, splits = build(
        tmp_path,
        [calls_both, *SOME],
        max_seq_len=1900,
        skip_overlong=True,
    )
    assert [entry["id"] for entry in described["rejected"]["overlong"]] == ["p-99"]
    assert sum(map(len, splits.values())) == 16


def test_sides_that_a_format_writes_alike_are_left_out(tmp_path: Path) -> None:
    right = pair(99)
    written = write_reply("", right.chosen.tool_calls, FORMATS["llama3"].calls)
    alike = replace(right, rejected=Message("assistant", written))
    described, splits = build(tmp_path, [alike, *SOME])
    (entry,) = described["rejected"]["unwritable"]
    assert entry == {"id": "p-99", "reason": "chosen and rejected are written alike"}
    assert sum(map(len, splits.values())) == 16


def test_a_rejected_reply_need_not_be_readable(tmp_path: Path) -> None:
    broken = pair(99, rejected=Message("assistant", 'functions.find_tide({"port": '))
    described, splits = build(tmp_path, [broken, *SOME])
    assert described["rejected"]["unwritable"] == []
    assert sum(map(len, splits.values())) == 18


def test_validation_judges_the_chosen_reply_alone(tmp_path: Path) -> None:
    _, splits = build(tmp_path, SOME)
    for index, origin in enumerate(splits["validation"].origins()):
        assert origin.conversation is not None
        items = list(turn_items(Conversation.from_record(origin.conversation)))
        assert len(items) == (1 if index % 2 == 0 else 0)


def test_pairs_split_by_tools_share_no_tool(tmp_path: Path) -> None:
    pairs = []
    for number in range(8):
        tool = Tool(f"find_{number}", f"Find {number}.", PARAMETERS)
        made = pair(number, chosen=calling("a", tool.name), rejected=calling("b", tool.name))
        pairs.append(replace(made, prompt=replace(made.prompt, tools=(tool,))))
    described, splits = build(tmp_path, pairs, split_by="tools")
    assert described["provenance"]["split_by"] == "tools"
    assert sum(map(len, splits.values())) == 16


@pytest.mark.usefixtures("trusted_files")
def test_a_group_size_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    build(tmp_path, SOME)
    file = tmp_path / "d" / "dataset.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "group_size": 3}))
    with pytest.raises(ValueError, match=r"says group_size 3 of .* wanted 1, or 2"):
        TokenizedDataset.open(tmp_path / "d", "train")


def test_supervised_training_refuses_pairs_by_name(tmp_path: Path) -> None:
    _, splits = build(tmp_path, SOME)
    with pytest.raises(ValueError, match=r"is a dataset of pairs, .* --preference\.beta"):
        check_supervised(splits["train"])


def test_training_on_more_than_the_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="--train-on all goes with --source-file"):
        Settings(pairs=True, train_on="all")
