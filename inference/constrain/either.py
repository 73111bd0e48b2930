"""A reply that follows one of several constraints, whichever its tokens turn out to fit."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inference.generate import RowConstraint

_FORBIDDEN = float("-inf")


class EitherConstraint:
    """Allows what any of its constraints allows; those that a token does not fit are left.

    As alternatives of one grammar, calls and JSON would share a lexer, which takes the longest
    beginning of a call for one and so loses the objects that begin alike.
    """

    def __init__(self, constraints: Sequence[RowConstraint]) -> None:
        self._followed = list(constraints)
        self._allowed: list[Tensor] = []

    def restrict(self, logits: Tensor, room: int) -> None:
        """Set the logits [V] of what no constraint allows to minus infinity, in place."""
        if len(self._followed) == 1:
            self._followed[0].restrict(logits, room)
            return
        views = [logits.clone() for _ in self._followed]
        for constraint, view in zip(self._followed, views, strict=True):
            constraint.restrict(view, room)
        self._allowed = [view != _FORBIDDEN for view in views]
        logits.masked_fill_(~torch.stack(self._allowed).any(0), _FORBIDDEN)

    def accept(self, token: int, room: int) -> bool:
        """Take the chosen token, which `room` more may follow; False where none takes it."""
        fitting = self._followed
        if len(fitting) > 1:
            pairs = zip(fitting, self._allowed, strict=True)
            fitting = [constraint for constraint, allowed in pairs if allowed[token]]
        taking = [constraint for constraint in fitting if constraint.accept(token, room)]
        self._followed = taking or self._followed
        return bool(taking)
