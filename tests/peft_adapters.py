"""Tiny models of every family, here and in Transformers, with adapters on both."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from native_directories import write_native
from tiny_models import TINY
from torch import Tensor, nn

from model.attention import Documents
from model.config import LongRope, ModelConfig
from model.lora.config import LoraConfig
from model.transformer import Transformer
from weights.adapter import read_adapter
from weights.directory import load_model
from weights.hugging_face.conversion import convert_to_hugging_face

_LONG = LongRope(tuple(1 + n / 10 for n in range(6)), tuple(1.5 + n for n in range(6)), 16, 1.2)
SHAPES = {
    "llama": TINY,
    "mistral": replace(TINY, family="mistral", sliding_window=9, head_dim=24),
    "qwen2": replace(TINY, family="qwen2", qkv_bias=True, tied_embeddings=True),
    "qwen3": replace(TINY, family="qwen3", qk_norm=True, head_dim=32),
    "phi3": replace(TINY, family="phi3"),
    "phi4": replace(TINY, family="phi3", rotary_dim=12, rope_scaling=_LONG, tied_embeddings=True),
}
# Adapters of one rank and scale; of ranks and scales by layer; and of some layers alone.
LORAS = {
    "plain": LoraConfig(rank=4, alpha=12.0),
    "by layer": LoraConfig(
        rank=4,
        alpha=6.0,
        rslora=True,
        ranks=(("wv", 2), ("layers.0.*.w1", 6)),
        alphas=(("w3", 5.0), ("layers.1.*.wo", 9.0)),
    ),
    "some": LoraConfig(rank=3, alpha=6.0, targets=("wq", "wv", "w3", "layers.1.*.w2")),
}
# Longer than the window and than what Phi's short factors are for.
TOKENS = torch.randint(TINY.vocab_size, (40,), generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Base:
    """One random model, as a native directory and as Hugging Face's."""

    config: ModelConfig
    native: Path
    hugging_face: Path


def write_base(folder: Path, name: str) -> Base:
    """Write the model of SHAPES in both layouts."""
    base = Base(SHAPES[name], folder / "native", folder / "hugging face")
    write_native(base.native, base.config)
    convert_to_hugging_face(base.native, base.hugging_face)
    return base


def transformers_model(base: Base) -> Any:
    """Return the model as Transformers loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base.hugging_face).eval()


def train_with_peft(base: Base, target: Path, **settings: Any) -> Any:
    """Let PEFT train an adapter for three steps and save it; return the adapted model."""
    import peft

    torch.manual_seed(0)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", **settings)
    model = peft.get_peft_model(transformers_model(base), lora).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.05)
    for _ in range(3):
        model(input_ids=TOKENS[None], labels=TOKENS[None]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(target)
    return model.eval()


def adapted_model(base: Base, adapter: Path) -> Transformer:
    """Return our model with an adapter on it, unmerged."""
    model = load_model(base.native)
    found = read_adapter(adapter)
    found.check(base.config, base.native)
    found.attach(model)
    return model.eval()


@torch.no_grad()
def logits_of(model: nn.Module) -> Tensor:
    """Return the logits of TOKENS, of our model or of one of Transformers."""
    if isinstance(model, Transformer):
        return model(TOKENS, torch.arange(len(TOKENS)), Documents([0, len(TOKENS)]))
    return model(input_ids=TOKENS[None]).logits[0]
