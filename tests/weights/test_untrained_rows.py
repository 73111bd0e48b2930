"""Which rows of an embedding look as if no training had moved them."""

from pathlib import Path

import pytest
import torch
from native_directories import write_native
from safetensors.torch import load_file, save_file
from tiny_models import TINY

from weights.nf4.conversion import quantize_directory
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


def test_token_beyond_the_embedding_has_no_row(embedding: torch.Tensor, tmp_path: Path) -> None:
    embedding[5] = 0
    assert found_in(embedding, tmp_path, [5, ROWS, ROWS + 7]) == [5]


def test_rows_are_found_where_linear_layers_are_in_nf4(tmp_path: Path) -> None:
    file = write_native(tmp_path / "base", TINY) / "consolidated.safetensors"
    weights = load_file(file)
    weights["tok_embeddings.weight"][5] = 0
    save_file(weights, file)
    quantize_directory(tmp_path / "base", tmp_path / "nf4")
    assert untrained_rows(tmp_path / "nf4", [3, 5, 7]) == [5]


def test_weights_without_an_embedding_are_refused(tmp_path: Path) -> None:
    save_file({"norm.weight": torch.ones(3)}, tmp_path / "consolidated.safetensors")
    with pytest.raises(ValueError, match=r"holds no tok_embeddings.weight; wanted the weights of"):
        untrained_rows(tmp_path, [0])
