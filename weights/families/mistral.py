"""Mistral 7B (v0.1 with a sliding window, v0.2, v0.3) and Nemo, whose head size is its own."""

from weights.families.family import Family
from weights.families.llama import LLAMA

MISTRAL = Family(
    name="mistral",
    architecture="MistralForCausalLM",
    model_type="mistral",
    chat_format="mistral_v3",
    in_each_layer=LLAMA.in_each_layer,
    window=True,
    in_meta_format=True,
    defaults={"sliding_window": 4096},
)
