"""LoRA: what an adapter is, the layers it is made of, and how it gets around a model."""
