"""The Llama transformer with Meta's names, its weights, LoRA and generation."""
