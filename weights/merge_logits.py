"""How far the logits of a merged model are from those of its base with the adapter unmerged.

The models run one after the other, whole and in float32: shapes are T probe tokens, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from model.attention import Documents
from model.transformer import Transformer
from weights.adapter import Adapter

# Positions that are compared at once.
_POSITIONS = 16
_SEED = 0


@dataclass(frozen=True)
class LogitDifference:
    """How far the logits of two models are apart.

    `max` and `mean` of the absolute difference; `divergence` is the mean Kullback-Leibler
    divergence of the second from the first in nats; `agreement` is the share of positions where
    both find the same token likeliest.
    """

    max: float
    mean: float
    divergence: float
    agreement: float


@dataclass(frozen=True)
class LogitFigures:
    """`merge` is base + adapter beside the merged model; `adapter`, for scale, the base beside it.

    They are figures to look at; the proof of a merge is that of its weights.
    """

    merge: LogitDifference
    adapter: LogitDifference
    probe_tokens: int
    compute_dtype: str = "float32"


def compare_logits(
    load_base: Callable[[], Transformer],
    adapter: Adapter,
    load_merged: Callable[[], Transformer],
    probes: Sequence[Sequence[int]],
) -> LogitFigures:
    """Run the base, the same with its adapter attached, and the merged model on `probes`.

    Each is loaded when the one before is gone: there is memory for one model in float32 only.
    """
    plain, adapted = base_and_adapter_logits(load_base(), adapter, probes)
    merged = model_logits(load_merged(), probes)
    return LogitFigures(difference(adapted, merged), difference(plain, adapted), len(plain))


def base_and_adapter_logits(
    model: Transformer, adapter: Adapter, probes: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Return the logits [T, V] of a model without and with its adapter, which is attached."""
    plain = model_logits(model, probes)
    adapter.attach(model)
    return plain, model_logits(model, probes)


@torch.inference_mode()
def model_logits(model: Transformer, probes: Sequence[Sequence[int]]) -> Tensor:
    """Return the logits [T, V] of all probes, end to end, of one pass over them."""
    tokens = torch.tensor([token for probe in probes for token in probe])
    positions = torch.cat([torch.arange(len(probe)) for probe in probes])
    starts = accumulate(map(len, probes), initial=0)
    logits: Tensor = model.eval()(tokens, positions, Documents(list(starts)))
    return logits


def random_probes(vocab_size: int, count: int = 4, length: int = 32) -> list[list[int]]:
    """Return prompts of random tokens, the same in every run."""
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randint(vocab_size, (count, length), generator=generator).tolist()


def difference(first: Tensor, second: Tensor) -> LogitDifference:
    """Compare two sets of logits [T, V], a few positions at a time in float64."""
    parts = [
        _sums(a.double(), b.double())
        for a, b in zip(first.split(_POSITIONS), second.split(_POSITIONS), strict=True)
    ]
    largest, total, divergence, agreeing = (
        torch.stack(column) for column in zip(*parts, strict=True)
    )
    return LogitDifference(
        max=float(largest.max()),
        mean=float(total.sum()) / first.numel(),
        divergence=float(divergence.sum()) / len(first),
        agreement=float(agreeing.sum()) / len(first),
    )


def _sums(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    gap = (a - b).abs()
    log_a, log_b = a.log_softmax(-1), b.log_softmax(-1)
    divergence = (log_a.exp() * (log_a - log_b)).sum()
    return gap.max(), gap.sum(), divergence, (a.argmax(-1) == b.argmax(-1)).sum().double()
