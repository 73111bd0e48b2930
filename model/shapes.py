"""Shapes of published models, to plan for one before it is here."""

from model.config import ModelConfig, RopeScaling

SHAPES = {
    "1b": ModelConfig(
        dim=2048,
        n_layers=16,
        n_heads=32,
        n_kv_heads=8,
        head_dim=64,
        hidden_dim=8192,
        vocab_size=128256,
        rope_scaling=RopeScaling(factor=32.0),
        tied_embeddings=True,
    ),
    "3b": ModelConfig(
        dim=3072,
        n_layers=28,
        n_heads=24,
        n_kv_heads=8,
        head_dim=128,
        hidden_dim=8192,
        vocab_size=128256,
        rope_scaling=RopeScaling(factor=32.0),
        tied_embeddings=True,
    ),
    "8b": ModelConfig(
        dim=4096,
        n_layers=32,
        n_heads=32,
        n_kv_heads=8,
        head_dim=128,
        hidden_dim=14336,
        vocab_size=128256,
    ),
    "70b": ModelConfig(
        dim=8192,
        n_layers=80,
        n_heads=64,
        n_kv_heads=8,
        head_dim=128,
        hidden_dim=28672,
        vocab_size=128256,
    ),
    "mistral-7b": ModelConfig(
        dim=4096,
        n_layers=32,
        n_heads=32,
        n_kv_heads=8,
        head_dim=128,
        hidden_dim=14336,
        vocab_size=32000,
    ),
    "phi3-mini": ModelConfig(
        dim=3072,
        n_layers=32,
        n_heads=32,
        n_kv_heads=32,
        head_dim=96,
        hidden_dim=8192,
        vocab_size=32064,
    ),
}


def find_shape(name: str) -> ModelConfig:
    """Return the shape of this name; ValueError names those there are."""
    if name.lower() not in SHAPES:
        raise ValueError(f"--shape is {name!r}, wanted one of {', '.join(SHAPES)}")
    return SHAPES[name.lower()]
