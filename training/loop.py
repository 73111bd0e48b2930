"""The training loop: the only one, whatever the device count; a backend does the rest.

A step is a number of conversations, split into micro-batches that fit. Every micro-batch's summed
loss is divided by what the objective counts in the whole step over all ranks (trained tokens, where
it is supervised), so the result does not depend on how the step was split.
"""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from data.batches import Batch
from training.backends import Backend
from training.best import TEXT_LOSS, Generated, improves
from training.checkpoint import BEST, Checkpoints
from training.divergence import NOTHING_TO_LEARN, check_left_out, check_step
from training.feed import Steps
from training.finite import NOT_FINITE, spread_not_finite
from training.objective import Objective, Supervised, measured
from training.progress import Progress
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
    # Whether steps that are not finite are left out; otherwise they end the run.
    skips: bool = False


def fit(run: Run, backend: Backend, progress: Progress) -> None:
    """Train from `progress` to the end, or until validation.patience is used up.

    SIGTERM ends the step or the validation under way, saves and raises InterruptedError; a
    validation that is not complete is begun anew by the run that resumes.
    """
    config, stopping = run.config, False
    if run.gate:
        run.gate.begin(progress, lambda: text_loss(run, backend))
    with _sigterm_noticed() as terminated:
        while not (stopping or is_finished(run, progress)):
            made_up = progress.to_validate
            if not made_up:
                metrics, stopping = train_step(run, backend, progress.step, terminated)
                progress.step += 1
                progress.left_out = progress.left_out + 1 if metrics.left_out == NOT_FINITE else 0
                run.report.step(progress.step, metrics)
                check_left_out(run, progress.step, progress.left_out)
                last = progress.step == run.total_steps
                progress.to_validate = last or _due(run, progress.step, config.validation.every)
            if progress.to_validate and not stopping:
                stopping = not _validate_and_keep(run, backend, progress, terminated)
            finished = is_finished(run, progress)
            due = _due(run, progress.step, config.checkpoint.every)
            if finished or stopping or due or made_up:
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
    at_end = progress.step >= run.total_steps or (
        patience is not None and progress.without_improvement >= patience
    )
    return at_end and not progress.to_validate


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
        summed = spread_not_finite(loss) if run.skips else loss
        backend.backward(summed, last=batch is data.batches[-1])
        totals += torch.cat([loss.detach().view(1), sums / count])
    # Without a token that teaches anything, an optimizer's momentum would move the weights alone.
    norm = backend.step(rate, run.skips) if data.trained else NOTHING_TO_LEARN
    broken = backend.weights_not_finite().to(totals).view(1)
    stopped = torch.full_like(broken, stop is not None and stop())
    figures = backend.sum(torch.cat([stopped, broken, totals]))
    run.feed.prepare(number + 1)
    if isinstance(norm, Tensor):
        figures = torch.cat([figures, norm.to(figures).view(1)])
    stops, breaks, mean, *others = figures.cpu().tolist()
    length = others.pop() if isinstance(norm, Tensor) else None
    named = {**data.figures, **dict(zip(objective.names, others, strict=True))}
    metrics = StepMetrics(
        loss=mean,
        gradient_norm=length,
        learning_rate=rate,
        trained_tokens=data.trained,
        tokens=data.tokens,
        seconds=time.perf_counter() - start,
        batches=data.batches,
        figures=named,
        texts=data.texts,
        shares_of=data.seconds,
        left_out="" if isinstance(norm, Tensor) else norm,
        rows=data.rows,
        doubt=objective.doubt(data, named),
    )
    check_step(run, number + 1, metrics, breaks > 0)
    return metrics, stops > 0


class _Stopped(Exception):
    """SIGTERM came to some rank; all ranks raise it, at the same place."""


def _validate_and_keep(
    run: Run, backend: Backend, progress: Progress, terminated: Callable[[], bool]
) -> bool:
    """Validate, and keep the weights if they are best; False where SIGTERM came before the end."""

    def look() -> None:
        stopped = terminated()
        if backend.world_size > 1:
            own = torch.full((1,), float(stopped), device=backend.device)
            stopped = backend.sum(own).item() > 0
        if stopped:
            raise _Stopped

    try:
        best = _validate_all(run, backend, progress, look)
    except _Stopped:
        backend.model.train()
        return False
    progress.to_validate = False
    if best:
        run.checkpoints.save_weights(BEST, progress, backend)
    return True


def _validate_all(run: Run, backend: Backend, progress: Progress, look: Callable[[], None]) -> bool:
    """Validate, let the model reply where that is due, report; whether these weights are best.

    Every rank calls `look` between batches, equally often.
    """
    last = progress.step == run.total_steps
    figures, outcome = validate(run, backend, look), None
    if run.generated and (last or _due(run, progress.step, run.generated_every)):
        run.report.replying()
        outcome = run.generated(backend, progress.prompts, look)
        progress.prompts = outcome.reached
        figures |= outcome.figures
    if run.gate and run.gate.text:
        figures[TEXT_LOSS] = text_loss(run, backend, look)
    run.report.validation(progress.step, figures, outcome)
    problems = run.gate.problems(figures, progress) if run.gate else []
    run.report.kept_from_best(progress.step, problems)
    settings = run.config.validation
    scheduled = _due(run, progress.step, settings.every)
    return improves(figures, outcome, settings.best_metric, progress, scheduled, not problems)


def validate(
    run: Run, backend: Backend, look: Callable[[], None] | None = None
) -> dict[str, float]:
    """Return the objective's figures over the validation conversations; `look` as in text_loss."""
    return run.objective.validate(backend, _looking(run.validation(), look))


def text_loss(run: Run, backend: Backend, look: Callable[[], None] | None = None) -> float:
    """Return the loss on the gate's plain text, in bits a byte; `look` is called at each batch."""
    assert run.gate and run.gate.text
    batches = _looking(run.gate.text.batches(), look)
    return run.gate.text.bits_of(measured(batches, backend)["loss"])


def _looking(batches: Iterable[Batch], look: Callable[[], None] | None) -> Iterator[Batch]:
    """Yield batches, which are equally many on every rank, and call `look` before each."""
    for batch in batches:
        if look:
            look()
        yield batch


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
