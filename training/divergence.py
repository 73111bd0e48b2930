"""What a run does when its numbers are not finite, or its loss jumps: the tests and their words.

A step is looked at twice, and the host waits once: its loss and the norm of its gradients say
whether it may be taken, the norm of the weights after the update says whether it may be kept.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from training.loop import Run
    from training.report import StepMetrics

# Why a step was left out.
NOTHING_TO_LEARN = (
    "all replies to each of its prompts earned the same, so there is nothing to learn"
)
SCALE_HALVED = "its gradients were infinite in float16, and the loss scale was halved"
NOT_FINITE = "its loss or its gradients are not finite"
# So many steps in a row that are not finite are no matter of their rows.
MOST_LEFT_OUT = 10
NAMED_ROWS = 8
# A loss is a spike where it is above the mean of the last ones by more than so many of their
# standard deviations; with fewer of them nothing is said. The deviation counts as at least a share
# of the mean, for losses that hardly differ.
WINDOW, LEAST = 50, 20
DEVIATIONS, LEAST_DEVIATION = 5.0, 0.02
# A run ended worse than it began where its loss rose by more than this share, and this much. Losses
# of different rows that differ by less than SAME, as a share, are no longer about the rows.
RISE, SAME = 0.1, 1e-5


def norm_not_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return 1.0 where the norm of all values is infinite or NaN, else 0.0, on their device.

    Every value is read once, and nothing waits. The square of 1.8e19 is infinite in float32.
    """
    # The norm of finite values in float16 may be infinite in float16.
    wide = (t.float() if t.dtype == torch.float16 else t for t in tensors)
    return nn.utils.get_total_norm(wide).isfinite().logical_not().float()


def spread_not_finite(loss: Tensor) -> Tensor:
    """Return a loss as it is; where it is not finite, so is each of its gradients.

    A gradient may be finite where the loss is not, and only gradients are asked before an update.
    """
    finite = loss.detach().isfinite()
    return loss * torch.where(finite, 1.0, float("nan"))


def finite_on_cpu(
    tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Yield named tensors on the CPU in `dtype`; ValueError where a norm is not finite."""
    for name, tensor in tensors:
        cast = tensor.to(dtype)
        if norm_not_finite([cast]):
            raise ValueError(
                f"the norm of {name} is not finite in {str(dtype).removeprefix('torch.')}, so it "
                "was not written; go on from an earlier checkpoint with --resume --new-schedule "
                "and a lower --schedule.learning_rate"
            )
        yield name, cast.cpu()


def format_rows(rows: Sequence[str]) -> str:
    """Return the ids of rows in a line; of many the first ones and how many more there are."""
    more = len(rows) - NAMED_ROWS
    return ", ".join(rows[:NAMED_ROWS]) + (f" and {more} more" if more > 0 else "")


def check_step(run: "Run", number: int, step: "StepMetrics", broken: bool) -> None:
    """Raise ValueError where a run cannot go on from step `number`, counted from 1.

    `broken` says that a weight is not finite after it.
    """
    sound = math.isfinite(step.loss) and math.isfinite(step.gradient_norm or 0.0)
    if not broken and (sound or (run.skips and step.left_out)):
        return
    norm = "none" if step.gradient_norm is None else f"{step.gradient_norm:.4g}"
    found = f"loss {step.loss:.4g}, gradient norm {norm}"
    if sound:
        settings = run.config.schedule, run.config.optimizer
        problem = (
            f"{found}, and after its update the norm of the weights is not finite: "
            f"schedule.learning_rate {settings[0].learning_rate:g} or optimizer.weight_decay "
            f"{settings[1].weight_decay:g} is too large"
        )
    else:
        problem = f"{found}, wanted finite ones; its rows are {format_rows(step.rows())}"
    raise ValueError(f"step {number}: {problem}; {_format_way_out(run, skippable=not sound)}")


def check_left_out(run: "Run", last: int, in_a_row: int) -> None:
    """Raise ValueError where so many steps up to `last` were left out that rows are no reason."""
    if in_a_row >= MOST_LEFT_OUT:
        raise ValueError(
            f"steps {last - in_a_row + 1} to {last} were left out, each with a loss or gradients "
            "that are not finite, so the weights are at fault and not the rows; "
            f"{_format_way_out(run, skippable=False)}"
        )


def _format_way_out(run: "Run", skippable: bool) -> str:
    """Return how to go on; `skippable` says whether the step could be left out."""
    steps, rate = run.checkpoints.steps(), run.config.schedule.learning_rate
    lower = f"a --schedule.learning_rate below {rate:g}"
    if steps:
        way = f"go on from {steps[-1].name} with --resume --new-schedule and {lower}"
        skip = "--resume and --training.on_nonfinite=skip"
    else:
        name = "another --name and " if (run.checkpoints.run_dir / "best").exists() else ""
        way = f"no step was saved yet, so start again with {name}{lower}"
        skip = "--training.on_nonfinite=skip"
    if skippable and not run.skips and not run.config.optimizer.in_backward:
        way += f", or with {skip} where the rows are at fault"
    return f"nothing of it was saved; {way}"


class Losses:
    """The training losses of a run in their order: whether one is a spike, whether all rose."""

    def __init__(self, losses: Iterable[float]) -> None:
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.first: list[float] = []
        self.count = 0
        for loss in losses:
            self.add(loss)

    def add(self, loss: float) -> str:
        """Add a loss that is finite; return what makes it a spike, empty where it is none."""
        found = ""
        if len(self.recent) >= LEAST:
            mean, deviation = fmean(self.recent), pstdev(self.recent)
            limit = mean + DEVIATIONS * max(deviation, LEAST_DEVIATION * abs(mean))
            if loss > limit:
                found = (
                    f"the last {len(self.recent)} have a mean of {mean:.4f} and a standard "
                    f"deviation of {deviation:.4f}"
                )
        self.recent.append(loss)
        self.first = [*self.first, loss][:LEAST]
        self.count += 1
        return found

    def format_outcome(self) -> str:
        """Return what speaks against the run's last weights; empty where nothing does."""
        last = [*self.recent][1:][-LEAST // 2 :]
        if len(last) >= 3 and max(last) - min(last) <= SAME * abs(last[0]):
            return (
                f"the loss was {last[0]:.4f} in each of the last {len(last)} steps, whatever their "
                "rows: the weights are beyond use, or the learning rate too low to move them"
            )
        steps = max(1, min(LEAST, self.count // 10))
        if self.count < 2:
            return ""
        begun, ended = fmean(self.first[:steps]), fmean([*self.recent][-steps:])
        if ended <= begun + RISE * max(begun, 1.0):
            return ""
        which = "step" if steps == 1 else f"{steps} steps"
        return (
            f"the loss was {begun:.4f} in the first {which} and {ended:.4f} in the last {which}: "
            "this run made the model worse"
        )
