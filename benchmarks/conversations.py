"""Conversations with the lengths and the trained positions of real ones, and random tokens.

`glaive_lengths.json` describes the bundled Glaive sample after cleaning and building with the
Llama 3 tokenizer: for every conversation its tokens and the spans of them that are trained. So the
benchmark needs neither the rows nor a tokenizer. To make the file again:

    python scripts/clean_dataset.py --source-file demo/glaive-sample.json --save-file F
    python scripts/build_dataset.py --source-file F --tokenizer-file MODEL_DIR --save-dir D
    python -m benchmarks.conversations --dataset-dir D
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from console.command import print_next, run
from data.tokenized import SPLITS, TokenizedDataset
from storage.atomic import new_file

LENGTHS_FILE = Path(__file__).with_name("glaive_lengths.json")

Shape = tuple[int, list[tuple[int, int]]]


class RandomConversations:
    """Seeded random tokens in the shapes of a lengths file; serves `data.batches.Batches`."""

    def __init__(self, vocab_size: int, seed: int = 0, file: Path = LENGTHS_FILE) -> None:
        draw = np.random.Generator(np.random.Philox(seed))
        self._tokens, self._trained = [], []
        for length, spans in json.loads(file.read_text(encoding="utf-8"))["conversations"]:
            trained = np.zeros(length, dtype=np.bool_)
            for start, stop in spans:
                trained[start:stop] = True
            self._tokens.append(draw.integers(0, vocab_size, length, dtype=np.int64))
            self._trained.append(trained)
        self.lengths = np.array([len(tokens) for tokens in self._tokens])

    def __len__(self) -> int:
        return len(self._tokens)

    def tokens(self, index: int) -> np.ndarray:
        """Return the token ids of one conversation, int64."""
        return self._tokens[index]

    def trained(self, index: int) -> np.ndarray:
        """Return which of its tokens are to be predicted, bool."""
        return self._trained[index]


def shapes_of(directory: Path | str) -> Iterator[Shape]:
    """Yield the length and the trained spans of every conversation of a dataset, both splits."""
    for split in SPLITS:
        dataset = TokenizedDataset.open(directory, split)
        for index in range(len(dataset)):
            trained = np.concatenate([[0], dataset.trained(index).astype(np.int8), [0]])
            edges = np.flatnonzero(np.diff(trained)).tolist()
            yield len(trained) - 2, list(zip(edges[::2], edges[1::2], strict=True))


def main(dataset_dir: str) -> None:
    """Write the lengths and trained spans of a dataset as the benchmark's conversations.

    Args:
        dataset_dir: The directory that scripts/build_dataset.py wrote.
    """
    shapes = ",\n".join(json.dumps(shape) for shape in shapes_of(dataset_dir))
    with new_file(LENGTHS_FILE) as partial:
        partial.write_text(f'{{"conversations": [\n{shapes}\n]}}\n', encoding="utf-8")
    print_next("python scripts/benchmark.py")


if __name__ == "__main__":
    run(main)
