"""Choose tokens by their logits: the likeliest, or one drawn from the nucleus.

Shapes: N rows, V vocabulary, C candidates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from inference.upload import upload

# A nucleus rarely holds more tokens than this.
CANDIDATES = 1024
# What stands for the token of a row that has to be chosen from the whole vocabulary.
UNDECIDED = -1


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


def choose_each(
    logits: Tensor, settings: Sequence[tuple[float, float]], draws: Tensor
) -> list[int]:
    """Choose a token for each row of logits [N, V] by its own temperature and top_p.

    The tokens are read in one piece, and once more where a nucleus was wider than the candidates.
    """
    tokens: list[int] = _chosen(choose, logits, settings, draws).tolist()
    if wide := [place for place, token in enumerate(tokens) if token == UNDECIDED]:
        own = [settings[place] for place in wide]
        found = _chosen(choose_from_all, logits[wide], own, draws[wide]).tolist()
        for place, token in zip(wide, found, strict=True):
            tokens[place] = token
    return tokens


def _chosen(
    choose: Callable[[Tensor, float, float, Tensor], Tensor],
    logits: Tensor,
    settings: Sequence[tuple[float, float]],
    draws: Tensor,
) -> Tensor:
    """Return what `choose` finds for rows of these settings [N], at once where they are equal."""
    if len(set(settings)) == 1:
        return choose(logits, *settings[0], draws)
    rows = zip(logits.split(1), settings, draws.split(1), strict=True)
    return torch.cat([choose(own, *setting, draw) for own, setting, draw in rows])


@dataclass(frozen=True)
class Likelihood:
    """How likely a chosen token was, and the likeliest (token, value): natural logarithms."""

    logprob: float
    top: tuple[tuple[int, float], ...]


def read_likelihood(logprobs: Tensor, token: int, most: int) -> Likelihood:
    """Return the likelihood of a token and of the `most` likeliest, by logprobs [V]."""
    values, ids = logprobs.topk(min(most, len(logprobs)))
    return Likelihood(
        float(logprobs[token]), tuple(zip(ids.tolist(), values.tolist(), strict=True))
    )


def log_normalisers(logits: Tensor, places: Sequence[int], temperatures: Sequence[float]) -> Tensor:
    """Return what log-probabilities of these rows of logits [N, V] are less by, float32 [places].

    Each row has its own temperature.
    """
    own = logits[list(places)] if len(places) < len(logits) else logits
    if len(set(temperatures)) == 1:
        return (own.float() / temperatures[0]).logsumexp(-1)
    return (own.float() / own.new_tensor(temperatures, dtype=torch.float32)[:, None]).logsumexp(-1)


def token_logprobs(
    logits: Tensor,
    places: Sequence[int],
    tokens: Sequence[int],
    temperatures: Sequence[float],
    normalisers: Tensor,
) -> list[float]:
    """Return the natural logarithm of the probability of one token for each of these rows."""
    rows, ids = upload(logits.device, places, tokens)
    # Read back in one piece.
    chosen, less = torch.stack([logits[rows, ids].float(), normalisers]).tolist()
    return [
        logit / temperature - total
        for logit, temperature, total in zip(chosen, temperatures, less, strict=True)
    ]


def choose(logits: Tensor, temperature: float, top_p: float, draws: Tensor) -> Tensor:
    """Return one token for each row of logits [N, V], as int64 [N]; UNDECIDED where none is found.

    Temperature 0 is the likeliest. Otherwise draws [N], float64 in [0, 1), pick from the nucleus of
    each row: the likeliest tokens, up to and with the one at which their probability reaches
    `top_p`. A row whose nucleus may be wider than the candidates is undecided: nothing is read back
    to find out, and `choose_from_all` chooses for it. Where the nucleus is everything, no token
    need be compared with another.
    """
    if temperature == 0:
        # the first of the largest, as argmax, which takes five times as long in bfloat16 on CPU
        return logits.max(-1).indices
    if top_p == 1:
        return _draw_from_everything(_probabilities(logits, temperature), draws[:, None])
    likeliest = _probabilities(logits, temperature).topk(min(CANDIDATES, logits.shape[-1]))
    chosen = _draw_from_nucleus(*likeliest, top_p, draws[:, None])
    # Rows are judged one by one, so that no row's ties are ordered by what its neighbours need.
    return chosen.masked_fill_(likeliest.values.sum(-1) < top_p, UNDECIDED)


def choose_from_all(logits: Tensor, temperature: float, top_p: float, draws: Tensor) -> Tensor:
    """Return one token for each row of logits [N, V] as `choose` does, from the whole vocabulary.

    All of a large vocabulary is sorted, which takes 20 times as long as the candidates.
    """
    probabilities = _probabilities(logits, temperature)
    everything = probabilities.sort(dim=-1, descending=True, stable=True)
    return _draw_from_nucleus(*everything, top_p, draws[:, None])


def _probabilities(logits: Tensor, temperature: float) -> Tensor:
    return (logits.float() / temperature).softmax(-1)


def _draw_from_everything(probabilities: Tensor, draw: Tensor) -> Tensor:
    """Pick by draw [N, 1] among all tokens [N, V], in the order of their ids."""
    cumulative = probabilities.double().cumsum(-1)
    mass = cumulative[:, -1:].contiguous()
    chosen = torch.searchsorted(cumulative, draw * mass, right=True)
    # Rounded up to the whole mass, a draw would be beyond the last token that is possible.
    return chosen.minimum(torch.searchsorted(cumulative, mass))[:, 0]


def _draw_from_nucleus(probabilities: Tensor, order: Tensor, top_p: float, draw: Tensor) -> Tensor:
    """Pick by draw [N, 1] among tokens `order` [N, C], given from the likeliest down."""
    cumulative = probabilities.double().cumsum(-1)
    nucleus = (cumulative - probabilities < top_p).sum(-1, keepdim=True)
    mass = cumulative.gather(-1, nucleus - 1)
    rank = torch.searchsorted(cumulative, draw * mass, right=True)
    return order.gather(-1, rank.minimum(nucleus - 1))[:, 0]
