"""How far a run is: what a checkpoint remembers of it beside weights and settings."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """How far a run is: steps taken, the best validation figure so far, and on which data.

    `data` are the fingerprints of both splits: a directory may be rebuilt under the same name.
    `sample` is that of the prompts that are replied to, and `prompts` how many of them the time
    allows; `best_counts` is what each added to the best figure, if it is one of replies: hits, and
    of how many, for each side of it. `without_improvement` counts the validations since. `threads`
    compute on the processor, where the run chose their number itself. The schedule ends at step
    `schedule_steps` and its warm-up at `warmup_steps`, as settled at the run's start; both are None
    in older checkpoints. `started_from` is the adapter that is trained further: its `directory` and
    the `sha256` of its file. `gate_text` is the `sha256` of the plain text that validation.gate
    measures, and its loss at the start, `bits_per_byte`. `left_out` counts the last steps in a row
    that were not finite. `to_validate`: SIGTERM came before the validation of this step was
    complete. `made_with` says from which step on which code, packages and devices made it;
    training/made_with.py notes it.
    """

    step: int = 0
    best: float | None = None
    data: list[str] = field(default_factory=list)
    sample: str | None = None
    prompts: int | None = None
    best_counts: list[list[int]] = field(default_factory=list)
    threads: int | None = None
    schedule_steps: int | None = None
    warmup_steps: int | None = None
    without_improvement: int = 0
    started_from: dict[str, str] | None = None
    gate_text: dict[str, Any] | None = None
    left_out: int = 0
    to_validate: bool = False
    made_with: list[dict[str, Any]] = field(default_factory=list)
