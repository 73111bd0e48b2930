"""What is kept for the backward pass, and what is computed again there.

`full` keeps a block's input alone. `selective` computes again what no matrix product is in: the
outputs of norms that adapters read, and SwiGLU's inner products from gate and value. All policies
compute the same numbers with the same kernels, so gradients are equal bit for bit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from model.transformer import Block, FeedForward, LayerContext, Transformer, select_positions


def apply_policy(model: Transformer, policy: str) -> None:
    """Change what the blocks keep; a `policy` but selective or full changes nothing."""
    for block in model.layers:
        if policy == "full":
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
        elif policy == "selective":
            block.forward = partial(_selective, block)  # type: ignore[method-assign, arg-type]


class _ComputedAgain:
    """Tensors that are not kept: where an operator saves one, how to compute it is saved."""

    def __init__(self) -> None:
        self.recipes: dict[int, tuple[Tensor, Callable[[], Tensor]]] = {}

    def add(self, tensor: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """Return `tensor`, which `compute` gives again."""
        self.recipes[tensor.untyped_storage()._cdata] = tensor, compute
        return tensor

    def pack(self, saved: Tensor) -> Any:
        """Return what autograd is to keep for a tensor."""
        tensor, compute = self.recipes.get(saved.untyped_storage()._cdata, (saved, saved))
        return compute if tensor.shape == saved.shape else saved


def _unpack(packed: Any) -> Tensor:
    return packed if isinstance(packed, Tensor) else packed()


def _selective(
    block: Block,
    x: Tensor,
    rotary: Tensor,
    context: LayerContext,
    output_positions: Tensor | None = None,
) -> Tensor:
    """`Block.forward` with its cheap parts computed again."""
    again = _ComputedAgain()
    with saved_tensors_hooks(again.pack, _unpack):
        normed = again.add(block.attention_norm(x), partial(block.attention_norm, x.detach()))
        attended = block.attention(normed, rotary, context, output_positions)
        x = select_positions(output_positions, x) + attended
        normed = again.add(block.ffn_norm(x), partial(block.ffn_norm, x.detach()))
        x = x + _feed_forward(block.feed_forward, normed, again)  # type: ignore[arg-type]
    # Autograd holds on to the hooks, and so to what was not to be kept.
    again.recipes.clear()
    return x


def _feed_forward(module: FeedForward, x: Tensor, again: _ComputedAgain) -> Tensor:
    gate, value = module.w1(x), module.w3(x)
    own_gate, own_value = gate.detach(), value.detach()
    activated = again.add(F.silu(gate), lambda: F.silu(own_gate))
    product = again.add(activated * value, lambda: F.silu(own_gate) * own_value)
    return module.w2(product)  # type: ignore[no-any-return]
