"""Cross entropy of each trained position, part by part; hidden gradients are made going forward.

The gradient of a row's loss with respect to its hidden state is the softmax's mean of the
vocabulary's vectors minus the target's vector: an attention of the row over the vocabulary, with
the weight as keys and values. So it is computed as one, with a running maximum and total, and
neither logits nor probabilities of a whole row are ever held.

An adapter of the head gives the weight columns of its own, for inputs of its own (`Widened`): a
part is joined with its columns when its turn comes.

Shapes: N trained positions, D width, V vocabulary, R rows of a block, P vocabulary of a part, C
columns beside the weight; with them D stands for D + C everywhere but in the weight.
Memory is R P logits (float32 and the model's dtype) and the gradient [N, D], whatever N and V; an
objective then weighs the rows as it likes, because their gradients are multiplied in backward. A
trained head's gradient [V, D] is made in the backward pass, in the weight's own dtype.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.cpu_products import linear, multiplied
from model.lora.vocabulary import Widened, widened

# Rows and vocabulary entries at once: on CPU what stays in the last cache, on CUDA what keeps the
# matrix products large (0.5 GiB of logits).
BLOCK = {"cpu": (512, 2048), "cuda": (8192, 8192)}


def row_losses(hidden: Tensor, weight: Tensor | Widened, targets: Tensor) -> Tensor:
    """Return each row's loss, float32 [N], of hidden [N, D] and weight [V, D].

    It is minus the log-probability of the row's target. Bind `targets` [N] with functools.partial
    to use it as a model's `head`.
    """
    return _RowLosses.apply(hidden, *widened(weight), targets)  # type: ignore[no-any-return]


def summed_cross_entropy(hidden: Tensor, weight: Tensor | Widened, targets: Tensor) -> Tensor:
    """Return the sum of `row_losses`, a float32 scalar."""
    losses = row_losses(hidden, weight, targets)
    total = torch.zeros((), device=losses.device)
    for part in losses.split(BLOCK[losses.device.type][0]):
        total = total + part.sum()
    return total


def loss_and_hits(hidden: Tensor, weight: Tensor | Widened, targets: Tensor) -> Tensor:
    """Return [summed loss, positions whose most likely token is the target], float32 [2]."""
    sums, vectors = torch.zeros(2, device=hidden.device), _Vectors(*widened(weight))
    for rows, goals in _blocks(hidden, targets):
        softmax = _RunningSoftmax(rows)
        best, likeliest = rows.new_full((len(rows),), float("-inf")), torch.zeros_like(goals)
        for start, part in vectors.parts():
            logits = linear(rows, part)
            softmax.add(logits)
            top, index = logits.max(1)
            likeliest = torch.where(top > best, index + start, likeliest)
            best = torch.maximum(top, best)
        sums[0] += (softmax.log_total() - _logits_at(rows, vectors.of(goals))).sum()
        sums[1] += (likeliest == goals).sum()
    return sums


class _Vectors(NamedTuple):
    """The vectors of the vocabulary [V, D], with the columns beside the weight if there are any."""

    weight: Tensor
    columns: Tensor | None

    def of(self, tokens: Tensor) -> Tensor:
        """Return the vectors of some tokens."""
        if self.columns is None:
            return self.weight[tokens]
        return torch.cat([self.weight[tokens], self.columns[tokens]], 1)

    def parts(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the first entry of each part of the vocabulary, and its vectors [P, D]."""
        size = BLOCK[self.weight.device.type][1]
        for start in range(0, len(self.weight), size):
            part = self.weight[start : start + size]
            if self.columns is not None:
                part = torch.cat([part, self.columns[start : start + size]], 1)
            yield start, part


