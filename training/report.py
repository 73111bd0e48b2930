"""The report of a run: a progress bar, printed lines, TensorBoard, metrics.jsonl and trackers.

All of them carry the same numbers. `metrics.jsonl` has one object a line: `{"kind": "train"|
"validation", "step", ...}`, and `rows` where a step was left out or had a spike; a figure that is
not finite is null. Resuming cuts off the lines after the step it resumes from.
"""

import json
import math
import resource
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.output import Console
from data.batches import Batch
from storage.full_disk import write_errors_named
from training.backends import Backend
from training.best import Outcome
from training.flops import matmul_rate, step_flops
from training.losses import Losses, format_rows
from training.metrics_file import METRICS_FILE, cut_metrics, logged_losses
from training.trackers import open_trackers

if TYPE_CHECKING:
    from training.config import Config, ValidationSection

# Measured once in a process, whatever runs follow one another in it.
peak_rate = cache(matmul_rate)
# Said with the first spike of a run.
SPIKES = "a single one is common; read its rows where the loss stays high"


@dataclass(frozen=True)
class StepMetrics:
    """The figures of one optimizer step over all ranks; `seconds` and `batches` are this rank's.

    `gradient_norm` is None where the step was left out, and `left_out` says why. `figures` are the
    objective's own, and those of what made the step; `texts` what it was made of, as Markdown by
    name. Of its seconds, `shares_of` says which went to what but training. `rows` reads the ids of
    what it was trained on. `doubt` is why the figures say that something is wrong, empty where they
    do not.
    """

    loss: float
    gradient_norm: float | None
    learning_rate: float
    trained_tokens: int
    tokens: int
    seconds: float
    batches: list[Batch]
    figures: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    shares_of: Mapping[str, float] = field(default_factory=dict)
    left_out: str = ""
    rows: Callable[[], Sequence[str]] = list
    doubt: str = ""

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of the step's time by what for; empty where all of it was training."""
        others = {f"{name}_share": s / self.seconds for name, s in self.shares_of.items()}
        return {**others, "training_share": 1 - sum(others.values())} if others else {}


class NullReport:
    """The report of every rank but the first, which reports the figures of all: nothing."""

    def __enter__(self) -> "NullReport":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def step(self, number: int, step: StepMetrics) -> None:
        """Do nothing."""

    def replying(self) -> None:
        """Do nothing."""

    def validation(
        self, number: int, figures: Mapping[str, float], outcome: Outcome | None
    ) -> None:
        """Do nothing."""

    def stopped_early(self, number: int, settings: "ValidationSection", validations: int) -> None:
        """Do nothing."""

    def kept_from_best(self, number: int, problems: Sequence[str]) -> None:
        """Do nothing."""

    def nothing_best(self, number: int) -> None:
        """Do nothing."""


