"""What several tests need: the folder of real data, and models small enough to build in no time."""

import os
from pathlib import Path

import pytest
import torch

from model.config import ModelConfig, RopeScaling
from model.transformer import Transformer

TINY = ModelConfig(
    dim=64, n_layers=2, n_heads=4, n_kv_heads=2, head_dim=16, hidden_dim=128, vocab_size=384
)
LLAMA3_SHAPES = {
    "llama3": TINY,
    "llama3_1": ModelConfig(**{**TINY.__dict__, "rope_scaling": RopeScaling(factor=8.0)}),
    "llama3_2": ModelConfig(
        **{**TINY.__dict__, "rope_scaling": RopeScaling(factor=32.0), "tied_embeddings": True}
    ),
}


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


def random_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """A model with seeded weights of a trained model's scale."""
    torch.manual_seed(seed)
    model = Transformer(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.1 if "tok_embeddings" in name else 0.08)
            else:
                parameter.copy_(1 + 0.1 * torch.randn_like(parameter))
    return model