class _RunningSoftmax:
    """The maximum and the sum of exponentials of each row's logits, over the parts seen so far."""

    def __init__(self, rows: Tensor) -> None:
        self.maximum = rows.new_full((len(rows), 1), float("-inf"), dtype=torch.float32)
        self.total = torch.zeros_like(self.maximum)

    def add(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Take in logits [R, P]; return their exponentials over the new maximum, float32 [R, P].

        Also return what to multiply earlier sums of exponentials by, [R, 1].
        """
        maximum = torch.maximum(self.maximum, logits.amax(1, keepdim=True))
        exponentials = (logits - maximum).exp_()
        shrink = (self.maximum - maximum).exp_()
        self.total = self.total * shrink + exponentials.sum(1, keepdim=True)
        self.maximum = maximum
        return exponentials, shrink

    def log_total(self) -> Tensor:
        """Return the logarithm of the sum of all exponentials, float32 [R]."""
        return (self.total.log() + self.maximum)[:, 0]


class _RowLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, columns: Tensor | None, targets: Tensor
    ) -> Tensor:
        log_totals, losses, of_hidden = [], [], []
        vectors = _Vectors(weight, columns)
        for rows, goals in _blocks(hidden, targets):
            softmax, mean = _RunningSoftmax(rows), None
            if ctx.needs_input_grad[0]:
                mean = torch.zeros_like(rows, dtype=torch.float32)
            for _, part in vectors.parts():
                logits = linear(rows, part)
                exponentials, shrink = softmax.add(logits)
                if mean is not None:
                    product = multiplied(exponentials.to(logits.dtype), part.to(logits.dtype))
                    mean.mul_(shrink).add_(product)
            log_totals.append(softmax.log_total())
            wanted = vectors.of(goals)
            losses.append(log_totals[-1] - _logits_at(rows, wanted))
            if mean is not None:
                of_hidden.append(mean.div_(softmax.total).sub_(wanted))
        ctx.dtypes = hidden.dtype, F.linear(hidden[:1], vectors.of(targets[:1])).dtype
        of_vectors: tuple[Tensor | None, ...] = ()
        if any(ctx.needs_input_grad[1:3]):
            of_vectors = hidden, weight, columns, targets, torch.cat(log_totals)
        ctx.save_for_backward(torch.cat(of_hidden) if of_hidden else None, *of_vectors)
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, *of_vectors = ctx.saved_tensors
        of_hidden = None
        if hidden_gradient is not None:
            of_hidden = (hidden_gradient * incoming[0][:, None]).to(ctx.dtypes[0])
        if not of_vectors:
            return of_hidden, None, None, None
        hidden, weight, columns, targets, log_totals = of_vectors
        of_weight, of_columns = ctx.needs_input_grad[1:3]
        width = weight.shape[1]
        # Of each vector's gradient only what is trained: the weight's values, or the columns.
        trained = slice(0 if of_weight else width, None if of_columns else width)
        rows = _Rows(hidden, targets, log_totals, incoming[0], ctx.dtypes[1])
        gradient = rows.vector_gradient(_Vectors(weight, columns), trained)
        return (
            of_hidden,
            gradient[:, :width] if of_weight else None,
            gradient[:, -columns.shape[1] :] if of_columns else None,
            None,
        )


class _Rows(NamedTuple):
    """Hidden states [N, D], their targets and the logarithms of their totals [N].

    factors: What the gradient of each row's loss is multiplied by, float32 [N].
    dtype: What their logits are computed in.
    """

    hidden: Tensor
    targets: Tensor
    log_totals: Tensor
    factors: Tensor
    dtype: torch.dtype

    def vector_gradient(self, vectors: _Vectors, trained: slice) -> Tensor:
        """Return (probabilities - 1 at the target)^T (factors * rows), of their values `trained`.

        Each part of the vocabulary is summed over all rows in float32 and then rounded to the
        weight's dtype, so nothing of the gradient's size is there but itself. Logits are computed a
        second time, because the probabilities are not known before the last part is seen.
        """
        width = len(range(self.hidden.shape[1])[trained])
        like = vectors.weight if trained.start == 0 else vectors.columns
        gradient = vectors.weight.new_empty(len(vectors.weight), width, dtype=like.dtype)  # type: ignore[union-attr]
        largest = self._largest_factor()
        for start, part in vectors.parts():
            # The last row takes the targets of other parts.
            total = part.new_zeros(len(part) + 1, width, dtype=torch.float32)
            for rows, goals, log_total, factors in self._blocks():
                logits = linear(rows.to(self.dtype), part.to(self.dtype))
                probabilities = (logits - log_total[:, None]).exp_().to(self.dtype)
                values = rows[:, trained] * (factors / largest)[:, None]
                total[:-1] += probabilities.t() @ values.to(self.dtype)
                own = (goals >= start) & (goals < start + len(part))
                places = torch.where(own, goals - start, len(part))
                total.index_add_(0, places, values.float(), alpha=-1)
            gradient[start : start + len(part)] = total[:-1].mul_(largest)
        return gradient

    def _largest_factor(self) -> Tensor:
        """Return the largest magnitude of a factor; by it the others are at most 1 in any dtype.

        Where all factors are equal, as in a sum, they are 1 and change no row.
        """
        least = self.factors.new_full((1,), torch.finfo(torch.float32).tiny)
        return torch.cat([self.factors.abs(), least]).max()

    def _blocks(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        size = BLOCK[self.hidden.device.type][0]
        parts = (self.hidden, self.targets, self.log_totals, self.factors)
        return zip(*(tensor.split(size) for tensor in parts), strict=True)


def _logits_at(rows: Tensor, vectors: Tensor) -> Tensor:
    """Return the logit [R] of each row [R, D] with a vector [R, D], rounded as a product rounds it.

    Unrounded it would differ from the same logit inside the total, and a certain row's loss
    from 0.
    """
    dtype = F.linear(rows[:1], vectors[:1]).dtype
    products = rows.to(dtype).float() * vectors.to(dtype).float()
    return products.sum(1).to(dtype).float()


def _blocks(hidden: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows [R, D] of each block and their targets [R]; one empty block for none."""
    size = BLOCK[hidden.device.type][0]
    return zip(hidden.split(size), targets.split(size), strict=True)
