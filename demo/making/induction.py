"""Initial weights of a small model that already copies: an induction circuit, written by hand.

Training finds this circuit by itself, but a small model needs millions of tokens for it. Heads of
layer 0 attend to the token before and note it beside the token's own embedding. Heads of layer 1
look for places whose note equals the present token, and copy what stands there: A B ... A is
continued by B.

Shapes: D width, E head_dim, V vocabulary. Rotary pairs of a head turn by falling frequencies: the
first ones tell neighbours apart, the last ones hardly turn and compare contents.
"""

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from model.config import ModelConfig
from model.rope import inverse_frequencies
from model.transformer import Attention, Transformer

EMBEDDING_SCALE = 0.05
# One dimension is the same for every token, so that a head can attend by position alone.
_CONSTANT = 3 * EMBEDDING_SCALE
# Of each head of layer 0: how many tokens back it attends, and the scale of what it writes. Tokens
# two or three places back ("key": "value") may serve training; they are written at a small scale.
_LOOK_BACK = ((1, 0.2), (2, 0.05), (1, 0.2), (3, 0.05))
_NEIGHBOUR_PAIRS = 6
_NEIGHBOUR_SCALE = 2.6
# Rotary pairs that turn by less than this at 1,000 tokens compare contents.
_MOST_TURN = 1.0
_MATCH_SCALE = 3.5
_COPY_SCALE = 0.6
# The share of an embedding's square that tokens of the same letters have in common.
_COMMON = 0.7


@torch.no_grad()
def initialise(model: Transformer, seed: int, spellings: Sequence[str] = ()) -> None:
    """Fill a float32 model with seeded weights that copy; its embeddings must be tied.

    Tokens whose `spellings` (the texts of the first tokens) differ in capitals or in a first sign
    alone, such as ' cup', '_cup' and 'Cup', begin with similar embeddings, so that they match.

    Needs two layers or more and four heads for each two key/value heads, as Llama 3.2 has them.
    """
    _check_fit(model.config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.fill_(1.0)
            continue
        scale = EMBEDDING_SCALE if name.startswith("tok") else parameter.shape[1] ** -0.5
        # what is added to the stream begins small
        small = 0.1 if name.endswith(("wo.weight", "w2.weight")) else 1.0
        parameter.normal_(0, scale * small, generator=generator)
    _spell(model.tok_embeddings.weight, spellings, generator)
    model.tok_embeddings.weight[:, 0] = _CONSTANT
    first, second, *_ = (part for part in model.modules() if isinstance(part, Attention))
    reads, notes = _note_neighbours(first, model.config, generator)
    _match_and_copy(second, model.config, reads, notes, generator)


def _check_fit(config: ModelConfig) -> None:
    fits = config.tied_embeddings and config.n_layers > 1 and 4 * config.head_dim <= config.dim
    if not fits or (config.n_heads, config.n_kv_heads) != (4, 2):
        raise ValueError(
            "an induction circuit is written into models with tied embeddings, two layers or more, "
            "4 heads no wider than a quarter of the model, and 2 key/value heads; found "
            f"tied_embeddings {config.tied_embeddings}, {config.n_layers} layers, {config.n_heads} "
            f"heads of {config.head_dim} in {config.dim}, and {config.n_kv_heads} key/value heads"
        )


def _spell(weight: Tensor, spellings: Sequence[str], generator: torch.Generator) -> None:
    """Replace the rows of words: letters in common, and what the first sign and capitals add."""
    parts: dict[str, Tensor] = {}

    def part(key: str, share: float) -> Tensor:
        if key not in parts:
            parts[key] = EMBEDDING_SCALE * torch.randn(weight.shape[1], generator=generator)
        return parts[key] * math.sqrt(share)

    rest = (1 - _COMMON) / 3
    for row, text in enumerate(spellings):
        sign, letters = text[: not text[:1].isalpha()], text[not text[:1].isalpha() :]
        if re.fullmatch("[a-zA-Z]+", letters):
            case = "small" if letters.islower() else "Capital" if letters.istitle() else "MIXED"
            marks = part(f"sign {sign}", rest) + part(f"case {case}", rest)
            weight[row] = part(letters.lower(), _COMMON) + marks + weight[row] * math.sqrt(rest)


def _note_neighbours(
    attention: Attention, config: ModelConfig, generator: torch.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """Let layer 0 note earlier tokens; return how each group reads one [E, D], and where [D, E].

    Query and key read the constant dimension; the query is rotated by the distance to look back.
    """
    head_dim = config.head_dim
    # notes are written along other axes than those along which embeddings are read
    axes = _orthonormal(4 * head_dim, config.dim, generator).split(head_dim)
    places = [axes[2].t(), _place(config, generator), axes[3].t(), _place(config, generator)]
    angles = inverse_frequencies(config, torch.device("cpu"))[:_NEIGHBOUR_PAIRS]
    attention.wk.weight.zero_()
    for group in range(2):
        attention.wk.weight[group * head_dim :][: 2 * _NEIGHBOUR_PAIRS : 2, 0] = _NEIGHBOUR_SCALE
        attention.wv.weight[group * head_dim :][:head_dim] = axes[group]
    for head, (back, scale) in enumerate(_LOOK_BACK):
        own = slice(head * head_dim, (head + 1) * head_dim)
        rows = attention.wq.weight[own].zero_()
        rows[: 2 * _NEIGHBOUR_PAIRS : 2, 0] = _NEIGHBOUR_SCALE * (back * angles).cos()
        rows[1 : 2 * _NEIGHBOUR_PAIRS : 2, 0] = -_NEIGHBOUR_SCALE * (back * angles).sin()
        attention.wo.weight[:, own] = scale * places[head]
    return list(axes[:2]), [places[0], places[2]]


def _place(config: ModelConfig, generator: torch.Generator) -> Tensor:
    """Return a random place [D, E] in the stream for what a head writes."""
    return _orthonormal(config.head_dim, config.dim, generator).t()


def _match_and_copy(
    attention: Attention,
    config: ModelConfig,
    reads: list[Tensor],
    notes: list[Tensor],
    generator: torch.Generator,
) -> None:
    """Let every head attend where the note of the token before equals the present token."""
    head_dim = config.head_dim
    frequencies = inverse_frequencies(config, torch.device("cpu"))
    pairs = (frequencies * 1000 < _MOST_TURN).nonzero()[:, 0]
    rows = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
    for group in range(2):
        mix = _orthonormal(len(rows), head_dim, generator) * _MATCH_SCALE
        own = slice(group * head_dim, (group + 1) * head_dim)
        attention.wk.weight[own][rows] = mix @ notes[group].t()
        attention.wv.weight[own] = reads[group]
        for head in (2 * group, 2 * group + 1):
            columns = slice(head * head_dim, (head + 1) * head_dim)
            attention.wq.weight[columns][rows] = mix @ reads[group]
            attention.wo.weight[:, columns] = _COPY_SCALE * reads[group].t()
    # what is not compared begins small
    others = torch.ones(head_dim, dtype=torch.bool)
    others[rows] = False
    for weight in (attention.wk.weight, attention.wq.weight):
        weight.unflatten(0, (-1, head_dim))[:, others] *= math.sqrt(0.1)


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Return [rows, columns], rows <= columns, whose rows are orthonormal."""
    square, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator))
    return square[:rows].contiguous()
