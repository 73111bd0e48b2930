"""The steps of a run that learns from its own replies: each is made when it is due, not before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from data.batches import Batch, make_batch, whole_split
from training.backends import Backend
from training.feed import StepData


class TrainedReply(Protocol):
    """A reply as it was drawn, after the tokens `prompt`, and what it teaches.

    logprobs: The log-probability of each token at its draw.
    advantage: How much better it was than the others to its prompt.
    """

    @property
    def prompt(self) -> Sequence[int]: ...
    @property
    def tokens(self) -> Sequence[int]: ...
    @property
    def logprobs(self) -> Sequence[float]: ...
    @property
    def advantage(self) -> float: ...


class Drawn(Protocol):
    """What one draw gave: the replies to train on, of all ranks, and what to report.

    groups: How many prompts were replied to.
    figures, texts: Reported with the step, the texts as Markdown by a name that is the same each
        time.
    seconds: What it took, by what for.
    rows: The ids of the prompts.
    """

    @property
    def replies(self) -> Sequence[TrainedReply]: ...
    @property
    def groups(self) -> int: ...
    @property
    def figures(self) -> Mapping[str, float]: ...
    @property
    def texts(self) -> Mapping[str, str]: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...
    @property
    def rows(self) -> Sequence[str]: ...


class Rollouts(Protocol):
    """Draws replies of the weights in training; every rank calls it, and gets all of them."""

    @property
    def updates(self) -> int:
        """How many steps are taken on the replies of one draw."""

    @property
    def steps_per_epoch(self) -> int:
        """The steps in which every prompt is asked once."""

    def begin(self, backend: Backend, resumed: bool) -> None:
        """Begin a run anew or go on with it; ValueError where it began with other prompts."""

    def __call__(self, backend: Backend, number: int) -> Drawn:
        """Return draw `number`, counted from 0: what the run drew already, or replies drawn now."""


class RolloutFeed:
    """Steps on the replies of draws, packed as one rank trains them."""

    def __init__(self, rollouts: Rollouts, backend: Backend, micro_batch_tokens: int) -> None:
        self.rollouts, self.backend = rollouts, backend
        self.micro_batch_tokens = micro_batch_tokens
        self._made: tuple[int, StepData] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """The steps of an epoch."""
        return self.rollouts.steps_per_epoch

    def step(self, number: int) -> StepData:
        """Return step `number`, counted from 0; replies are drawn where it is the first on them."""
        draw, later = divmod(number, self.rollouts.updates)
        if self._made is not None and self._made[0] == draw:
            return self._made[1]._replace(seconds={}, fresh=False)
        data = self._data(self.rollouts(self.backend, draw))
        self._made = draw, data
        return data._replace(fresh=not later)

    def prepare(self, number: int) -> None:
        """Do nothing: the weights that draw the next replies are not there yet."""

    def _data(self, drawn: Drawn) -> StepData:
        replies = _Replies(drawn.replies)
        backend = self.backend
        parts = whole_split(replies, self.micro_batch_tokens, backend.rank, backend.world_size)
        batches = [replies.batch(part).to(backend.device) for part in parts]
        return StepData(
            batches=batches if drawn.replies else [],
            trained=sum(len(reply.tokens) for reply in drawn.replies),
            tokens=int(replies.lengths.sum()),
            groups=drawn.groups,
            figures=drawn.figures,
            texts=drawn.texts,
            seconds=drawn.seconds,
            rows=lambda: drawn.rows,
        )


class _Replies:
    """Drawn replies as conversations of which the reply's tokens are trained."""

    def __init__(self, replies: Sequence[TrainedReply]) -> None:
        self.replies = replies
        lengths = [len(reply.prompt) + len(reply.tokens) for reply in replies]
        self.lengths = np.array(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.replies)

    def tokens(self, index: int) -> np.ndarray:
        reply = self.replies[index]
        return np.array([*reply.prompt, *reply.tokens], dtype=np.uint32)

    def trained(self, index: int) -> np.ndarray:
        reply = self.replies[index]
        return np.arange(self.lengths[index]) >= len(reply.prompt)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Pack some of the replies, with the values of each row that training/reward.py wants."""
        own = [self.replies[index] for index in indices]
        old = [logprob for reply in own for logprob in reply.logprobs]
        advantage = [reply.advantage for reply in own for _ in reply.tokens]
        values = {
            name: torch.tensor(numbers, dtype=torch.float32)
            for name, numbers in {"old": old, "advantage": advantage}.items()
        }
        return replace(make_batch(self, indices), values=values)
