"""What is kept for the backward pass, and what is computed again there.

`none` keeps what a matrix product or attention gave; the outputs of norms and SwiGLU's product cost
next to nothing and are computed again. `selective` computes the whole feed-forward layer again, and
`full` the whole block from its input. All compute the same numbers with the same kernels, so
gradients are equal bit for bit.

Where ranks share weights (ZeRO-3) norms keep their outputs: their weights are gathered for their
own passes, and a pass in the middle of another layer's backward would gather out of turn.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from model.transformer import Block, LayerContext, Transformer, select_positions


def apply_policy(model: Transformer, policy: str) -> None:
    """Change what the blocks keep, by a policy of none, selective or full."""
    for block in model.layers:
        shared = any(hasattr(parameter, "ds_shape") for parameter in block.parameters())
        if policy == "full":
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
        else:
            block.forward = partial(_keep_products, block, policy == "selective", shared)  # type: ignore[method-assign, arg-type]


class _ComputedAgain:
    """Tensors that are not kept: where an operator saves one, how to compute it is saved."""

    def __init__(self, shared: bool) -> None:
        self.shared = shared
        self.recipes: dict[int, tuple[Tensor, Callable[[], Tensor]]] = {}

    def add(self, tensor: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """Return `tensor`, which `compute` gives again."""
        self.recipes[tensor.untyped_storage()._cdata] = tensor, compute
        return tensor

    def add_norm(self, normed: Tensor, norm: nn.Module, x: Tensor) -> Tensor:
        """Return `normed`, the norm of x, which is kept where its weight is shared."""
        return normed if self.shared else self.add(normed, partial(norm, x.detach()))

    def pack(self, saved: Tensor) -> Any:
        """Return what autograd is to keep for a tensor."""
        tensor, compute = self.recipes.get(saved.untyped_storage()._cdata, (saved, saved))
        return compute if tensor.shape == saved.shape else saved


def _unpack(packed: Any) -> Tensor:
    return packed if isinstance(packed, Tensor) else packed()


def _keep_products(
    block: Block,
    feed_again: bool,
    shared: bool,
    x: Tensor,
    rotary: Tensor,
    context: LayerContext,
    output_positions: Tensor | None = None,
) -> Tensor:
    """`Block.forward` with its cheap parts computed again, and its feed-forward if `feed_again`."""
    again = _ComputedAgain(shared)
    with saved_tensors_hooks(again.pack, _unpack):
        normed = again.add_norm(block.attention_norm(x), block.attention_norm, x)
        attended = block.attention(normed, rotary, context, output_positions)
        x = select_positions(output_positions, x)
        x = x + attended if feed_again else _add_feed_forward(block, x, attended, again)
    # Autograd holds on to the hooks, and so to what was not to be kept.
    again.recipes.clear()
    if feed_again:
        x = x + checkpoint(_plain_feed_forward, block, x, use_reentrant=False)
    return x


def _add_feed_forward(block: Block, x: Tensor, attended: Tensor, again: _ComputedAgain) -> Tensor:
    x, normed = block.ffn_norm(x, attended)
    again.add_norm(normed, block.ffn_norm, x)
    gate, value = block.feed_forward.gate_and_value(normed)
    swiglu = block.feed_forward.kernels.swiglu
    product = again.add(swiglu(gate, value), partial(swiglu, gate.detach(), value.detach()))
    return x + block.feed_forward.w2(product)  # type: ignore[no-any-return]


def _plain_feed_forward(block: Block, x: Tensor) -> Tensor:
    return block.feed_forward(block.ffn_norm(x))  # type: ignore[no-any-return]
