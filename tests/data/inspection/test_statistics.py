"""Inspection: the figures are those of the arrays, counted here a second way."""

import json
from pathlib import Path

import numpy as np
import pytest
from inspected import inspected_dataset

from chat.tokenizers.tokenizer import Tokenizer
from data.inspection.statistics import fill, open_tokenizer, packing, provenance, statistics
from data.tokenized import TokenizedDataset

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inspected_dataset(tmp_path_factory.mktemp("inspection"))


@pytest.fixture(scope="module")
def dataset(directory: Path) -> TokenizedDataset:
    return TokenizedDataset.open(directory, "train")


@pytest.fixture(scope="module")
def tokenizer(dataset: TokenizedDataset) -> Tokenizer:
    return open_tokenizer(dataset)


def glaive_lengths() -> np.ndarray:
    shapes = json.loads((ROOT / "benchmarks" / "glaive_lengths.json").read_text())
    return np.array([length for length, _ in shapes["conversations"]])


def test_calls_tools_turns_and_behaviours_are_counted(
    dataset: TokenizedDataset, tokenizer: Tokenizer
) -> None:
    figures = statistics(dataset, tokenizer)
    numbers = [int(dataset.origin(i).id.rpartition("-")[2]) for i in range(len(dataset))]
    calling = sum(number % 4 != 0 for number in numbers)
    assert figures.calls == {1: calling, 0: len(numbers) - calling}
    assert figures.tools == {"get_weather": calling}
    assert figures.turns == {2: calling, 1: len(numbers) - calling}
    assert figures.behaviours == {"single_call": calling, "small_talk": len(numbers) - calling}
    assert figures.sources["other.jsonl"] == sum(number % 10 == 0 for number in numbers)
    assert figures.unreadable == 0


def test_tokens_by_role_add_up_and_only_assistant_trains(
    dataset: TokenizedDataset, tokenizer: Tokenizer
) -> None:
    figures = statistics(dataset, tokenizer)
    assert sum(tokens for tokens, _ in figures.roles.values()) == dataset.total_tokens
    assert sum(trained for _, trained in figures.roles.values()) == dataset.trained_tokens
    assert {role for role, (_, trained) in figures.roles.items() if trained} == {"assistant"}
    assert figures.trained.tolist() == [
        int(dataset.trained(index).sum()) for index in range(len(dataset))
    ]


def test_lengths_cover_all_conversations_when_few_are_decoded(
    dataset: TokenizedDataset, tokenizer: Tokenizer
) -> None:
    figures = statistics(dataset, tokenizer, most=5)
    assert figures.decoded == 5 == figures.calls.total()
    assert figures.lengths.tolist() == dataset.lengths.tolist()
    assert figures.percentiles[0] == dataset.lengths.min()
    assert figures.percentiles[100] == dataset.lengths.max() == dataset.longest
    assert figures.percentiles[50] in dataset.lengths


def test_windows_of_glaive_like_conversations_fill_sequences_to_99_percent() -> None:
    lengths = np.random.default_rng(0).choice(glaive_lengths(), 20_000)
    assert fill(lengths, 8192) >= 0.99


def test_the_packing_of_steps_is_that_of_training(dataset: TokenizedDataset) -> None:
    found = packing(dataset, capacity=4096, batch_size=8)
    assert found is not None and found.micro_batches >= 1
    expected = dataset.total_tokens / (-(-len(dataset) // 8) * found.micro_batches * 4096)
    assert found.steps == pytest.approx(expected)
    assert packing(dataset, capacity=dataset.longest - 1, batch_size=8) is None


def test_provenance_names_the_source_files_of_the_build(dataset: TokenizedDataset) -> None:
    (file,) = provenance(dataset)
    assert file["file"] == "rows.jsonl" and file["train"] == len(dataset)


def test_dataset_without_its_tokenizer_asks_for_the_file(tmp_path: Path) -> None:
    directory = inspected_dataset(tmp_path, count=12)
    (directory / "tokenizer.model").unlink()
    dataset = TokenizedDataset.open(directory, "train")
    with pytest.raises(FileNotFoundError, match=r"no copy of its tokenizer; .*--tokenizer-file"):
        open_tokenizer(dataset)
    assert open_tokenizer(dataset, tmp_path / "bytes.model").sha256 == dataset.tokenizer_sha256
