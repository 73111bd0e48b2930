"""Causal attention inside each document of a packed sequence.

Shapes: T tokens, H heads, K key/value heads, E head_dim.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor


class Documents:
    """Where the documents of a packed sequence begin and end; each token sees only its own.

    `offsets` are N+1 rising numbers from 0 to T: document i is tokens offsets[i] : offsets[i+1].
    """

    def __init__(self, offsets: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.offsets = tuple(offsets)
        self.lengths = tuple(b - a for a, b in pairwise(offsets))
        self.longest = max(self.lengths)
        self.offsets_tensor = torch.tensor(self.offsets, dtype=torch.int32, device=device)

    def layer(self, index: int) -> "Documents":
        """Return what layer `index` attends with: the same documents for every layer."""
        return self

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within each document; q [T, H, E], k and v [T, K, E] to [T, H, E]."""
        return attend(q, k, v, self)


def attend(q: Tensor, k: Tensor, v: Tensor, documents: Documents) -> Tensor:
    """Causal attention of every token to its own document; q [T, H, E], k, v [T, K, E].

    On CUDA in half precision one variable-length flash attention call, elsewhere a loop of
    `scaled_dot_product_attention` over the documents. Both return [T, H, E].
    """
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
        return _attend_varlen(q, k, v, documents)
    outputs = [
        attend_causally(*document)
        for document in zip(
            q.split(documents.lengths),
            k.split(documents.lengths),
            v.split(documents.lengths),
            strict=True,
        )
    ]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def attend_causally(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention within one document of T tokens; q [T, H, E], k and v [T, K, E] to [T, H, E]."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    output = F.scaled_dot_product_attention(
        q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1]
    )
    return output[0].transpose(0, 1)


def _attend_varlen(q: Tensor, k: Tensor, v: Tensor, documents: Documents) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    # torch 2.12 added the flag; the kernel of 2.11 takes fewer key/value heads without it.
    attention: Callable[..., Tensor] = varlen_attn  # type: ignore[assignment]
    if _has_gqa_flag():
        attention = partial(attention, enable_gqa=True)
    offsets, longest = documents.offsets_tensor, documents.longest
    return attention(q, k, v, offsets, offsets, longest, longest, window_size=(-1, 0))


@cache
def _has_gqa_flag() -> bool:
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters
