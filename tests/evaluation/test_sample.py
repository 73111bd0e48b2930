"""The prompts of an evaluation during training: held out, fixed by the seed, with calls."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from native_directories import write_native
from speaking_model import TOKENIZER
from talking_runs import HELD_OUT, TRAINED, WEATHER, called, told, write_talking_dataset
from tiny_models import TINY

from chat.conversation import Conversation, Message
from chat.tokenizers.tokenizer import load_tokenizer
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from data.pairs import ReplyPair, write_pairs
from data.tokenized import SPLITS, TokenizedDataset
from evaluation.during_training import Sample
from evaluation.sample import choose_items, open_sample
from model.config import ModelConfig


@dataclass(frozen=True)
class Generated:
    """The settings of validation.generated."""

    prompts: int = 5
    seconds: float = 60.0
    conversations_file: str | None = None
    max_new_tokens: int = 20
    batch_size: int = 2


@dataclass(frozen=True)
class Validating:
    """The settings of validation."""

    generated: Generated | None = Generated()
    best_metric: str = "loss"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    size = load_tokenizer(TOKENIZER).vocab_size
    write_native(folder, ModelConfig(**{**TINY.__dict__, "vocab_size": size}))
    (folder / "tokenizer.model").write_bytes(TOKENIZER.read_bytes())
    return folder


@pytest.fixture
def dataset(tmp_path: Path, base: Path) -> Path:
    return write_talking_dataset(tmp_path / "talk", base, HELD_OUT, TRAINED)


def sample(
    base: Path, dataset: Path, seed: int = 3, best_metric: str = "loss", **generated: object
) -> Sample:
    splits = (TokenizedDataset.open(dataset, split) for split in SPLITS)
    validating = Validating(replace(Generated(), **generated), best_metric)
    found = open_sample(validating, seed, str(base), *splits)
    assert found is not None
    return found


def ids(found: Sample) -> list[str]:
    return [item.id for item in found.items]


def test_no_sample_is_drawn_without_the_generated_section(base: Path, dataset: Path) -> None:
    splits = [TokenizedDataset.open(dataset, split) for split in SPLITS]
    assert open_sample(Validating(None), 3, str(base), *splits) is None


def test_prompts_are_token_prefixes_of_held_out_conversations(base: Path, dataset: Path) -> None:
    found = sample(base, dataset)
    assert sorted(ids(found)) == sorted(f"{conversation.id}/1" for conversation in HELD_OUT)
    held_out = TokenizedDataset.open(dataset, "validation")
    whole = {held_out.origin(i).id: held_out.tokens(i).tolist() for i in range(len(held_out))}
    for item, prompt in zip(found.items, found.prompts, strict=True):
        assert whole[item.id.removesuffix("/1")][: len(prompt)] == prompt


def test_seed_fixes_the_sample_and_smaller_ones_are_prefixes(base: Path, dataset: Path) -> None:
    drawn = [ids(sample(base, dataset, seed, prompts=4)) for seed in range(6)]
    assert drawn[3] == ids(sample(base, dataset, 3, prompts=4))
    assert len({tuple(sample_ids) for sample_ids in drawn}) > 1
    assert ids(sample(base, dataset, 3))[:4] == drawn[3]


def test_every_conversation_gives_one_turn_before_a_second(base: Path, tmp_path: Path) -> None:
    turns = [message for city in "ABCD" for message in called(city).messages]
    long = Conversation(tuple(turns), (WEATHER,), id="long")
    held_out = [long, *(called(city) for city in ("Lyon", "Oslo"))]
    path = write_talking_dataset(tmp_path / "d", base, held_out, TRAINED)
    found = [id.rpartition("/")[0] for id in ids(sample(base, path, prompts=5))]
    assert set(found[:3]) == {"long", "0 Lyon", "0 Oslo"} and found[3:] == ["long"] * 2


def test_conversations_file_is_sampled_without_trained_conversations(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    file = tmp_path / "more.jsonl"
    other = [called(city) for city in ("Bern", "Cairo", "Delhi")]
    rows = [replace(conversation, sha256=conversation.id) for conversation in [*TRAINED, *other]]
    write_conversations(file, rows)
    found = sample(base, dataset, conversations_file=str(file))
    assert sorted(ids(found)) == ["0 Bern/1", "0 Cairo/1", "0 Delhi/1"]
    assert len(ids(sample(base, dataset, conversations_file=str(file), prompts=2))) == 2
    write_conversations(file, rows[: len(TRAINED)])
    with pytest.raises(ValueError, match=r"more.jsonl has no assistant's turn that .* not train"):
        sample(base, dataset, conversations_file=str(file))


def test_prompt_longer_than_any_training_conversation_is_rejected(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    file = tmp_path / "long.jsonl"
    write_conversations(file, [called("Lyon", Message("system", "Again and again. " * 300))])
    with pytest.raises(ValueError, match=r"long.jsonl: 1 Lyon/2 is a prompt of [\d,]+ tokens"):
        sample(base, dataset, conversations_file=str(file))


def test_fingerprint_depends_on_prompts_answers_and_reply_length(base: Path, dataset: Path) -> None:
    first = sample(base, dataset)
    assert sample(base, dataset, seconds=1.0, batch_size=1).fingerprint == first.fingerprint
    others = [
        sample(base, dataset, prompts=4),
        sample(base, dataset, seed=4),
        sample(base, dataset, max_new_tokens=21),
        replace(first, items=[replace(item, expected="other") for item in first.items]),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_held_out_conversations_without_calls_are_rejected(base: Path, tmp_path: Path) -> None:
    held_out = [told("Who?", "Me."), told("What?", "That.")]
    path = write_talking_dataset(tmp_path / "d", base, held_out, TRAINED)
    with pytest.raises(
        ValueError, match=r"none of the 2 prompts drawn from .*d \(validation\) wan"
    ):
        sample(base, path)


def test_best_metric_that_no_prompt_counts_for_is_rejected(base: Path, dataset: Path) -> None:
    wrong = r"best_metric is 'parallel_match' \(.*several calls.*\), and none of the 5 prompts"
    with pytest.raises(ValueError, match=wrong):
        sample(base, dataset, best_metric="parallel_match")
    assert sample(base, dataset, best_metric="irrelevance")


def test_balanced_warns_where_every_prompt_wants_a_call(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    assert sample(base, dataset, best_metric="balanced").warning == ""
    calls = [conversation for conversation in HELD_OUT if conversation.messages[-1].tool_calls]
    path = write_talking_dataset(tmp_path / "calls", base, calls, TRAINED)
    assert sample(base, path, best_metric="exact_match").warning == ""
    warning = sample(base, path, best_metric="balanced").warning
    assert "best_metric is 'balanced', and none of the 3 prompts drawn" in warning
    assert "wants a text; best/ follows exact_match" in warning and "\n" not in warning


@pytest.mark.parametrize("chat_format", ["", "llama4"])
@pytest.mark.usefixtures("trusted_files")
def test_dataset_of_unknown_chat_format_is_rejected(
    base: Path, dataset: Path, chat_format: str
) -> None:
    description = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**description, "chat_format": chat_format}))
    wrong = f"no replies can be generated to score: unknown chat format '{chat_format}'"
    with pytest.raises(ValueError, match=wrong):
        sample(base, dataset)


def test_model_with_an_unreadable_tokenizer_is_rejected(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    other = write_native(tmp_path / "other", ModelConfig.read(base))
    (other / "tokenizer.model").write_bytes(b"not a tokenizer")
    with pytest.raises(
        ValueError, match=r"no replies can be .*tokenizer.model.* off with --validation"
    ):
        sample(other, dataset)


@pytest.mark.usefixtures("trusted_files")
def test_dataset_without_held_out_conversations_is_rejected_with_remedies(
    base: Path, dataset: Path
) -> None:
    file = dataset / "validation.origins.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines = [{**line, "conversation": None} for line in lines]
    text = [json.dumps(line) + "\n" for line in lines]
    file.write_text("".join(text))
    offsets = [sum(map(len, text[:count])) for count in range(len(text) + 1)]
    np.array(offsets, dtype="<i8").tofile(dataset / "validation.origins.offsets.bin")
    with pytest.raises(ValueError, match=r"rebuild it with scripts/build_dataset.py, name a file"):
        sample(base, dataset)


def test_of_a_pair_the_chosen_reply_is_the_wanted_one(tmp_path: Path) -> None:
    wanted = [called(f"Port {number}") for number in range(8)]
    pairs = []
    for number, right in enumerate(wanted):
        *asked, chosen = right.messages
        named = replace(right, messages=tuple(asked), sha256=f"{number:064x}")
        pairs.append(ReplyPair(named, chosen, Message("assistant", "No."), "no call"))
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    build_dataset(
        tmp_path / "pairs.jsonl", TOKENIZER, tmp_path / "d", Settings(val_ratio=0.5, pairs=True)
    )
    splits = [TokenizedDataset.open(tmp_path / "d", split) for split in SPLITS]
    items = choose_items(Generated(prompts=8), 3, *splits)
    assert len(items) == len(splits[1]) // 2 > 0
    calls = {json.dumps(item.expected) for item in items}
    assert len(calls) == len(items) and all("Port" in call for call in calls)
