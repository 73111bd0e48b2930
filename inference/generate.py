"""Generate token by token with a key/value cache, many prompts of different length at once.

Shapes: N rows, V vocabulary.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from inference.choosing import choose_allowed
from inference.kv_cache import KVCache
from inference.passes import Passes, StaticPasses
from inference.sampling import Likelihood
from model.attention import Documents
from model.config import LongRope
from model.transformer import Transformer


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen and when a row ends.

    `max_length` bounds prompt and completion together; `batch_size` is how many rows run at once
    (all when None). Temperature 0 takes the likeliest token; otherwise one is drawn from the
    smallest set of likeliest tokens whose probabilities reach `top_p`. The draws of a row depend
    on `seed` and its index alone, never on the rows beside it. Ids from `vocab_size` on pad the
    vocabulary, and `unused_ids` have no token in the tokenizer: they are never chosen.
    `cuda_graphs` gives passes fixed shapes, on CUDA recorded as graphs; tokens stay the same but
    for near ties. With `logprobs`, each row keeps the likelihood of its last token and of so many
    others: the model's own, before temperature and constraints. With `keep_logprobs`, a completion
    has the log-probability of each drawn token, the stop token too, by the model's own distribution
    at `temperature` (1 where that is 0): of all ids, before `top_p`, constraints and unused ids.
    """

    stop_ids: Collection[int]
    max_new_tokens: int
    max_length: int | None = None
    batch_size: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    vocab_size: int | None = None
    unused_ids: tuple[int, ...] = ()
    cuda_graphs: bool = False
    logprobs: int | None = None
    keep_logprobs: bool = False

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}, wanted at least 1")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, wanted at least 1")
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}, wanted 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, wanted more than 0 and at most 1")

    def room(self, row: int, prompt: Sequence[int]) -> int:
        """Return how many tokens may follow a prompt; ValueError when it leaves no room."""
        if not prompt:
            raise ValueError(f"prompt {row} is empty; it needs at least one token")
        if self.max_length is None:
            return self.max_new_tokens
        if len(prompt) >= self.max_length:
            raise ValueError(
                f"prompt {row} has {len(prompt)} tokens and max_length is {self.max_length}; "
                "shorten it or raise the limit"
            )
        return min(self.max_new_tokens, self.max_length - len(prompt))


class RowConstraint(Protocol):
    """Which tokens one row may have; called before each token is chosen and after."""

    def restrict(self, logits: Tensor, room: int) -> None:
        """Set the logits [V] of forbidden tokens to -inf in place; `room` tokens may still come."""

    def accept(self, token: int, room: int) -> bool:
        """Take the chosen token, which `room` more may follow; or False, and another is chosen."""


@dataclass(frozen=True)
class Completion:
    """What followed a prompt; `stop` is the stop token that ended it, None when a limit did."""

    tokens: list[int]
    stop: int | None
    # Where the decoding keeps them, that of the stop token last.
    logprobs: tuple[float, ...] = ()


def generate(model: Transformer, prompts: Sequence[list[int]], **options: Any) -> list[list[int]]:
    """Return the tokens after each prompt, without the stop token; options as in `Decoding`."""
    replies = dict(complete(model, prompts, Decoding(**options)))
    return [replies[row].tokens for row in range(len(prompts))]


def complete(
    model: Transformer,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    anyone: Callable[[bool], bool] | None = None,
    constraint: Callable[[int], RowConstraint | None] | None = None,
    order: Sequence[int] | None = None,
    draws: Callable[[int], random.Random] | None = None,
) -> Iterator[tuple[int, Completion]]:
    """Yield (index of the prompt, its completion) as rows end, the shortest first.

    `order` is that in which prompts enter the batch, by their indices; without it that of the
    list. What is drawn does not depend on it. Equal neighbours enter together and are read once.
    `constraint(index)` makes what rules a row, None for a row that is free; `draws(index)` what its
    draws come from, in the place of the seed. Where ranks share the weights, all must run the model
    equally often: before each pass `anyone` is told whether this rank has rows left and answers
    whether any has.
    """
    produced: list[list[int]] = [[] for _ in prompts]
    likely: dict[int, list[float]] = defaultdict(list)
    for row, token, ended in _produce(model, prompts, decoding, anyone, constraint, order, draws):
        tokens = produced[row.index]
        tokens.append(token)
        likely[row.index] += () if row.logprob is None else (row.logprob,)
        if ended:
            stop = tokens.pop() if token in decoding.stop_ids else None
            yield row.index, Completion(tokens, stop, tuple(likely[row.index]))


def stream(
    model: Transformer,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    constraint: Callable[[int], RowConstraint | None] | None = None,
) -> Iterator[tuple[int, int]]:
    """Yield (index of the prompt, token) as tokens are produced, stop tokens included."""
    for row, token, _ in _produce(model, prompts, decoding, constraint=constraint):
        yield row.index, token


@dataclass(eq=False)
class Row:
    """A prompt under way: what the model has read and has yet to read, and how much may follow.

    The `batch_size` of its decoding means nothing here.
    """

    index: int
    unread: list[int]
    decoding: Decoding
    room: int
    draws: random.Random
    constraint: RowConstraint | None = None
    read: list[int] = field(default_factory=list)
    likelihood: Likelihood | None = None
    logprob: float | None = None

    @staticmethod
    def of(index: int, prompt: list[int], decoding: Decoding) -> "Row":
        """Return the row of a prompt; ValueError when it leaves no room."""
        room = decoding.room(index, prompt)
        return Row(index, prompt, decoding, room, random.Random(f"{decoding.seed}/{index}"))


