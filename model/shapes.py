"""Shapes of published models, to plan for one before it is here."""

from model.config import ModelConfig, RopeScaling

# Llama 3.2's stretch of the rotary frequencies.
FAR = RopeScaling(factor=32.0)
# Width, layers, heads, key/value heads, width of a head, hidden width, vocabulary.
SHAPES = {
    "1b": ModelConfig(2048, 16, 32, 8, 64, 8192, 128256, rope_scaling=FAR, tied_embeddings=True),
    "3b": ModelConfig(3072, 28, 24, 8, 128, 8192, 128256, rope_scaling=FAR, tied_embeddings=True),
    "8b": ModelConfig(4096, 32, 32, 8, 128, 14336, 128256),
    "70b": ModelConfig(8192, 80, 64, 8, 128, 28672, 128256),
    "mistral-7b": ModelConfig(4096, 32, 32, 8, 128, 14336, 32000),
    "phi3-mini": ModelConfig(3072, 32, 32, 32, 96, 8192, 32064),
}


def find_shape(name: str) -> ModelConfig:
    """Return the shape of this name; ValueError names those there are."""
    if name.lower() not in SHAPES:
        raise ValueError(f"--shape is {name!r}, wanted one of {', '.join(SHAPES)}")
    return SHAPES[name.lower()]
