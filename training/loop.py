"""The training loop: the only one, whatever the device count; a backend does the rest.

A step is a number of conversations, split into micro-batches that fit. Every micro-batch's summed
loss is divided by what the objective counts in the whole step over all ranks (trained tokens, where
it is supervised), so the result does not depend on how the step was split.
"""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from data.batches import Batch
from training.backends import Backend
from training.best import TEXT_LOSS, Generated, improves
from training.checkpoint import Checkpoints, Progress
from training.feed import Steps
from training.objective import Objective, Supervised, measured
from training.report import NullReport, Report, StepMetrics

if TYPE_CHECKING:
    from training.config import Config
    from training.gate import Gate


@dataclass
class Run:
    """All that a run needs beside its backend."""

    config: "Config"
    feed: Steps
    validation: Callable[[], Iterable[Batch]]
    rate: Callable[[int], float]
    total_steps: int
    checkpoints: Checkpoints
    report: Report | NullReport
    objective: Objective = field(default_factory=Supervised)
    # Generates and scores replies, on every rank; the entry script sets it.
    generated: Generated | None = None
    generated_every: int | str | None = None
    # What weights must keep to become best/.
    gate: "Gate | None" = None


def fit(run: Run, backend: Backend, progress: Progress) -> None:
    """Train from `progress` to the end, or until validation.patience is used up.

    SIGTERM saves and raises InterruptedError.
    """
    config, stopping = run.config, False
    if run.gate:
        run.gate.begin(progress, lambda: text_loss(run, backend))
    with _sigterm_noticed() as terminated:
        while not (stopping or is_finished(run, progress)):
            metrics, stopping = train_step(run, backend, progress.step, terminated)
            progress.step += 1
            run.report.step(progress.step, metrics)
            last = progress.step == run.total_steps
            due = last or _due(run, progress.step, config.validation.every)
            if due and _validate_all(run, backend, progress, last):
                run.checkpoints.save_weights("best", progress, backend)
            finished = is_finished(run, progress)
            if finished or stopping or _due(run, progress.step, config.checkpoint.every):
                run.checkpoints.save_step(progress, backend)
    if not is_finished(run, progress):
        raise InterruptedError(
            f"stopped by SIGTERM and saved after step {progress.step} of {run.total_steps}; "
            "run the same command with --resume to continue"
        )
    if run.gate and progress.best is None:
        run.report.nothing_best(progress.step)
    elif progress.step < run.total_steps:
        run.report.stopped_early(progress.step, config.validation, progress.without_improvement)
    run.checkpoints.save_weights("final", progress, backend)


def is_finished(run: Run, progress: Progress) -> bool:
    """Return whether the run is at its end, or was too long without an improvement."""
    patience = run.config.validation.patience
    return progress.step >= run.total_steps or (
        patience is not None and progress.without_improvement >= patience
    )


def train_step(
    run: Run, backend: Backend, number: int, stop: Callable[[], bool] | None = None
) -> tuple[StepMetrics, bool]:
    """Take optimizer step `number`, counted from 0; return its figures, and whether to stop.

    `stop` is called on every rank when the step's work has been given out; one that returns True
    stops all. On CUDA the host waits once, at the end, with the next step already made and sent.
    """
    start = time.perf_counter()
    data, objective, rate = run.feed.step(number), run.objective, run.rate(number)
    count = objective.count(data)
    totals = torch.zeros(1 + len(objective.names), device=backend.device)
    backend.begin_step(rate, len(data.batches))
    for batch in data.batches:
        loss, sums = objective.loss(backend, batch)
        loss = loss / count
        backend.backward(loss, last=batch is data.batches[-1])
        totals += torch.cat([loss.detach().view(1), sums / count])
    # Without a token that teaches anything, an optimizer's momentum would move the weights alone.
    norm = backend.step(rate) if data.trained else None
    stopped = torch.full_like(totals[:1], stop is not None and stop())
    figures = backend.sum(torch.cat([stopped, totals]))
    run.feed.prepare(number + 1)
    if norm is not None:
        figures = torch.cat([figures, norm.to(figures).view(1)])
    stops, mean, *others = figures.cpu().tolist()
    found = None if norm is None else others.pop()
    if not all(map(math.isfinite, [mean, found or 0])):
        raise ValueError(
            f"step {number + 1}: loss {mean}, gradient norm {found}; the "
            "weights are no longer usable. Resume from the last checkpoint with a lower "
            "schedule.learning_rate"
        )
    named = {**data.figures, **dict(zip(objective.names, others, strict=True))}
    return StepMetrics(
        loss=mean,
        gradient_norm=found,
        learning_rate=rate,
        trained_tokens=data.trained,
        tokens=data.tokens,
        seconds=time.perf_counter() - start,
        batches=data.batches,
        figures=named,
        texts=data.texts,
        shares_of=data.seconds,
        doubt=objective.doubt(data, named),
    ), stops > 0


def _validate_all(run: Run, backend: Backend, progress: Progress, last: bool) -> bool:
    """Validate, let the model reply where that is due, report; whether these weights are best."""
    figures, outcome = validate(run, backend), None
    if run.generated and (last or _due(run, progress.step, run.generated_every)):
        run.report.replying()
        outcome = run.generated(backend, progress.prompts)
        progress.prompts = outcome.reached
        figures |= outcome.figures
    if run.gate and run.gate.text:
        figures[TEXT_LOSS] = text_loss(run, backend)
    run.report.validation(progress.step, figures, outcome)
    problems = run.gate.problems(figures, progress) if run.gate else []
    run.report.kept_from_best(progress.step, problems)
    settings = run.config.validation
    scheduled = _due(run, progress.step, settings.every)
    return improves(figures, outcome, settings.best_metric, progress, scheduled, not problems)


def validate(run: Run, backend: Backend) -> dict[str, float]:
    """Return the objective's figures over the validation conversations."""
    return run.objective.validate(backend, run.validation())


def text_loss(run: Run, backend: Backend) -> float:
    """Return the loss on the gate's plain text, in bits a byte."""
    assert run.gate and run.gate.text
    return run.gate.text.bits_of(measured(run.gate.text.batches(), backend)["loss"])


def _due(run: Run, step: int, every: int | str | None) -> bool:
    steps = run.feed.steps_per_epoch if every == "epoch" else every
    return isinstance(steps, int) and step % steps == 0


@contextmanager
def _sigterm_noticed() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGTERM arrived; the current step is finished first."""
    arrived: list[int] = []

    def notice(number: int, frame: Any) -> None:
        arrived.append(number)

    before = signal.signal(signal.SIGTERM, notice)
    try:
        yield lambda: bool(arrived)
    finally:
        signal.signal(signal.SIGTERM, before)
