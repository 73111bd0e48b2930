"""Let the model that is trained reply to a fixed sample of prompts, and judge what it says.

Shapes: P prompts, L the most tokens of a reply.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from chat.formats.rendering import ChatFormat
from chat.tokenizers.tokenizer import Tokenizer
from evaluation.figures import Figures, cells, count, figures, percent
from evaluation.items import Item
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
        """How many prompts were replied to."""
        return len(self.judged)

    @cached_property
    def scored(self) -> Figures:
        """The scorer's figures with their counts."""
        conversations = [judged.item.conversation_id for judged in self.judged]
        return figures([judged.verdict for judged in self.judged], conversations)

    @property
    def figures(self) -> Mapping[str, float]:
        """The scorer's figures, how many prompts they are of, and the seconds they took."""
        return {
            **{name: figure.value for name, figure in self.scored.items()},
            "prompts_replied_to": self.reached,
            "prompts_left_out": self.total - self.reached,
            "reply_seconds": self.seconds,
        }

    @property
    def line(self) -> str:
        """The figures in a line, each with its counts; prompts that were left out are said."""
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
        """What was asked, wanted and said for the first prompts, as Markdown by their number."""
        return {str(i): _markdown(each) for i, each in enumerate(self.judged[:SHOWN], start=1)}

    def counts(self, figure: str) -> list[tuple[int, ...]]:
        """Return what each prompt adds to a figure: hits, and of how many, for each side of it."""
        return [count(figure, judgement.verdict) for judgement in self.judged]


@dataclass(frozen=True)
class Sample:
    """Prompts in a fixed order, and how a model is to reply to them: greedily, within limits.

    Prompts make up batches that do not depend on the number of ranks, so that neither do the
    replies; ranks take turns at the batches. All ranks get all replies and judge them alike.
    `warning` is what a user should know of the sample before training, or empty.
    """

    items: Sequence[Item]
    prompts: Sequence[list[int]]
    tokenizer: Tokenizer
    format: ChatFormat
    limits: Limits
    warning: str = ""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the prompts, of what is wanted of them, and of what a reply may be."""
        wanted = [item.expected for item in self.items]
        content = [list(self.prompts), wanted, self.limits.max_new_tokens]
        return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()

    def __call__(self, backend: Ranks, most: int | None = None) -> Replies:
        """Reply to the first `most` prompts and judge the replies, as far as there is time.

        The first evaluation, `most` being None, stops at half of the time: later replies may be
        longer, and the prompts are to stay the same. The first round of batches is always whole.
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
            said |= self._reply(backend, own)
            longest = max(longest, time.perf_counter() - begun)
            reached = round[-1].stop
        judged = self._judge(self._gather(backend, said, reached))
        return Replies(judged, len(self.items), time.perf_counter() - start)

    def _reply(self, backend: Ranks, batch: range) -> dict[int, Completion]:
        """Reply to a batch; every rank runs the model as often as the one that takes longest."""
        limits = token_limits(self.format, self.tokenizer)
        decoding = Decoding(**limits, max_new_tokens=self.limits.max_new_tokens)
        prompts = [self.prompts[index] for index in batch]
        replies = complete(
            backend.model, prompts, decoding, anyone=lambda busy: _anyone(backend, busy)
        )
        return {batch[row]: completion for row, completion in replies}

    def _gather(self, backend: Ranks, said: Mapping[int, Completion], reached: int) -> Tensor:
        """Return the replies of all ranks [P, 1 + L]: 1 if whole, tokens + 1, and zeros."""
        replies = torch.zeros(reached, 1 + self.limits.max_new_tokens, dtype=torch.int64)
        for index, completion in said.items():
            replies[index, 0] = completion.stop is not None
            replies[index, 1 : 1 + len(completion.tokens)] = torch.tensor(completion.tokens) + 1
        return backend.sum(replies.to(backend.device)).cpu()

    def _judge(self, replies: Tensor) -> list[Judged]:
        judged = []
        for item, (whole, *row) in zip(self.items, replies.tolist(), strict=False):
            tokens = [token - 1 for token in row if token]
            answer = read_answer(tokens, bool(whole), self.tokenizer, self.format)
            judged.append(Judged(item, answer, item.judge(answer.reply)))
        return judged


def _anyone(backend: Ranks, claim: bool) -> bool:
    """Whether any rank claims it, on every rank."""
    if backend.world_size == 1:
        return claim
    return backend.sum(torch.tensor(float(claim), device=backend.device)).item() > 0


def _markdown(judged: Judged) -> str:
    head = f"**{'right' if judged.verdict.correct else 'wrong'}** ({judged.item.category})"
    lines = "\n".join(judged.lines()).splitlines()
    text = "\n".join([head, "", *(f"    {line}" for line in lines)])
    # A model may have said half a surrogate pair in JSON; events are UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()
