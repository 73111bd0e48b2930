"""Continuous batching in one thread; requests may join or finish at any step.

A reply is a `Job`; its tokens are passed on as they are generated. An error in one job, such as in
its constraint, ends that job; an error of the model ends all running jobs, and later jobs start
with a new batch.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from torch import Tensor

from inference.generate import Batch, Decoding, Row, RowConstraint
from inference.sampling import Likelihood
from model.transformer import Transformer


@dataclass(frozen=True)
class NewToken:
    """A token, its likelihood where it was asked for; no other follows where `last` is True."""

    token: int
    last: bool
    likelihood: Likelihood | None = None


@dataclass(frozen=True)
class Failed:
    """The error that ended a reply early."""

    error: Exception


@dataclass(eq=False)
class Job:
    """A reply to generate: `on_token` is called with each token, in the engine's thread.

    index: Which of several replies to one prompt it is; with the seed it decides the sampling.
    """

    prompt: list[int]
    decoding: Decoding
    on_token: Callable[[NewToken | Failed], None]
    constraint: RowConstraint | None = None
    index: int = 0


@dataclass(frozen=True)
class Load:
    """What an engine does at a moment, and what it has done since it started."""

    running: int
    waiting: int
    tokens: int
    replies: int


class Engine:
    """Runs jobs inside its `with` block: `size` at once, while at most `most_waiting` others wait.

    Jobs that run or wait at the end of the block fail. `cuda_graphs` is as in `Decoding`; that of
    the jobs means nothing here.
    """

    def __init__(
        self,
        model: Transformer,
        size: int,
        max_length: int,
        most_waiting: int,
        cuda_graphs: bool = False,
    ) -> None:
        self._most = size + most_waiting
        self._new_batch = partial(Batch, model.eval(), size, max_length, cuda_graphs)
        self._batch = self._new_batch()
        self._jobs: dict[Row, Job] = {}
        self._waiting: deque[Job] = deque()
        self._cancelled: set[Job] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._tokens = self._replies = 0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._thread.join()

    def close(self) -> None:
        """Stop generating; jobs that run or wait fail."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    @property
    def load(self) -> Load:
        """What runs and waits, and how many tokens and whole replies were made."""
        with self._changed:
            return Load(len(self._jobs), len(self._waiting), self._tokens, self._replies)

    def submit(self, jobs: Sequence[Job]) -> bool:
        """Accept all of these jobs, or none and return False: too many would wait, or it is closed.

        ValueError where a prompt leaves no room for a reply.
        """
        for job in jobs:
            job.decoding.room(job.index, job.prompt)
        with self._changed:
            expected = len(self._jobs) + len(self._waiting) + len(jobs)
            if self._closing or expected > self._most:
                return False
            self._waiting.extend(jobs)
            self._changed.notify()
        return True

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel these jobs, whether they wait, run or have ended."""
        with self._changed:
            self._cancelled.update(jobs)

    def _work(self) -> None:
        while self._goes_on():
            try:
                self._admit()
                if self._batch.rows:
                    self._step()
            except Exception as error:  # such as out of memory: the next jobs may need less
                self._fail(error)
                self._batch = self._new_batch()
        with self._changed:
            self._jobs |= {Row.of(0, job.prompt, job.decoding): job for job in self._waiting}
        self._fail(ConnectionAbortedError("the server is ending"))

    def _fail(self, error: Exception) -> None:
        for job in self._jobs.values():
            job.on_token(Failed(error))
        self._jobs = {}

    def _goes_on(self) -> bool:
        """Wait for work; return whether there is any before the end."""
        with self._changed:
            while not (self._jobs or self._waiting or self._closing):
                self._changed.wait()
            return not self._closing

    def _admit(self) -> None:
        """Drop cancelled jobs and move waiting jobs to the free rows."""
        with self._changed:
            gone, self._cancelled = self._cancelled, set()
            self._waiting = deque(job for job in self._waiting if job not in gone)
            rows = [row for row, job in self._jobs.items() if job in gone]
            self._batch.drop(rows)
            for row in rows:
                del self._jobs[row]
            while self._waiting and not self._batch.full:
                job = self._waiting.popleft()
                row = Row.of(job.index, job.prompt, job.decoding)
                row.constraint = job.constraint and IsolatedConstraint(job.constraint)
                self._jobs[row] = job
                self._batch.rows.append(row)

    def _step(self) -> None:
        """Generate one token for every row and pass it on."""
        failed = []
        for row, token, last in self._batch.step():
            error = row.constraint.error if isinstance(row.constraint, IsolatedConstraint) else None
            if error is not None:
                failed.append(row)
            job = self._jobs.pop(row) if last or error is not None else self._jobs[row]
            self._tokens += 1
            self._replies += last and error is None
            said = NewToken(token, last, row.likelihood)
            job.on_token(said if error is None else Failed(error))
        self._batch.drop(failed)


class IsolatedConstraint:
    """A constraint whose error ends its own row and no other."""

    def __init__(self, constraint: RowConstraint) -> None:
        self.error: Exception | None = None
        self._constraint = constraint

    def restrict(self, logits: Tensor, room: int) -> None:
        try:
            self._constraint.restrict(logits, room)
        except Exception as error:
            self.error = error
            # Some token must be there to be chosen, or the choice fails for all rows.
            logits.zero_()

    def accept(self, token: int, room: int) -> bool:
        try:
            return self.error is not None or self._constraint.accept(token, room)
        except Exception as error:
            self.error = error
            return True
