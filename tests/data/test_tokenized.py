"""The dataset on disk: what is written comes back, what is damaged is named."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from damaging import flip_a_bit, places_in
from small_datasets import write_dataset

from data.batches import Batches
from data.split_files import Encoding, Origin, Sample
from data.tokenized import TokenizedDataset

ENCODING = Encoding("llama3", "ab" * 32, 500, {"<|eot_id|>": 499})


def samples(count: int = 6) -> list[Sample]:
    """Conversations of rising length, every third one for validation."""
    return [
        Sample(
            tokens=[(7 * number + j) % 500 for j in range(number + 3)],
            trained=[j % 2 == 1 for j in range(number + 3)],
            split="validation" if number % 3 == 0 else "train",
            origin=Origin(f"row-{number}", "glaive é", f"{number:064x}"),
        )
        for number in range(count)
    ]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "dataset", samples(), ENCODING, lambda: {"provenance": {"rows": 6}})
    return tmp_path / "dataset"


def test_each_sample_comes_back_as_it_was_written(written: Path) -> None:
    for split in ("train", "validation"):
        dataset = TokenizedDataset.open(written, split)
        wanted = [sample for sample in samples() if sample.split == split]
        assert len(dataset) == len(wanted)
        assert dataset.lengths.tolist() == [len(sample.tokens) for sample in wanted]
        for index, sample in enumerate(wanted):
            assert dataset.tokens(index).tolist() == sample.tokens
            assert dataset.trained(index).tolist() == sample.trained
            assert dataset.origin(index) == sample.origin
        assert dataset.tokens(0).dtype == np.uint32 and dataset.trained(0).dtype == np.bool_


def test_the_description_counts_and_keeps_what_made_the_tokens(written: Path) -> None:
    description = json.loads((written / "dataset.json").read_text())
    train = TokenizedDataset.open(written, "train")
    assert (train.chat_format, train.vocab_size, train.tokenizer_sha256) == (
        "llama3",
        500,
        "ab" * 32,
    )
    assert description["special_tokens"] == {"<|eot_id|>": 499}
    assert description["provenance"] == {"rows": 6}
    assert description["splits"]["train"]["tokens"] == 4 + 5 + 7 + 8 == train.total_tokens
    assert description["splits"]["train"]["trained_tokens"] == 2 + 2 + 3 + 4
    assert description["splits"]["train"]["longest"] == 8 == train.longest


def test_the_fingerprint_follows_the_contents_of_its_split_only(tmp_path: Path) -> None:
    def fingerprints(rows: list[Sample]) -> tuple[str, str]:
        splits = write_dataset(tmp_path / "d", rows, ENCODING)["splits"]
        return splits["train"]["fingerprint"], splits["validation"]["fingerprint"]

    train, validation = fingerprints(samples())
    assert (train, validation) == fingerprints(samples()) and train != validation
    other = [*samples()[:-1], Sample([1, 2], [False, True], "train")]
    assert fingerprints(other)[0] != train and fingerprints(other)[1] == validation
    masked = [Sample(s.tokens, [*s.trained[:-1], not s.trained[-1]], s.split) for s in samples()]
    assert fingerprints(masked)[0] != train


def test_a_written_dataset_can_be_batched(written: Path) -> None:
    batches = Batches(TokenizedDataset.open(written, "train"), 4, 24, seed=0)
    assert sum(len(batch.targets) for batch in batches.step(0)) == 11


@pytest.mark.parametrize("file", ["tokens.bin", "trained.bin", "offsets.bin"])
def test_a_file_cut_short_is_named_with_both_sizes(written: Path, file: str) -> None:
    path = written / f"train.{file}"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=rf"train\.{file} has \d+ bytes and .* wants \d+.*build_d"):
        TokenizedDataset.open(written, "train")


def test_a_missing_file_is_named(written: Path) -> None:
    (written / "train.trained.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.trained\.bin is missing"):
        TokenizedDataset.open(written, "train")


def test_missing_dataset_error_names_the_build_command(tmp_path: Path) -> None:
    (rows := tmp_path / "rows.jsonl").write_text("{}")
    wanted = f"{re.escape(str(rows))} is a file, .*clean_dataset.py --source-file {rows} .*dir D$"
    with pytest.raises(FileNotFoundError, match=wanted):
        TokenizedDataset.open(rows, "train")
    with pytest.raises(FileNotFoundError, match=r"is not a dataset.*scripts/build_dataset\.py"):
        TokenizedDataset.open(tmp_path, "train")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": 9}', "[" * 100_000])
@pytest.mark.usefixtures("trusted_files")
def test_a_description_that_cannot_be_read_is_one_line(written: Path, text: str) -> None:
    (written / "dataset.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"dataset\.json (cannot be read|is not JSON|must hold an object)"
    ):
        TokenizedDataset.open(written, "train")


@pytest.mark.usefixtures("trusted_files")
def test_another_format_version_is_refused(written: Path) -> None:
    description = json.loads((written / "dataset.json").read_text())
    (written / "dataset.json").write_text(json.dumps({**description, "format_version": 1}))
    moved = written.rename(written.parent / "my data")
    with pytest.raises(ValueError, match="is of format 1, wanted 2") as raised:
        TokenizedDataset.open(moved, "train")
    assert "make it with: python scripts/build_dataset.py --source-file F" in str(raised.value)
    assert str(raised.value).endswith(f" --save-dir '{moved}'")


@pytest.mark.parametrize(
    "name",
    ["dataset.json"]
    + [f"train.{part}" for part in ("tokens.bin", "trained.bin", "roles.bin", "offsets.bin")]
    + ["train.origins.jsonl", "train.origins.offsets.bin"],
)
def test_a_flipped_bit_in_any_file_is_refused(written: Path, name: str) -> None:
    for position in places_in(written / name):
        flip_a_bit(written / name, position)
        with pytest.raises(ValueError, match=rf"{name} differs from its sha256 in manifest\.json"):
            read_all(written)
        flip_a_bit(written / name, position)
    read_all(written)


def read_all(directory: Path) -> None:
    dataset = TokenizedDataset.open(directory, "train")
    for index in range(len(dataset)):
        for read in (dataset.tokens, dataset.trained, dataset.roles, dataset.origin):
            read(index)
    list(dataset.pieces(10))
    list(dataset.origins())


def test_files_without_a_manifest_are_compared_with_the_fingerprint(written: Path) -> None:
    (written / "manifest.json").unlink()
    read_all(written)
    flip_a_bit(written / "train.tokens.bin", 5)
    problem = "files of the train split are not those whose fingerprint dataset.json has"
    with pytest.raises(ValueError, match=problem):
        TokenizedDataset.open(written, "train")


@pytest.mark.usefixtures("trusted_files")
def test_offsets_that_do_not_cut_the_tokens_are_refused(written: Path) -> None:
    file = written / "train.offsets.bin"
    whole = file.read_bytes()
    for place in (0, 8, len(whole) - 8):
        file.write_bytes(whole[:place] + b"\xff" * 8 + whole[place + 8 :])
        with pytest.raises(ValueError, match=r"offsets\.bin does not cut 24 tokens into 4"):
            TokenizedDataset.open(written, "train")


@pytest.mark.usefixtures("trusted_files")
@pytest.mark.parametrize("count", ["4", 4.0, -4, None, True])
def test_counts_that_are_no_whole_numbers_are_refused(written: Path, count: object) -> None:
    description = json.loads((written / "dataset.json").read_text())
    description["splits"]["train"]["tokens"] = count
    (written / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"dataset\.json has counts that are no whole numbers"):
        TokenizedDataset.open(written, "train")


@pytest.mark.usefixtures("trusted_files")
def test_a_line_of_origins_that_is_none_is_refused(written: Path) -> None:
    file = written / "train.origins.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"id"', b'"di"'))
    with pytest.raises(ValueError, match=r"origins\.jsonl has a line that is no origin"):
        TokenizedDataset.open(written, "train").origin(0)


def test_a_split_of_another_name_is_refused(written: Path) -> None:
    with pytest.raises(ValueError, match=r"no split 'test'.*train, validation"):
        TokenizedDataset.open(written, "test")
    with pytest.raises(IndexError, match="the train split has 4"):
        TokenizedDataset.open(written, "train").tokens(4)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (Sample([1, 2], [False]), "2 tokens but a mask of 1"),
        (Sample([1, 2], [False, False]), "no token to train on"),
        (Sample([1, 2], [True, True]), "trains its first token"),
        (Sample([1, 500], [False, True]), "holds token 500, and the tokenizer has 500"),
    ],
)
def test_untrainable_sample_is_refused_and_nothing_is_written(
    tmp_path: Path, sample: Sample, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        write_dataset(tmp_path / "dataset", [*samples(), sample], ENCODING)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    only_train = [sample for sample in samples() if sample.split == "train"]
    with pytest.raises(ValueError, match="the validation split would be empty"):
        write_dataset(tmp_path / "dataset", only_train, ENCODING)
    assert list(tmp_path.iterdir()) == []
