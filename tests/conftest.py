"""What several tests need: the folder of real data and a tiny model."""

import os
from pathlib import Path

import pytest
from tiny_models import TINY, random_model

from model.transformer import Transformer


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real rows, tokenizers and weights, named by FC_SHARED."""
    folder = Path(os.environ.get("FC_SHARED", Path(__file__).parents[2] / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}/data; set FC_SHARED to the folder that holds it")
    return folder / "data"


@pytest.fixture
def tiny_model() -> Transformer:
    """A Llama 3 of 64 dimensions and two layers with seeded weights, float32."""
    return random_model(TINY)
