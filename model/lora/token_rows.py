"""Chosen tokens alone are trained: their rows of the embedding and of the head, in full.

All other rows stay the base's, bit for bit: they are never written, and the trained ones are kept
beside the weight and put in its place where they are needed.

Shapes: T tokens, N positions, D width, V vocabulary, K chosen tokens.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.lora.layers import held_whole
from model.lora.vocabulary import Widened


class TokenRows(nn.Module):
    """A frozen embedding or head, and `token_rows` [K, D] in place of the rows `ids` of its weight.

    They are float32 and start as the base's. Two of them may share `rows` (tied embeddings).
    """

    ids: Tensor

    def __init__(self, base: nn.Module, ids: Sequence[int], rows: nn.Parameter | None) -> None:
        super().__init__()
        self.base = base
        chosen = torch.tensor(list(ids), device=self.weight.device)
        self.register_buffer("ids", chosen, persistent=False)
        if rows is None:
            with held_whole(base):
                weight = self.weight.detach()
                # A packed one has no rows.
                weight = weight.to_dense() if weight.is_mkldnn else weight
                rows = nn.Parameter(weight[chosen].float())
        self.token_rows = rows

    @property
    def weight(self) -> Tensor:
        """The base's weight [V, D]."""
        return self.base.weight  # type: ignore[return-value]


class EmbeddingRows(TokenRows):
    """The embedding, with the trained rows of its chosen tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [T] to [T, D]."""
        x: Tensor = self.base(tokens)
        chosen = tokens[:, None] == self.ids
        rows = F.embedding(chosen.int().argmax(1), self.token_rows).type_as(x)
        return torch.where(chosen.any(1, keepdim=True), rows, x)


class OutputRows(TokenRows):
    """The head, with the trained rows of its chosen tokens, also where a loss is computed.

    A loss gets what the rows were moved by as K inputs more, x (rows - weight[ids])^T, and columns
    of the weight with a single 1 in each: V K values for a while, and no gradient of the weight.
    """

    def forward(self, x: Tensor, head: Callable[..., Tensor] = F.linear) -> Tensor:
        """x [N, D] to logits [N, V], or to what another `head` makes of x and a `Widened`."""
        if head is F.linear:
            logits: Tensor = self.base(x)
            return logits.index_copy(1, self.ids, F.linear(x, self.token_rows.type_as(x)))

        def widened_head(hidden: Tensor, weight: Tensor) -> Tensor:
            moved = (self.token_rows - weight.detach()[self.ids]).type_as(hidden)
            columns = hidden.new_zeros(len(weight), len(self.ids))
            columns[self.ids, torch.arange(len(self.ids), device=self.ids.device)] = 1
            wide = torch.cat([hidden, F.linear(hidden, moved)], 1)
            return head(wide, Widened(weight, columns))

        result: Tensor = self.base(x, widened_head)
        return result
