"""Adapters of the two layers that hold a vector a token: the embedding and the head.

Shapes: T tokens, N positions, D width, V vocabulary, R rank.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.lora.layers import LoraLinear


class Widened(NamedTuple):
    """The weight [V, D + R] of a head that has more inputs; a loss joins it part by part.

    weight: The frozen head's [V, D].
    columns: What multiplies the inputs that came last [V, R]; it may be trained.
    """

    weight: Tensor
    columns: Tensor


class LoraEmbedding(LoraLinear):
    """A frozen embedding plus, for each token, its row of scale * B A; it has no dropout."""

    @property
    def weight(self) -> Tensor:
        """The base's weight [V, D]."""
        return self.base.weight  # type: ignore[return-value]

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [T] to [T, D]."""
        x: Tensor = self.base(tokens)
        inner = F.embedding(tokens, self.lora_b).type_as(x)
        return torch.addmm(x, inner, self.lora_a.type_as(x), alpha=self.scale)


class LoraOutput(LoraLinear):
    """A frozen head plus scale * B A x, also where a loss is computed in place of logits.

    The adapter's logits are the base's of R inputs more, scale * A x, whose columns of the weight
    are B. So a loss sees one product, and neither all logits nor the adapted weight exist.
    """

    @property
    def weight(self) -> Tensor:
        """The base's weight [V, D]."""
        return self.base.weight  # type: ignore[return-value]

    def forward(self, x: Tensor, head: Callable[..., Tensor] = F.linear) -> Tensor:
        """x [N, D] to logits [N, V], or to what another `head` makes of x and a `Widened`."""
        if head is F.linear:
            return super().forward(x)
        inner = F.linear(self.dropout(x), self.lora_a.type_as(x)) * self.scale
        columns = self.lora_b.type_as(x)
        result: Tensor = self.base(
            torch.cat([x, inner], 1),
            lambda hidden, weight: head(hidden, Widened(weight, columns)),
        )
        return result


def widened(weight: Tensor | Widened) -> tuple[Tensor, Tensor | None]:
    """Return a head's weight and the columns beside it, None where it has none."""
    return (weight, None) if isinstance(weight, Tensor) else weight
