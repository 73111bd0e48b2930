"""Datasets of a few samples, written in one process."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from data.split_files import (
    KIND,
    SPLITS,
    Encoding,
    Sample,
    SplitWriter,
    describe,
    make_block,
    write_description,
)
from storage.atomic import new_directory


def write_dataset(
    directory: Path | str,
    samples: Iterable[Sample],
    encoding: Encoding,
    notes: Callable[[], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write `samples`, one at a time, as a dataset and return its description.

    `notes` is called once, after the last sample; what it returns goes into dataset.json too.
    Raises ValueError when a split would be empty or a sample cannot be trained on.
    """
    with new_directory(directory, KIND) as partial, ExitStack() as files:
        writers = {split: SplitWriter(partial, split, files) for split in SPLITS}
        for sample in samples:
            writers[sample.split].add(make_block([sample], encoding.vocab_size))
        splits = {split: writers[split].finish() for split in SPLITS}
        description = describe(encoding, splits, notes() if notes else {})
        write_description(partial, description)
    return description
