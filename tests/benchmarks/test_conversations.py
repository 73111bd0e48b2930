"""The benchmark's conversations are those of the bundled sample."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.conversations import LENGTHS_FILE, RandomConversations, shapes_of
from data.batches import Batches
from data.building.dataset import Settings as BuildSettings
from data.building.dataset import build_dataset
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings as CleanSettings

SAMPLE = Path(__file__).parents[2] / "demo" / "glaive-sample.json"


def test_lengths_and_trained_spans_are_those_of_the_bundled_sample(
    shared: Path, tmp_path: Path
) -> None:
    tokenizer = shared / "tokenizers" / "llama3" / "tokenizer.model"
    if not tokenizer.is_file():
        pytest.skip(f"no Llama 3 tokenizer at {tokenizer}")
    cleaned = tmp_path / "cleaned.json"
    clean_file(SAMPLE, cleaned, None, "auto", CleanSettings())
    build_dataset(cleaned, tokenizer, tmp_path / "dataset", BuildSettings())
    committed = json.loads(LENGTHS_FILE.read_text())["conversations"]
    found = json.loads(json.dumps(list(shapes_of(tmp_path / "dataset"))))
    assert found == committed, "make it again: see the docstring of benchmarks/conversations.py"


def test_random_tokens_fit_the_vocabulary_and_a_third_is_trained() -> None:
    conversations = RandomConversations(vocab_size=300)
    trained = sum(conversations.trained(i).sum() for i in range(len(conversations)))
    assert 0.25 < trained / conversations.lengths.sum() < 0.35
    assert all(conversations.tokens(i).max() < 300 for i in range(len(conversations)))


def test_a_seed_gives_the_same_tokens_and_complete_batches() -> None:
    ours, again, other = (RandomConversations(300, seed) for seed in (1, 1, 2))
    assert np.array_equal(ours.tokens(5), again.tokens(5))
    assert not np.array_equal(ours.tokens(5), other.tokens(5))
    batches = Batches(ours, batch_size=8, micro_batch_tokens=2048, seed=3)
    group = batches.conversations(0)
    packed = sum(len(batch.tokens) for batch in batches.step(0))
    assert packed == sum(int(ours.lengths[index]) for index in group)
