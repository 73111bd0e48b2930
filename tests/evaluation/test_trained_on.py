"""A warning where a model is scored on what it was trained on."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from small_datasets import write_dataset

from chat.conversation import Conversation, Message
from data.split_files import FILES, Encoding, Origin, Sample
from data.tokenized import TokenizedDataset
from evaluation.items import Item
from evaluation.scoring.calls import Verdict
from evaluation.trained_on import trained_on_warning

SPLIT_OF = {"a": "train", "b": "train", "c": "validation"}


def items(names: Sequence[str]) -> list[Item]:
    asked = Conversation((Message("user", "Hi"),))
    return [
        Item(n, f"sha {n}", "no_call", asked, "Hi", lambda reply: Verdict(True, True, True))
        for n in names
    ]


@pytest.fixture
def dataset(tmp_path: Path) -> TokenizedDataset:
    samples = (
        Sample(np.arange(4), np.array([False, True, True, True]), split, Origin(n, "", f"sha {n}"))
        for n, split in SPLIT_OF.items()
    )
    write_dataset(tmp_path / "data", samples, Encoding("llama3", "0" * 64, 384, {}))
    return TokenizedDataset.open(tmp_path / "data", "train")


@pytest.fixture
def checkpoint(tmp_path: Path, dataset: TokenizedDataset) -> Path:
    folder = tmp_path / "final"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"data": {"dataset_dir": str(dataset.directory)}})
    )
    (folder / "progress.json").write_text(json.dumps({"data": [dataset.fingerprint, "other"]}))
    return folder


def test_items_of_trained_conversations_are_counted(
    checkpoint: Path, dataset: TokenizedDataset
) -> None:
    told = trained_on_warning(checkpoint, items("abcd"))
    assert told.startswith("2 of 4 items are of conversations that these weights were trained on")
    assert told.endswith(f"--held-out-of {dataset.directory}")


def test_held_out_items_bring_no_warning(checkpoint: Path) -> None:
    assert trained_on_warning(checkpoint, items("cd")) == ""


def test_a_merged_model_is_known_by_its_adapter(checkpoint: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    (merged / "merge.json").write_text(json.dumps({"adapter": str(checkpoint / "a.safetensors")}))
    assert trained_on_warning(merged, items("a")).startswith("1 of 1 items")


@pytest.mark.parametrize("file", ["config.json", "progress.json"])
@pytest.mark.parametrize("content", ["{}", "[1]", "no JSON", None])
def test_an_unknown_dataset_brings_no_warning(
    checkpoint: Path, file: str, content: str | None
) -> None:
    (checkpoint / file).unlink() if content is None else (checkpoint / file).write_text(content)
    assert trained_on_warning(checkpoint, items("a")) == ""


def test_items_of_a_dataset_built_anew_may_have_been_trained(
    checkpoint: Path, dataset: TokenizedDataset
) -> None:
    (checkpoint / "progress.json").write_text(json.dumps({"data": ["another"]}))
    # Of both splits: what is held out now may have been trained then.
    told = trained_on_warning(checkpoint, items("acd"))
    assert told.startswith(f"2 of 3 items are of {dataset.directory}, which was built anew since")
    assert trained_on_warning(checkpoint, items("d")) == ""


def test_a_dataset_built_anew_and_damaged_brings_no_warning(
    checkpoint: Path, dataset: TokenizedDataset
) -> None:
    (checkpoint / "progress.json").write_text(json.dumps({"data": ["another"]}))
    (dataset.directory / f"validation.{FILES['origins']}").unlink()
    assert trained_on_warning(checkpoint, items("a")) == ""


@pytest.mark.parametrize("content", ["no JSON", "{}", "[1]", None])
def test_a_damaged_dataset_brings_no_warning(
    checkpoint: Path, dataset: TokenizedDataset, content: str | None
) -> None:
    file = dataset.directory / f"train.{FILES['origins']}"
    file.unlink() if content is None else file.write_text(content)
    assert trained_on_warning(checkpoint, items("a")) == ""