class Report:
    """Reports a run of `total_steps`; use as a context manager."""

    def __init__(
        self, config: "Config", backend: Backend, total_steps: int, start_step: int
    ) -> None:
        # Not at the top: a training step is also measured where TensorBoard is not installed.
        from torch.utils.tensorboard import SummaryWriter

        self.console = Console()
        self.log_dir = log_dir = config.log_dir
        self.total_steps = total_steps
        self.print_every = config.logging.every
        self.model, self.device = backend.model, backend.device
        self.doubted, self.spiked = False, False
        self.peak = peak_rate(self.device, getattr(torch, config.model.dtype))
        log_dir.mkdir(parents=True, exist_ok=True)
        cut_metrics(log_dir / METRICS_FILE, start_step)
        self.losses = Losses(logged_losses(log_dir / METRICS_FILE))
        # What rewards call their loss is no measure of how well a model does.
        self.judges_losses = config.reward is None
        self.metrics = (log_dir / METRICS_FILE).open("a", encoding="utf-8")
        self.writer = SummaryWriter(str(log_dir), purge_step=start_step + 1)
        self.trackers = open_trackers(config, start_step)
        for tracker in self.trackers:
            self.console.print(f"wandb: {tracker.place}", soft_wrap=True)
        self.progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task(
            "training", total=total_steps, completed=start_step, figures=""
        )

    def __enter__(self) -> "Report":
        self.progress.start()
        threading.excepthook = _print_unless_of_system
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()
        with write_errors_named(self.log_dir):
            self.metrics.close()
            self.writer.close()
        threading.excepthook = threading.__excepthook__
        for tracker in self.trackers:
            tracker.close(failed=exception[0] is not None)
        if self.judges_losses and exception[0] is None and (found := self.losses.format_outcome()):
            warn(f"{found}. best/ holds the best weights; try another schedule.learning_rate")

    def step(self, number: int, step: StepMetrics) -> None:
        """Report step `number`, counted from 1."""
        flops = step_flops(self.model, step.batches)
        figures = {
            "loss": step.loss,
            **step.figures,
            **step.shares,
            **({} if step.gradient_norm is None else {"gradient_norm": step.gradient_norm}),
            "learning_rate": step.learning_rate,
            "tokens": step.tokens,
            "trained_tokens": step.trained_tokens,
            "tokens_per_second": step.tokens / step.seconds,
            "share_of_matmul_peak": flops / step.seconds / self.peak,
            "memory_gib": _memory_gib(self.device),
        }
        spike = self.losses.add(step.loss) if math.isfinite(step.loss) else ""
        trouble = (spike and self.judges_losses) or (step.left_out and step.trained_tokens)
        rows = step.rows() if trouble else []
        self._write("train", number, figures, rows)
        line = (
            f"loss {step.loss:.4f}  {figures['tokens_per_second']:,.0f} tokens/s  "
            f"{figures['share_of_matmul_peak']:.0%} of peak  {figures['memory_gib']:.2f} GiB"
        )
        if "reward" in figures:
            shares = (f"{name.replace('_share', '')} {s:.0%}" for name, s in step.shares.items())
            line = "  ".join([f"reward {figures['reward']:.4f}", line, *shares])
        self.progress.update(self.task, completed=number, figures=line)
        if step.left_out:
            named = f"; its rows are {format_rows(rows)}" if rows else ""
            self._print_step(number, f"was left out: {step.left_out}{named}")
        elif rows:
            text = f"has a spike, loss {step.loss:.4f}: {spike}; its rows are {format_rows(rows)}"
            self._print_step(number, text if self.spiked else f"{text} ({SPIKES})")
            self.spiked = True
        if step.doubt and not self.doubted:
            self.doubted = True  # said once: what is wrong in one step is in the others, too
            warn(f"step {number}: {step.doubt}")
        if number % self.print_every == 0 or number == self.total_steps:
            self._print_step(number, f" {line}")
            for name, markdown in step.texts.items():
                self._write_text(f"rollouts/{name}", markdown, number)

    def replying(self) -> None:
        """Show beside the progress bar why no step is taken for a while."""
        self.progress.update(self.task, figures="replying to held-out prompts", refresh=True)

    def validation(
        self, number: int, figures: Mapping[str, float], outcome: Outcome | None
    ) -> None:
        """Report validation figures after step `number`, those of `outcome` among them."""
        self._write("validation", number, figures)
        after = f" after step {number}: "
        of_replies = outcome.figures if outcome else {}
        text = "  ".join(
            f"{name.replace('_', ' ')} {value:.4f}"
            for name, value in figures.items()
            if name not in of_replies
        )
        self._print_titled("validation", f"{after}{text}")
        if outcome:
            self._print_titled("replies", f"{after}{outcome.line}")
            for name, markdown in outcome.texts.items():
                self._write_text(f"replies/{name}", markdown, number)

    def stopped_early(self, number: int, settings: "ValidationSection", validations: int) -> None:
        """Say why a run ends after step `number`, before its last."""
        self.console.print(
            f"stopped after step {number} of {self.total_steps}: {settings.best_metric} has not "
            f"improved in {validations} validations, and validation.patience is "
            f"{settings.patience}; best/ holds the best weights. A higher patience with --resume "
            "goes on",
            soft_wrap=True,
        )

    def kept_from_best(self, number: int, problems: Sequence[str]) -> None:
        """Say why the weights after step `number` cannot become best/; nothing without problems."""
        for problem in problems:
            self._print_titled("gate", f" after step {number}: not best/, {problem}")

    def nothing_best(self, number: int) -> None:
        """Say that no weights up to step `number` became best/."""
        self.console.print(
            f"no weights up to step {number} of {self.total_steps} stayed within validation.gate, "
            "so there is no best/; final/ holds the last ones. Train for fewer steps, at a lower "
            "schedule.learning_rate or on data with more text, or widen the gate",
            soft_wrap=True,
        )

    def _print_step(self, number: int, text: str) -> None:
        self.console.print(f"step {number}/{self.total_steps} {text}", soft_wrap=True)

    def _print_titled(self, title: str, rest: str) -> None:
        self.console.print(Text.assemble((title, "bold"), rest), soft_wrap=True)

    def _write(
        self, kind: str, number: int, figures: Mapping[str, float], rows: Sequence[str] = ()
    ) -> None:
        """Write figures to all logs; JSON has no word for one that is not finite but null."""
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        record: dict[str, Any] = {"kind": kind, "step": number, **dict.fromkeys(figures), **finite}
        if rows:
            record["rows"] = list(rows)
        with write_errors_named(self.log_dir):
            self.metrics.write(json.dumps(record, allow_nan=False) + "\n")
            self.metrics.flush()
            for name, value in finite.items():
                self.writer.add_scalar(f"{kind}/{name}", value, number)
        for tracker in self.trackers:
            tracker.write(kind, number, finite)

    def _write_text(self, name: str, markdown: str, number: int) -> None:
        with write_errors_named(self.log_dir):
            self.writer.add_text(name, markdown, number)


def warn(message: str) -> None:
    """Print a line the user should see."""
    Console().print(f"warning: {message}", soft_wrap=True)


def no_warning(message: str) -> None:
    """Do nothing: the first rank prints it."""


def _print_unless_of_system(arguments: threading.ExceptHookArgs) -> None:
    """Print an error of a thread, but for those of the system.

    TensorBoard writes in a thread of its own, and raises its OSError at the next call, too.
    """
    if arguments.exc_type is None or not issubclass(arguments.exc_type, OSError):
        threading.__excepthook__(arguments)


def _memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    units = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units
