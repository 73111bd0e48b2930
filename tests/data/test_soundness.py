"""Soundness: each conversation trains something, each trained turn ends in a trained stop token."""

import json
from pathlib import Path

import pytest
from small_datasets import write_dataset

from data import soundness
from data.soundness import check_soundness
from data.split_files import Encoding, Origin, Sample
from data.tokenized import TokenizedDataset

STOP = 9
END_OF_TEXT = 8
SPECIALS = {"<|eot_id|>": STOP, "<|end_of_text|>": END_OF_TEXT}
ENCODING = Encoding("llama3", "0" * 64, 16, SPECIALS)
GOOD = Sample([1, 2, STOP, 1, 3, STOP, 1], [0, 1, 1, 0, 1, 1, 0])


def written(directory: Path, *samples: Sample) -> TokenizedDataset:
    everything = [*samples, Sample(GOOD.tokens, GOOD.trained, "validation")]
    write_dataset(directory / "d", everything, ENCODING)
    return TokenizedDataset.open(directory / "d", "train")


def test_turns_that_end_in_a_trained_stop_token_pass(tmp_path: Path) -> None:
    check_soundness(written(tmp_path, GOOD, GOOD, Sample([1, 2, STOP], [0, 0, 1])))


@pytest.mark.parametrize(
    ("tokens", "trained", "at"),
    [
        ([1, 2, STOP, 1, 3, 4, 1], [0, 1, 1, 0, 1, 1, 0], 5),  # another token ends the turn
        ([1, 2, STOP, 1, 3, STOP, 1], [0, 1, 1, 0, 1, 0, 0], 4),  # the stop token is not trained
        ([1, 2, STOP, 1, 3], [0, 1, 1, 0, 1], 4),  # nothing comes after the turn
        ([1, 2, 3, STOP], [0, 1, 0, 0], 1),
        ([1, 2, END_OF_TEXT, 1], [0, 1, 1, 0], 2),  # it ends a reply, but is not the format's stop
    ],
)
@pytest.mark.parametrize("piece", [1, 8, 4_000_000])
def test_turn_without_trained_stop_is_named_for_any_piece_size(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokens: list[int],
    trained: list[int],
    at: int,
    piece: int,
) -> None:
    monkeypatch.setattr(soundness, "TOKENS", piece)
    bad = Sample(tokens, trained, "train", Origin("endless"))
    with pytest.raises(
        ValueError,
        match=rf"train conversation 2 \(endless\) has a trained turn .* end, token {at}; look at "
        r"it with: python scripts/inspect_dataset.py --dataset-dir .*/d --split train --index 2;",
    ):
        check_soundness(written(tmp_path, GOOD, GOOD, bad, GOOD))


@pytest.mark.usefixtures("trusted_files")
def test_a_conversation_whose_mask_was_blanked_is_named(tmp_path: Path) -> None:
    dataset = written(tmp_path, GOOD, GOOD, GOOD)
    file = tmp_path / "d" / "train.trained.bin"
    blank = bytearray(file.read_bytes())
    blank[7:14] = bytes(7)
    file.write_bytes(blank)
    dataset = TokenizedDataset.open(tmp_path / "d", "train")
    with pytest.raises(ValueError, match=r"train conversation 1 .* trains nothing"):
        check_soundness(dataset)


@pytest.mark.usefixtures("trusted_files")
def test_a_trained_first_token_alone_trains_nothing(tmp_path: Path) -> None:
    written(tmp_path, GOOD, GOOD)
    (tmp_path / "d" / "train.trained.bin").write_bytes(bytes([1, 0, 0, 0, 0, 0, 0]) * 2)
    with pytest.raises(ValueError, match=r"train conversation 0 .* trains nothing"):
        check_soundness(TokenizedDataset.open(tmp_path / "d", "train"))


@pytest.mark.usefixtures("trusted_files")
def test_a_mask_of_ones_is_refused_unless_whole_texts_are_trained(tmp_path: Path) -> None:
    everything = Sample([1, 2, STOP], [0, 1, 1])
    with pytest.raises(ValueError, match=r"conversation 1 .* trains every token, the prompt too"):
        check_soundness(written(tmp_path, GOOD, everything))
    file = tmp_path / "d" / "dataset.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "provenance": {"train_on": "all"}}))
    check_soundness(TokenizedDataset.open(tmp_path / "d", "train"))


def test_bare_numbers_without_special_tokens_need_no_stop(tmp_path: Path) -> None:
    bare = Encoding("", "0" * 64, 16, {})
    samples = [Sample([1, 2], [0, 1], split) for split in ("train", "validation")]
    write_dataset(tmp_path / "d", samples, bare)
    check_soundness(TokenizedDataset.open(tmp_path / "d", "train"))
