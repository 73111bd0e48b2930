"""The Llama transformer, with Meta's weight names, on a flat sequence of packed documents.

Mistral, Qwen and Phi are the same with a window, biases, norms of heads or another rotation.

Shapes: T tokens, D width, H heads, K key/value heads, E head_dim, P rotary pairs of a head,
F hidden width, V vocabulary.
There is no batch dimension: documents of any length lie side by side in one sequence, and the
`context` decides what each token may look at (`Documents` in training, `KVCache` in generation).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.kernels.swiglu import swiglu
from model.rope import Span, rotate, rotation


class LayerContext(Protocol):
    """What one layer's tokens may look at."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, window: int | None = None) -> Tensor:
        """q [T, H, E], k and v [T, K, E] to [T, H, E]; `window` as in `ModelConfig`."""


class Context(Protocol):
    """What the tokens of a forward pass may look at, layer by layer."""

    @property
    def spans(self) -> Sequence[Span]:
        """Of each sequence: its tokens in this pass, and all it has by then."""

    def layer(self, index: int) -> LayerContext:
        """Return the context of layer `index`."""


class Transformer(nn.Module):
    """Tokens to logits; parameters are named as in Meta's checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # Given a weight, nn.Embedding draws none: on the meta device a draw takes 3 s of imports.
        empty = torch.empty(config.vocab_size, config.dim)
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim, _weight=empty)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = Output(config.dim, config.vocab_size)
        if config.tied_embeddings:
            self.output.weight = self.tok_embeddings.weight

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        context: Context,
        output_positions: Tensor | None = None,
        head: Callable[[Tensor, Tensor], Tensor] = F.linear,
    ) -> Tensor:
        """Return the logits [N, V] at `output_positions` [N] of `tokens` [T]; at all when None.

        `positions` [T] count from 0 in each document. `head(hidden [N, D], weight [V, D])`
        replaces the projection to the vocabulary, so that a loss need not hold all logits.
        """
        x = self.tok_embeddings(tokens)
        rotary = rotation(self.config, positions, context.spans)
        *layers, last = self.layers
        for index, layer in enumerate(layers):
            x = layer(x, rotary, context.layer(index))
        x = last(x, rotary, context.layer(len(layers)), output_positions)
        return self.output(self.norm(x), head)


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised input and added to the stream [T, D]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config.dim, config.hidden_dim)

    def forward(
        self,
        x: Tensor,
        rotary: Tensor,
        context: LayerContext,
        output_positions: Tensor | None = None,
    ) -> Tensor:
        """x [T, D] and rotary [T, 1, P] to [T, D], or to [N, D] at `output_positions` [N]."""
        attended = self.attention(self.attention_norm(x), rotary, context, output_positions)
        x = select_positions(output_positions, x) + attended
        return x + self.feed_forward(self.ffn_norm(x))


def one_by_one(layers: Sequence[nn.Module], x: Tensor) -> Sequence[Tensor]:
    """Return what each of some layers makes of one input."""
    return [layer(x) for layer in layers]


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    # A method that adapts layers may compute those of one input together.
    products: Callable[[Sequence[nn.Module], Tensor], Sequence[Tensor]] = staticmethod(one_by_one)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim, self.window = config.head_dim, config.sliding_window
        queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        self.wq = nn.Linear(config.dim, queries, bias=config.qkv_bias)
        self.wk = nn.Linear(config.dim, keys, bias=config.qkv_bias)
        self.wv = nn.Linear(config.dim, keys, bias=config.qkv_bias)
        self.wo = nn.Linear(queries, config.dim, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        rotary: Tensor,
        context: LayerContext,
        output_positions: Tensor | None = None,
    ) -> Tensor:
        """x [T, D] to [T, D], or to [N, D] at `output_positions` [N]."""
        # Not unflatten, which costs as much as a small product when single tokens are decoded.
        q, k, v = (heads.view(len(x), -1, self.head_dim) for heads in self.project(x))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        attended = context.attend(*rotate(q, k, rotary), v, self.window)
        return self.wo(select_positions(output_positions, attended.flatten(-2)))

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """x [T, D] to queries [T, H E], keys and values [T, K E]."""
        return self.products((self.wq, self.wk, self.wv), x)


class FeedForward(nn.Module):
    """SwiGLU: w1 is the gate, w3 the value, w2 the way back."""

    # As in attention.
    products: Callable[[Sequence[nn.Module], Tensor], Sequence[Tensor]] = staticmethod(one_by_one)

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, D] to [T, D]."""
        return self.w2(swiglu(*self.gate_and_value(x)))

    def gate_and_value(self, x: Tensor) -> Sequence[Tensor]:
        """x [T, D] to gate and value [T, F]."""
        return self.products((self.w1, self.w3), x)


class RMSNorm(nn.Module):
    """Scale to unit root mean square (torch computes it in float32), then by a weight [D]."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] to the same shape and dtype."""
        return F.rms_norm(x, x.shape[-1:], self.weight.type_as(x), self.eps)


class Output(nn.Linear):
    """The projection to the vocabulary, applied by whatever `head` the caller passes."""

    def __init__(self, dim: int, vocab_size: int) -> None:
        super().__init__(dim, vocab_size, bias=False)

    def forward(self, x: Tensor, head: Callable[[Tensor, Tensor], Tensor] = F.linear) -> Tensor:
        """x [N, D] to head(x, weight): logits [N, V] unless the head reduces them."""
        return head(x, self.weight)


def select_positions(output_positions: Tensor | None, x: Tensor) -> Tensor:
    """Return x [T, D] at `output_positions` [N]; all of it when None."""
    return x if output_positions is None else x.index_select(0, output_positions)
