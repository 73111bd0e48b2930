"""The training loop: the only one, whatever the device count; a backend does the rest.

A step is a group of conversations, split into micro-batches that fit. Every micro-batch's summed
loss is divided by the trained tokens of the whole step over all ranks, so the result does not
depend on how the group was split.
"""

import math
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from data.batches import Batch, Batches
from model.attention import Documents
from training.backends import Backend
from training.checkpoint import Checkpoints, Progress
from training.loss import loss_and_hits, summed_cross_entropy
from training.report import Report, StepMetrics

if TYPE_CHECKING:
    from training.config import Config


@dataclass
class Run:
    """All that a run needs beside its backend."""

    config: "Config"
    batches: Batches
    validation: Callable[[], Iterable[Batch]]
    rate: Callable[[int], float]
    total_steps: int
    checkpoints: Checkpoints
    report: Report


def fit(run: Run, backend: Backend, progress: Progress) -> None:
    """Train from `progress` to the end; SIGTERM saves and raises InterruptedError."""
    config, signals, stopping = run.config, _Signals(), False
    while progress.step < run.total_steps and not stopping:
        metrics, stopping = train_step(run, backend, progress.step, signals.terminate)
        progress.step += 1
        run.report.step(progress.step, metrics)
        last = progress.step == run.total_steps
        if last or _due(progress.step, config.validation.every):
            figures = validate(run, backend)
            run.report.validation(progress.step, figures)
            if _improves(figures, config.validation.best_metric, progress):
                run.checkpoints.save_weights("best", progress, backend)
        if last or stopping or _due(progress.step, config.checkpoint.every):
            run.checkpoints.save_step(progress, backend)
    if progress.step < run.total_steps:
        raise InterruptedError(
            f"stopped by SIGTERM and saved after step {progress.step} of {run.total_steps}; "
            "run the same command with --resume to continue"
        )
    run.checkpoints.save_weights("final", progress, backend)


def train_step(
    run: Run, backend: Backend, number: int, stop: bool = False
) -> tuple[StepMetrics, bool]:
    """Take optimizer step `number`; return its figures, and whether any rank was asked to stop."""
    batches = run.batches.step(number)
    own = [sum(len(b.targets) for b in batches), sum(len(b.tokens) for b in batches), int(stop)]
    trained, tokens, stops = backend.sum(torch.tensor(own, device=backend.device)).tolist()
    total = torch.zeros((), device=backend.device)
    for batch in batches:
        loss = batch_loss(backend, batch, summed_cross_entropy) / trained
        backend.backward(loss, last=batch is batches[-1])
        total += loss.detach()
    rate = run.rate(number)
    norm = backend.step(rate)
    loss = backend.sum(total).item()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise ValueError(
            f"step {number + 1}: loss {loss}, gradient norm {norm}; the weights are no longer "
            "usable. Resume from the last checkpoint with a lower schedule.learning_rate"
        )
    return StepMetrics(loss, norm, rate, trained, tokens, batches), stops > 0


@torch.no_grad()
def validate(run: Run, backend: Backend) -> dict[str, float]:
    """Return loss, perplexity and token accuracy over the validation conversations."""
    backend.model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=backend.device)
    for batch in run.validation():
        sums[:2] += batch_loss(backend, batch, loss_and_hits)
        sums[2] += len(batch.targets)
    backend.model.train()
    loss, hits, count = backend.sum(sums).tolist()
    return {
        "loss": loss / count,
        "perplexity": math.exp(min(loss / count, 700)),
        "token_accuracy": hits / count,
    }


def batch_loss(backend: Backend, batch: Batch, head: Callable[..., Tensor]) -> Tensor:
    """Run the model over a batch, with `head` in place of the vocabulary projection."""
    batch = batch.to(backend.device)
    return backend.model(  # type: ignore[no-any-return]
        batch.tokens,
        batch.positions,
        Documents(batch.offsets, backend.device),
        rows=batch.rows,
        head=partial(head, targets=batch.targets),
    )


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _improves(figures: dict[str, float], metric: str, progress: Progress) -> bool:
    """Remember and report a new best figure; a lower loss is better, a higher accuracy."""
    sign = -1 if metric == "loss" else 1
    if progress.best is not None and sign * figures[metric] <= sign * progress.best:
        return False
    progress.best = figures[metric]
    return True


class _Signals:
    """Remembers that SIGTERM arrived; the step under way is finished first."""

    def __init__(self) -> None:
        self.terminate = False
        signal.signal(signal.SIGTERM, self._notice)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.terminate = True