class Batch:
    """Rows that share forward passes; between two passes some may come and others go.

    There is room for `size` rows of `max_length` positions each, prompt and completion together.
    Rows that come at once with equal prompts share the pass over it.
    `cuda_graphs` is as in `Decoding`.
    """

    def __init__(
        self, model: Transformer, size: int, max_length: int, cuda_graphs: bool = False
    ) -> None:
        weight, dtype = model.tok_embeddings.weight, model.tok_embeddings.weight.dtype
        if torch.is_autocast_enabled(weight.device.type):
            dtype = torch.get_autocast_dtype(weight.device.type)
        self.rows: list[Row] = []
        self._model = model
        self._cache = KVCache(model.config, size, max_length, weight.device, dtype)
        self._passes = (StaticPasses if cuda_graphs else Passes)(model, self._cache)
        # Weights that DeepSpeed gathers in inference mode, the faster one, could not be trained.
        trained = any(parameter.requires_grad for parameter in model.parameters())
        self._mode = torch.no_grad if trained else torch.inference_mode

    @property
    def free(self) -> int:
        """How many more rows can come now."""
        return self._cache.batch_size - len(self.rows)

    @property
    def full(self) -> bool:
        """Whether no more rows can come now."""
        return self.free == 0

    def step(self) -> list[tuple[Row, int, bool]]:
        """Choose a token for every row; return (row, token, whether it ends) and drop what ends.

        The model should be in evaluation mode.
        """
        with self._mode():
            draws = [row.draws.random() for row in self.rows]
            logits, sent_draws = self._passes.run([row.unread for row in self.rows], draws)
            tokens = choose_allowed(logits, self.rows, sent_draws)
        said = []
        for row, token in zip(self.rows, tokens, strict=True):
            row.read += row.unread
            row.unread, row.room = [token], row.room - 1
            said.append((row, token, row.room == 0 or token in row.decoding.stop_ids))
        self.drop([row for row, _, ended in said if ended])
        self._restart_where_rotation_changes()
        return said

    def drop(self, rows: Collection[Row]) -> None:
        """Remove rows between two passes, before new ones are added."""
        cached, new = self.rows[: len(self._cache.lengths)], self.rows[len(self._cache.lengths) :]
        order = self._cache.drop([place for place, row in enumerate(cached) if row in rows])
        self.rows = [cached[place] for place in order] + [row for row in new if row not in rows]

    def _restart_where_rotation_changes(self) -> None:
        """Restart rows whose next token changes long RoPE's factors: their keys are outdated."""
        scaling = self._model.config.rope_scaling
        if not isinstance(scaling, LongRope):
            return
        changing = [row for row in self.rows if len(row.read) == scaling.original_length]
        self.drop(changing)
        for row in changing:
            row.read, row.unread = [], row.read + row.unread
        self.rows += changing


def _produce(
    model: Transformer,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    anyone: Callable[[bool], bool] | None = None,
    constraint: Callable[[int], RowConstraint | None] | None = None,
    order: Sequence[int] | None = None,
    draws: Callable[[int], random.Random] | None = None,
) -> Iterator[tuple[Row, int, bool]]:
    """Yield (row, token, whether the row ends with it)."""
    rows = [Row.of(i, prompt, decoding) for i, prompt in enumerate(prompts)]
    if draws is not None:
        for row in rows:
            row.draws = draws(row.index)
    size = min(len(rows), decoding.batch_size or len(rows))
    longest = max((len(row.unread) + row.room for row in rows), default=0)
    batch = Batch(model, size, longest, decoding.cuda_graphs)
    waiting = _together(rows if order is None else [rows[index] for index in order], size)
    was_training = model.training
    model.eval()
    try:
        yield from _run(model, batch, waiting, anyone, constraint or (lambda index: None))
    finally:
        model.train(was_training)


def _together(rows: Sequence[Row], most: int) -> deque[list[Row]]:
    """Return rows in groups of neighbours with equal prompts, at most so many in a group."""
    groups = deque[list[Row]]()
    for row in rows:
        if groups and len(groups[-1]) < most and groups[-1][0].unread == row.unread:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _run(
    model: Transformer,
    batch: Batch,
    waiting: deque[list[Row]],
    anyone: Callable[[bool], bool] | None,
    constraint: Callable[[int], RowConstraint | None],
) -> Iterator[tuple[Row, int, bool]]:
    """Run groups of rows; a finished row leaves at once, and a group comes when all of it fits."""
    while (busy := bool(waiting or batch.rows)) or anyone:
        if anyone and not anyone(busy):
            return
        if not busy:
            _idle(model)
            continue
        while waiting and len(waiting[0]) <= batch.free:
            group = waiting.popleft()
            for row in group:
                row.constraint = constraint(row.index)
            batch.rows += group
        yield from batch.step()


@torch.no_grad()
def _idle(model: Transformer) -> None:
    """Run the model over one token, for the ranks that need this one's part of the weights."""
    device = model.tok_embeddings.weight.device
    token = torch.zeros(1, dtype=torch.int64, device=device)
    model(token, token, Documents((0, 1), device))
