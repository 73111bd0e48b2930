"""Choose tokens by their logits: the likeliest, or one drawn from the nucleus.

Shapes: N rows, V vocabulary, C candidates.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

# A nucleus rarely holds more tokens than this; sorting all of a large vocabulary is 20x slower.
CANDIDATES = 1024


def forbid_unknown_ids(
    logits: Tensor, limits: Sequence[tuple[int | None, tuple[int, ...]]]
) -> None:
    """Set the logits [N, V] of ids that the tokenizer lacks to minus infinity, in place.

    `limits` gives for each row its tokenizer's size and the ids below it without a token.
    """
    # Rows that speak with one tokenizer, as nearly all do, are treated at once.
    same = len(set(limits)) == 1
    for place, (size, unused) in enumerate(limits[:1] if same else limits):
        own = logits if same else logits[place]
        if size is not None and size < logits.shape[-1]:
            own[..., size:] = float("-inf")
        if unused:
            own.index_fill_(-1, _kept_on_device(unused, logits.device), float("-inf"))


@lru_cache(maxsize=16)
def _kept_on_device(ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Return ids as a tensor of the device; it is kept, for to send one is to wait for the GPU."""
    return torch.tensor(ids, device=device)


def choose(logits: Tensor, temperature: float, top_p: float, draws: Sequence[float]) -> Tensor:
    """Return one token for each row of logits [N, V], as int64 [N].

    Temperature 0 is the likeliest. Otherwise draws[n] in [0, 1) picks from the nucleus of row n:
    the likeliest tokens, up to and with the one at which their probability reaches `top_p`.
    """
    if temperature == 0:
        # the first of the largest, as argmax, which takes five times as long in bfloat16 on CPU
        return logits.max(-1).indices
    probabilities = (logits.float() / temperature).softmax(-1)
    draw = torch.tensor(draws, device=logits.device, dtype=torch.float64)[:, None]
    likeliest = probabilities.topk(min(CANDIDATES, logits.shape[-1]))
    chosen = _draw_from_nucleus(*likeliest, top_p, draw)
    # Rows are judged one by one, so that no row's ties are ordered by what its neighbours need.
    if len(wide := (likeliest.values.sum(-1) < top_p).nonzero()[:, 0]):
        everything = probabilities[wide].sort(dim=-1, descending=True, stable=True)
        chosen[wide] = _draw_from_nucleus(*everything, top_p, draw[wide])
    return chosen


def _draw_from_nucleus(probabilities: Tensor, order: Tensor, top_p: float, draw: Tensor) -> Tensor:
    """Pick by draw [N, 1] among tokens `order` [N, C], given from the likeliest down."""
    cumulative = probabilities.double().cumsum(-1)
    nucleus = (cumulative - probabilities < top_p).sum(-1, keepdim=True)
    mass = cumulative.gather(-1, nucleus - 1)
    rank = torch.searchsorted(cumulative, draw * mass, right=True)
    return order.gather(-1, rank.minimum(nucleus - 1))[:, 0]
