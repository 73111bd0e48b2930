"""Which rows of an embedding look as if no training had moved them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from weights.untrained_rows import untrained_rows

ROWS = 2000


@pytest.fixture
def embedding() -> torch.Tensor:
    """Rows like a trained model's: of lengths that differ by two or three times."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.rand(ROWS, 1, generator=generator) + 0.5
    return torch.randn(ROWS, 32, generator=generator) * 0.02 * lengths


def found_in(embedding: torch.Tensor, directory: Path, ids: list[int]) -> list[int]:
    save_file({"tok_embeddings.weight": embedding}, directory / "consolidated.safetensors")
    return untrained_rows(directory, ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_trained_row_looks_untrained(
    embedding: torch.Tensor, dtype: torch.dtype, tmp_path: Path
) -> None:
    assert found_in(embedding.to(dtype), tmp_path, list(range(ROWS))) == []


def test_rows_next_to_zero_look_untrained(embedding: torch.Tensor, tmp_path: Path) -> None:
    embedding[0], embedding[1990] = 0, embedding[1990] * 1e-20
    assert found_in(embedding, tmp_path, [0, 5, 1990, 1999]) == [0, 1990]


def test_rows_equal_to_a_neighbour_look_untrained(embedding: torch.Tensor, tmp_path: Path) -> None:
    embedding[1995:] = embedding[:1995].mean(0) + 0.02
    assert found_in(embedding, tmp_path, [5, 1994, 1995, 1999]) == [1995, 1999]
