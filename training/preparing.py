"""A loaded base becomes what is trained; finetune.py and the benchmarks share these steps."""

from collections.abc import Mapping

from torch import Tensor

from model.kernels.choice import Kernels, use_kernels
from model.lora.adapter import add_lora, load_adapter
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.precision import sum_in_float32
from training.recomputation import apply_policy


def make_trainable(
    model: Transformer,
    lora: LoraConfig | None,
    kernels: Kernels,
    policy: str,
    adapter: Mapping[str, Tensor] | None = None,
) -> Transformer:
    """Return the model with its adapter, kernels, and what its backward pass computes again.

    lora: None trains all weights.
    adapter: What the adapter starts from; None draws it.
    """
    sum_in_float32()
    if lora:
        add_lora(model, lora)
    if adapter:
        load_adapter(model, adapter)
    use_kernels(model, kernels)
    apply_policy(model, policy)
    return model.train()
