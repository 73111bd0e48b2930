"""Rows of the embedding that no training has ever moved: reserved and added tokens of a base.

Such a row is where it was initialised: next to zero (Llama 3's reserved tokens in its base model),
or with the bits of the other rows that were initialised alike (tokens added as the mean of all).
Only some rows are read, however large the file.
"""

from collections.abc import Sequence
from pathlib import Path

from weights.directory import weights_file
from weights.opening import open_tensors
from weights.table import EMBEDDING

# Rows that stand for all others, spread over the vocabulary.
_SAMPLE = 512
# Trained rows of a model differ by less than three times in length; untrained ones are shorter by
# far more than ten, or equal to their neighbours.
_SHARE = 0.1
_NEIGHBOURS = 4


def untrained_rows(directory: Path | str, ids: Sequence[int]) -> list[int]:
    """Return those of the tokens `ids` whose row of the embedding looks untrained.

    A row does whose length is below a tenth of the median of rows from all of the vocabulary, and
    one with the bits of a row at most four ids away: reserved and added tokens lie side by side.
    An id beyond the embedding has no row. Linear layers may be in NF4. Raises FileNotFoundError or
    ValueError where the directory's weights cannot be read or hold no embedding.
    """
    file = weights_file(directory)
    embedding = open_tensors(file).get(EMBEDDING)
    if embedding is None:
        raise ValueError(f"{file} holds no {EMBEDDING}; wanted the weights of a native model")
    step = max(1, len(embedding) // _SAMPLE)
    usual = embedding[::step].float().norm(dim=1).median()
    found = []
    for token in (number for number in ids if number < len(embedding)):
        first = max(0, token - _NEIGHBOURS)
        around = embedding[first : token + _NEIGHBOURS + 1]
        row = embedding[token]
        equal = int((around == row).all(1).sum())
        if row.float().norm() < _SHARE * usual or equal > 1:
            found.append(token)
    return found
