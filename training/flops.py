"""How much arithmetic a step needs, and how much this machine does: their ratio is the report's.

Counted: matrix products only, two operations for a multiply-add. Recomputation under activation
checkpointing is not counted, so that it shows as the cost it is.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch

from data.batches import Batch
from model.quantized import QuantizedLinear
from model.transformer import Transformer
from training.backends import full_shape


def step_flops(model: Transformer, batches: Iterable[Batch]) -> float:
    """Return the operations of forward and backward over the batches of one step.

    A frozen weight costs 4 per parameter and token (forward, and the gradient of its input), a
    trained one 6; the vocabulary projection and what follows the last layer's attention count at
    trained positions only; causal attention over a document of n tokens costs 7 n^2 d in all (2
    forward halves, 2.5 times that backward).
    """
    config = model.config
    everywhere = at_trained = 0
    last_layer = f"layers.{config.n_layers - 1}."
    for name, count, trained in _matrices(model):
        cost = (6 if trained else 4) * count
        of_head = name.startswith("output.")
        if of_head or (
            name.startswith(last_layer) and not {"wq", "wk", "wv"} & set(name.split("."))
        ):
            at_trained += cost
        else:
            everywhere += cost
    head = 6 if model.get_parameter("output.weight").requires_grad else 4
    at_trained += head * config.vocab_size * config.dim
    attention = 7 * config.n_layers * config.n_heads * config.head_dim
    total = 0.0
    for batch in batches:
        total += len(batch.tokens) * everywhere + len(batch.targets) * at_trained
        total += attention * sum((b - a) ** 2 for a, b in pairwise(batch.offsets))
    return total


def _matrices(model: Transformer) -> Iterator[tuple[str, int, bool]]:
    """Yield the name, the number of values and whether it is trained of each matrix.

    They are those of the blocks, and of an adapter of the head.
    """
    for name, parameter in model.named_parameters():
        if (
            name.startswith(("layers.", "output.lora_"))
            and len(shape := full_shape(parameter)) == 2
        ):
            yield name, shape.numel(), parameter.requires_grad
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear):
            yield name, module.in_features * module.out_features, False


def matmul_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """Return the operations per second this device reaches in a large matrix product."""
    size = 8192 if device.type == "cuda" else 1024
    own = torch.Generator(device)  # leaves the run's own random stream unchanged
    a, b = (torch.randn(size, size, device=device, generator=own).to(dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # reading one element waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
