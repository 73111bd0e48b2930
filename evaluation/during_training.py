"""Generate replies of the model in training to a fixed sample of prompts, and judge them.

Shapes: P prompts, L the most tokens of a reply.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from chat.formats.format import ChatFormat
from chat.tokenizers.tokenizer import Tokenizer
from evaluation.figures import Figures, cells, count, figures, percent
from evaluation.items import Item
from evaluation.measurable import counted, wanted_reply
from evaluation.results import Judged
from inference.chat_model import read_answer, token_limits
from inference.generate import Completion, Decoding, complete
from model.transformer import Transformer

# How many replies TensorBoard shows at each evaluation; always the same prompts.
SHOWN = 8


class Ranks(Protocol):
    """The processes that train together, as far as they are needed here."""

    model: Transformer
    rank: int
    world_size: int
    device: torch.device

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all ranks, on every rank."""

    def computing(self) -> AbstractContextManager[None]:
        """Return what to run the model in, so that it computes as it is trained."""


@dataclass(frozen=True)
class Limits:
    """How long one evaluation may take in seconds, and what one reply and one batch may be."""

    seconds: float
    max_new_tokens: int
    batch_size: int


@dataclass(frozen=True)
class Replies:
    """What was judged of a sample of `total` prompts: its first ones, in order."""

    judged: Sequence[Judged]
    total: int
    seconds: float

    @property
    def reached(self) -> int:
        """The number of prompts with a reply."""
        return len(self.judged)

    @cached_property
    def scored(self) -> Figures:
        """The scorer's figures with their counts."""
        conversations = [judged.item.conversation_id for judged in self.judged]
        return figures([judged.verdict for judged in self.judged], conversations)

    @property
    def figures(self) -> Mapping[str, float]:
        """The figures, the number of prompts they cover, and the seconds the replies took."""
        return {
            **{name: figure.value for name, figure in self.scored.items()},
            "prompts_replied_to": self.reached,
            "prompts_left_out": self.total - self.reached,
            "reply_seconds": self.seconds,
        }

    @property
    def line(self) -> str:
        """The figures on one line with their counts, and whether prompts were left out."""
        parts = [
            f"{name.replace('_', ' ')} {percent(figure.value)} ({cells(figure)[1]})"
            for name, figure in self.scored.items()
        ]
        parts.append(f"{self.reached} of {self.total} prompts in {self.seconds:.1f} s")
        if self.reached < self.total:
            parts.append("the others are left out from now on (validation.generated.seconds)")
        return "  ".join(parts)

    @property
    def texts(self) -> Mapping[str, str]:
        """The first prompts with the wanted and the given reply, as Markdown by number."""
        return {str(i): _markdown(judged) for i, judged in enumerate(self.judged[:SHOWN], start=1)}

    def counts(self, figure: str) -> list[tuple[int, ...]]:
        """Return the hits and the count of each prompt for a figure, one pair for each side."""
        return [count(figure, judgement.verdict) for judgement in self.judged]


@dataclass(frozen=True)
class Sample:
    """Prompts in a fixed order, and the limits of the greedy replies to them.

    The batches do not depend on the number of ranks, so the replies do not either. The ranks take
    the batches in turn; then every rank receives all replies and judges them.
    `warning` is a text to print before training, or empty.
    """

    items: Sequence[Item]
    prompts: Sequence[list[int]]
    tokenizer: Tokenizer
    format: ChatFormat
    limits: Limits
    warning: str = ""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the prompts, the expected replies and the reply length."""
        wanted = [item.expected for item in self.items]
        content = [list(self.prompts), wanted, self.limits.max_new_tokens]
        return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()

    def measures(self, figure: str) -> bool:
        """Return whether a figure can be computed of the replies to these prompts."""
        return figure in counted(item.judge(wanted_reply(item)) for item in self.items)

    def __call__(
        self, backend: Ranks, most: int | None = None, look: Callable[[], None] | None = None
    ) -> Replies:
        """Reply to the first `most` prompts until the time is up, and judge the replies.

        `look` is called between passes, equally often on every rank; what it raises ends this.

        With `most` None, in the first evaluation, stop at half of the time: later replies may be
        longer, and the prompts must stay the same. The first round of batches is always completed.
        """
        start = time.perf_counter()
        seconds = self.limits.seconds / (2 if most is None else 1)
        size, prompts = self.limits.batch_size, self.prompts[:most]
        batches = [range(i, min(i + size, len(prompts))) for i in range(0, len(prompts), size)]
        said: dict[int, Completion] = {}
        longest, reached = 0.0, 0
        for first in range(0, len(batches), backend.world_size):
            begun = time.perf_counter()
            if first and _anyone(backend, begun - start + longest > seconds):
                break
            round = batches[first : first + backend.world_size]
            own = round[backend.rank] if backend.rank < len(round) else range(0)
            said |= self._reply(backend, own, look)
            longest = max(longest, time.perf_counter() - begun)
            reached = round[-1].stop
        judged = self._judge(self._gather(backend, said, reached))
        return Replies(judged, len(self.items), time.perf_counter() - start)

    def _reply(
        self, backend: Ranks, batch: range, look: Callable[[], None] | None
    ) -> dict[int, Completion]:
        """Reply to a batch; all ranks run the model as often as the longest reply needs."""
        limits = token_limits(self.format, self.tokenizer)
        decoding = Decoding(**limits, max_new_tokens=self.limits.max_new_tokens)
        prompts = [self.prompts[index] for index in batch]

        def anyone(busy: bool) -> bool:
            if look:
                look()
            return _anyone(backend, busy)

        replies = complete(backend.model, prompts, decoding, anyone=anyone)
        with backend.computing():
            return {batch[row]: completion for row, completion in replies}

    def _gather(self, backend: Ranks, said: Mapping[int, Completion], reached: int) -> Tensor:
        """Return the replies of all ranks [P, 1 + L]: 1 if whole, tokens + 1, and zeros."""
        replies = torch.zeros(reached, 1 + self.limits.max_new_tokens, dtype=torch.int64)
        for index, completion in said.items():
            replies[index, 0] = completion.stop is not None
            replies[index, 1 : 1 + len(completion.tokens)] = torch.tensor(completion.tokens) + 1
        return backend.sum(replies.to(backend.device)).cpu()

    def _judge(self, replies: Tensor) -> list[Judged]:
        """Judge the replies to the first items; in a first evaluation time may be up before all."""
        judged, reached = [], self.items[: len(replies)]
        for item, (whole, *row) in zip(reached, replies.tolist(), strict=True):
            tokens = [token - 1 for token in row if token]
            answer = read_answer(tokens, bool(whole), self.tokenizer, self.format)
            judged.append(Judged(item, answer, item.judge(answer.reply)))
        return judged


def _anyone(backend: Ranks, claim: bool) -> bool:
    """Return on every rank whether `claim` is true on any rank."""
    if backend.world_size == 1:
        return claim
    return backend.sum(torch.tensor(float(claim), device=backend.device)).item() > 0


def _markdown(judged: Judged) -> str:
    head = f"**{'right' if judged.verdict.correct else 'wrong'}** ({judged.item.category})"
    lines = "\n".join(judged.lines()).splitlines()
    text = "\n".join([head, "", *(f"    {line}" for line in lines)])
    # A reply may hold half a surrogate pair; TensorBoard's events are UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()
