"""Muon: momentum whose matrices are made orthogonal before they move the weights.

After Keller Jordan, "Muon: An optimizer for hidden layers in neural networks" (2024), with the
five steps and coefficients given there. torch.optim.Muon does the same in bfloat16 alone, which
processors without such instructions compute fifty times slower than float32; here the dtype is the
caller's, and matrices of one shape are done together.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Moves matrices by the orthogonal part of their Nesterov momentum.

    A step of rate lr moves a matrix [O, I] by lr * sqrt(max(1, O / I)) times an orthogonal one.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        dtype: torch.dtype,
        lr: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for (rows, columns), matrices in alike.items():
                ahead = [self._ahead(matrix, group["momentum"]) for matrix in matrices]
                moves = orthogonal(torch.stack(ahead).to(self.dtype)).to(matrices[0].dtype)
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                for matrix, move in zip(matrices, moves, strict=True):
                    matrix.sub_(move, alpha=rate)

    def _ahead(self, matrix: Tensor, momentum: float) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        assert matrix.grad is not None
        state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(state["momentum_buffer"], momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices [N, O, I] with singular values near 1 (0.7 to 1.2), by Newton and Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if tall else x
