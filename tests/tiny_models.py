"""Models small enough to build in milliseconds, of every Llama 3 shape."""

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
