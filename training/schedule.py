"""The learning rate by step; where its warm-up and its decay end is settled once for a run."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from training.config import Config, read_config
from training.length import Epochs, run_length
from training.progress import Progress
from training.resuming import CONFIG_FILE
from training.sections import ScheduleSection


def learning_rate(
    step: int, total_steps: int, warmup_steps: int, schedule: ScheduleSection
) -> float:
    """Return the rate of step `step`, counted from 0, of a schedule that ends at `total_steps`.

    Warm-up rises linearly and reaches the full rate at step `warmup_steps`; decay then falls
    to the minimum at the last step and stays there.
    """
    peak, low = schedule.learning_rate, schedule.min_learning_rate
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    if schedule.kind == "constant":
        return peak
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
    share = 1 - done if schedule.kind == "linear" else (1 + math.cos(math.pi * done)) / 2
    return low + (peak - low) * share


def find_warmup_steps(schedule: ScheduleSection, steps: int) -> int:
    """Return the warm-up of a run of `steps`: as given, or its share, rounded up.

    A share always leaves a step at the full rate before the schedule ends. Raises ValueError for an
    explicit warm-up that does not.
    """
    end = min(steps, schedule.total_steps or steps)
    if schedule.warmup_steps is None:
        # Rounded first, since 0.07 * 100 is a little more than 7.
        share = math.ceil(round((schedule.warmup_share or 0.0) * steps, 6))
        return max(0, min(share, end - 1))
    if schedule.warmup_steps and schedule.warmup_steps >= end:
        what = "the run" if end == steps else "schedule.total_steps"
        raise ValueError(
            f"schedule.warmup_steps is {schedule.warmup_steps}, and {what} has {end} steps, so the "
            "full rate would never be reached; take fewer, or a share of the run with "
            "--schedule.warmup_share=0.04"
        )
    return schedule.warmup_steps


def settle_schedule(
    progress: Progress,
    config: Config,
    batches: Epochs,
    resumed: Path | None,
    say: Callable[[str], None],
    new: bool = False,
) -> Callable[[int], float]:
    """Keep in `progress` where the schedule and its warm-up end, and return the rate by step.

    `resumed` is the checkpoint that a run goes on from. One of an older version does not say where
    they end: it is where its own settings put them. A `new` schedule is that of a run which had it
    from the start, and said.
    """
    schedule, steps = config.schedule, run_length(config.training, batches)
    warmup, end = progress.warmup_steps, progress.schedule_steps
    if resumed is None or new:
        warmup, end = find_warmup_steps(schedule, steps), schedule.total_steps or steps
    elif warmup is None or end is None:
        before = read_config(resumed / CONFIG_FILE)
        warmup = before.schedule.warmup_steps or 0
        end = before.schedule.total_steps or run_length(before.training, batches)
    now = partial(learning_rate, total_steps=end, warmup_steps=warmup, schedule=schedule)
    if new:
        say(
            f"the schedule is a new one: the learning rate of step {progress.step + 1} is "
            f"{now(progress.step):.3g}"
        )
    wanted = schedule.total_steps or steps
    if wanted != end and schedule.kind != "constant":
        longer = partial(now, total_steps=wanted)
        if schedule.extend and wanted > end:
            say(
                f"the schedule is stretched from {end} to {wanted} steps: the learning rate of "
                f"step {progress.step + 1} is {longer(progress.step):.3g}, and would have been "
                f"{now(progress.step):.3g}"
            )
            now, end = longer, wanted
        else:
            say(_format_kept(end, wanted))
    progress.warmup_steps, progress.schedule_steps = warmup, end
    return now


def _format_kept(end: int, wanted: int) -> str:
    offer = "; add --schedule.extend=true to stretch it to that" if wanted > end else ""
    return (
        f"the schedule still ends at step {end}, as when this run began, and the run now at step "
        f"{wanted}{offer}"
    )
