"""Where a run cannot go on, since its numbers are not finite: the tests and their words.

A step is looked at twice, and the host waits once: its loss and the norm of its gradients say
whether it may be taken, the norm of the weights after the update says whether it may be kept.
"""

import math
from typing import TYPE_CHECKING

from training.losses import format_rows

if TYPE_CHECKING:
    from training.loop import Run
    from training.report import StepMetrics

# Why a step was left out, beside what training/finite.py finds.
NOTHING_TO_LEARN = (
    "all replies to each of its prompts earned the same, so there is nothing to learn"
)
# So many steps in a row that are not finite are no matter of their rows.
MOST_LEFT_OUT = 10


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
