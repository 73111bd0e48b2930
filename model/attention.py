"""Causal attention inside each document of a packed sequence.

Shapes: T tokens, H heads, K key/value heads, E head_dim.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Queries taken at once; 64 and 256 are slower on CPU at documents of 300 to 2,000 tokens.
BLOCK = 128
# Beyond it, probabilities are computed twice: kept, they take H T bytes a token in bfloat16.
LONG_DOCUMENT = 1024


class Documents:
    """Where the documents of a packed sequence begin and end; each token sees only its own.

    `offsets` are N+1 rising numbers from 0 to T: document i is tokens offsets[i] : offsets[i+1].
    `offsets_tensor` are the same, int32, where they are on the device already.
    """

    def __init__(
        self,
        offsets: Sequence[int],
        device: torch.device | str = "cpu",
        offsets_tensor: Tensor | None = None,
    ) -> None:
        self.offsets = tuple(offsets)
        self.lengths = tuple(b - a for a, b in pairwise(offsets))
        self.longest = max(self.lengths)
        self.spans = tuple((length, length) for length in self.lengths)
        if offsets_tensor is None:
            # made on the CPU and sent: a constructor on the device would stop for each number
            offsets_tensor = torch.tensor(self.offsets, dtype=torch.int32)
            offsets_tensor = offsets_tensor.to(device, non_blocking=True)
        self.offsets_tensor = offsets_tensor

    def layer(self, index: int) -> "Documents":
        """Return what layer `index` attends with: the same documents for every layer."""
        return self

    def attend(self, q: Tensor, k: Tensor, v: Tensor, window: int | None = None) -> Tensor:
        """Attend within each document; q [T, H, E], k and v [T, K, E] to [T, H, E]."""
        return attend(q, k, v, self, window)


def attend(
    q: Tensor, k: Tensor, v: Tensor, documents: Documents, window: int | None = None
) -> Tensor:
    """Causal attention of every token to its own document; q [T, H, E], k, v [T, K, E].

    With a `window`, to the last so many tokens of it, itself included. On CUDA in half precision
    one variable-length flash attention call where the card has it, elsewhere document by document.
    Both return [T, H, E].
    """
    half = q.dtype in (torch.bfloat16, torch.float16)
    if q.is_cuda and half and has_flash(_capability(q.device), q.shape[-1]):
        return _attend_varlen(q, k, v, documents, window)
    outputs = [
        attend_causally(*document, window)
        for document in zip(
            q.split(documents.lengths),
            k.split(documents.lengths),
            v.split(documents.lengths),
            strict=True,
        )
    ]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def attend_causally(q: Tensor, k: Tensor, v: Tensor, window: int | None = None) -> Tensor:
    """Attention within one document of T tokens; q [T, H, E], k and v [T, K, E] to [T, H, E].

    The backward pass reuses the probabilities, and computes them anew for a long document, whose
    would need more memory than everything else.
    """
    if len(q) > LONG_DOCUMENT and torch.is_grad_enabled():
        return checkpoint(  # type: ignore[no-any-return]
            _attend_in_blocks, q, k, v, window, use_reentrant=False, preserve_rng_state=False
        )
    return _attend_in_blocks(q, k, v, window)


def _attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    """Attend block by block of queries, each to the keys in reach of it, by matrix products.

    On CPU in bfloat16 this takes a third of `scaled_dot_product_attention`'s time, which converts
    to float32 inside.
    """
    tokens, heads, head_dim = q.shape
    groups = heads // k.shape[1]
    # the queries that share a key head become more queries of that head: nothing is repeated
    queries = q.unflatten(1, (-1, groups)).permute(1, 2, 0, 3)
    keys, values = k.permute(1, 2, 0), v.transpose(0, 1)
    later = q.new_full((BLOCK, BLOCK), float("-inf")).triu_(1)
    outputs = []
    for start in range(0, tokens, BLOCK):
        block = queries[:, :, start : start + BLOCK]
        size, end = block.shape[2], start + block.shape[2]
        first = 0 if window is None else max(0, start - window + 1)
        scores = torch.baddbmm(
            q.new_empty(()), block.flatten(1, 2), keys[..., first:end], beta=0, alpha=head_dim**-0.5
        )
        by_group = scores.unflatten(1, (groups, size))
        by_group[..., start - first :] += later[:size, :size]
        if window is not None and end > window:
            left_behind = q.new_full((size, end - first), float("-inf"))
            by_group += left_behind.tril_(start - first - window)
        output = scores.softmax(-1) @ values[:, first:end]
        outputs.append(output.unflatten(1, (groups, size)))
    return torch.cat(outputs, 2).permute(2, 0, 1, 3).flatten(1, 2)


def _attend_varlen(
    q: Tensor, k: Tensor, v: Tensor, documents: Documents, window: int | None
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    # torch 2.12 added the flag; the kernel of 2.11 takes fewer key/value heads without it.
    attention: Callable[..., Tensor] = varlen_attn  # type: ignore[assignment]
    if _has_gqa_flag():
        attention = partial(attention, enable_gqa=True)
    offsets, longest = documents.offsets_tensor, documents.longest
    # The kernel counts the tokens before one, and -1 is all of them.
    before = -1 if window is None else window - 1
    return attention(q, k, v, offsets, offsets, longest, longest, window_size=(before, 0))


def has_flash(capability: tuple[int, int], head_dim: int) -> bool:
    """Return whether torch's flash attention runs, forward and backward, on a card.

    It is built from compute capability 8.0 on, for heads of a multiple of 8 values; of more than
    192 some cards lack the shared memory for the gradient.
    """
    return capability >= (8, 0) and head_dim % 8 == 0 and head_dim <= 192


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


@cache
def _has_gqa_flag() -> bool:
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters
