"""Models small enough to build in milliseconds, of every Llama 3 shape."""

from dataclasses import replace

import torch

from model.config import LongRope, ModelConfig, RopeScaling
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
# Every way in which a family's layers differ from Llama's, as far as they share a forward pass.
FAMILY_SHAPES = {
    "mistral": replace(TINY, family="mistral", sliding_window=9),
    "qwen2": replace(TINY, family="qwen2", qkv_bias=True),
    "qwen3": replace(TINY, family="qwen3", qk_norm=True, head_dim=32),
    "phi4": replace(TINY, family="phi3", rotary_dim=12, sliding_window=70),
}
LONG_ROPE = replace(
    FAMILY_SHAPES["phi4"],
    rope_scaling=LongRope(tuple(1 + n / 10 for n in range(6)), (3.0,) * 6, 16, 1.2),
)


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


def sharp_model(config: ModelConfig = TINY) -> Transformer:
    """A random model whose continuations wander instead of repeating one token."""
    model = random_model(config, seed=3)
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.wo.weight.mul_(6)
            layer.feed_forward.w2.weight.mul_(6)
    return model
