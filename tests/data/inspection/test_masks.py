"""Masks: the stretches of a conversation are exactly what its batch reads and has as targets."""

from pathlib import Path

import numpy as np
import pytest
from inspected import conversation, inspected_dataset

from chat.formats.known import find_format
from chat.formats.rendering import render
from chat.tokenizers.tokenizer import Tokenizer
from data.inspection.masks import Reader, predicted, trained_texts, view
from data.inspection.statistics import open_tokenizer
from data.tokenized import TokenizedDataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> TokenizedDataset:
    directory = inspected_dataset(tmp_path_factory.mktemp("masks"))
    return TokenizedDataset.open(directory, "train")


@pytest.fixture(scope="module")
def tokenizer(dataset: TokenizedDataset) -> Tokenizer:
    return open_tokenizer(dataset)


@pytest.fixture(scope="module")
def reader(dataset: TokenizedDataset, tokenizer: Tokenizer) -> Reader:
    return Reader.of("llama3", tokenizer)


def number_of(dataset: TokenizedDataset, index: int) -> int:
    return int(dataset.origin(index).id.rpartition("-")[2])


def test_every_view_is_the_rendered_conversation(dataset: TokenizedDataset, reader: Reader) -> None:
    for index in range(len(dataset)):
        seen = view(dataset, index, reader)
        segments = render(conversation(number_of(dataset, index)), find_format("llama3"))
        assert "".join(stretch.text for stretch in seen.stretches) == "".join(
            s.text for s in segments
        )
        assert sum(stretch.length for stretch in seen.stretches) == dataset.lengths[index]
        for learned in (True, False):
            assert "".join(e.text for e in seen.stretches if e.trained == learned) == "".join(
                s.text for s in segments if s.trained == learned
            )
        ends = np.cumsum([0, *(stretch.length for stretch in seen.stretches)])
        assert [stretch.start for stretch in seen.stretches] == ends[:-1].tolist()


def test_roles_stops_and_special_tokens_are_marked(
    dataset: TokenizedDataset, reader: Reader
) -> None:
    index = next(i for i in range(len(dataset)) if number_of(dataset, i) % 4)
    seen = view(dataset, index, reader).stretches
    turns = [stretch.role for stretch in seen if stretch.text == "<|start_header_id|>"]
    assert turns == ["system", "user", "assistant", "tool", "assistant"]
    stops = [stretch for stretch in seen if stretch.stop]
    assert [(stop.text, stop.role, stop.length) for stop in stops] == [
        ("<|eot_id|>", "assistant", 1)
    ] * 2
    assert seen[0].text == "<|begin_of_text|>" and seen[0].role == "" and seen[0].special
    assert all(stretch.role == "assistant" for stretch in seen if stretch.trained)


def test_the_trained_turns_are_read_without_their_stop(
    dataset: TokenizedDataset, reader: Reader
) -> None:
    index = next(i for i in range(len(dataset)) if number_of(dataset, i) % 4)
    texts = trained_texts(*predicted(dataset, index), reader)
    assert len(texts) == 2 and texts[1] == "Clear sky 🙂."
    assert texts[0].startswith('{"tool_uses"') and texts[0].endswith("}]}")


def test_conversation_index_out_of_range_is_refused(
    dataset: TokenizedDataset, reader: Reader
) -> None:
    for index in (-1, len(dataset)):
        with pytest.raises(ValueError, match=rf"no conversation {index}: its train split counts"):
            view(dataset, index, reader)


def test_another_tokenizer_is_refused(dataset: TokenizedDataset, tmp_path: Path) -> None:
    text = (dataset.directory / "tokenizer.model").read_text()
    lines = text.splitlines(keepends=True)
    (tmp_path / "tokenizer.model").write_text("".join(lines[::-1]))
    with pytest.raises(ValueError, match=r"is not the tokenizer that .* was built with"):
        open_tokenizer(dataset, tmp_path / "tokenizer.model")
