"""The settings that say when: the end of a run, its learning rate, validation, checkpoints."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

WARMUP_SHARE = 0.04


def _check_interval(value: Any) -> Any:
    steps = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not steps and value not in ("epoch", None):
        raise ValueError(f'is {value!r}, wanted a number of steps, "epoch", or null')
    return value


# A number of steps, the end of each epoch, or null for the end of the run alone.
Interval = Annotated[int | Literal["epoch"] | None, BeforeValidator(_check_interval)]


class Section(BaseModel):
    """Settings that refuse unknown keys and never change after reading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


class TrainingSection(Section):
    """How long, and how much at once.

    batch_size: Conversations a step, over all devices; pairs, where it learns from preferences.
    micro_batch_tokens: How many tokens a device computes at once; no conversation may be longer,
        and the result does not depend on it.
    epochs: The run ends after so many passes over the data, or at max_steps or max_tokens where
        that is reached first; one of the three must be given.
    max_steps: The run ends after so many steps at the latest.
    max_tokens: The run ends before the step that would go beyond so many tokens; all tokens of the
        conversations trained on count, prompts too.
    activation_checkpointing: What the backward pass computes again, training/recomputation.py;
        auto takes the first of none, selective and full that fits the device.
    on_nonfinite: What happens where the loss or the gradients of a step are not finite: stop ends
        the run before anything of it is saved, skip leaves the step out and names its rows.
    kernels: Whether rotary positions, norms of residual sums and SwiGLU are PyTorch's operators or
        Triton's kernels, which are for CUDA and off until a GPU has shown their gain.
    """

    epochs: int | None = Field(2, ge=1)
    max_steps: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    batch_size: int = Field(32, ge=1)
    micro_batch_tokens: int = Field(8192, ge=2)
    activation_checkpointing: Literal["auto", "none", "selective", "full"] = "auto"
    on_nonfinite: Literal["stop", "skip"] = "stop"
    kernels: Literal["plain", "triton"] = "plain"

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.epochs is self.max_steps is self.max_tokens is None:
            raise ValueError(
                "epochs, max_steps and max_tokens are null, so the run would never end; give one"
            )
        return self


class ScheduleSection(Section):
    """The learning rate by step: linear warm-up, then down to the minimum at `total_steps`.

    kind: How the rate goes down after the warm-up.
    learning_rate: The highest rate, which the warm-up ends with.
    min_learning_rate: The rate at the end.
    warmup_steps: For how many steps the rate rises; null where warmup_share says it.
    warmup_share: For which share of the run's length the rate rises; 0.04 by default, and null
        where warmup_steps says it.
    total_steps: Null is the length that the run has at its start, also when it is resumed longer.
    extend: Stretches the schedule of a run that is resumed to its new end.
    """

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    learning_rate: float = Field(3e-4, gt=0)
    min_learning_rate: float = Field(0.0, ge=0)
    warmup_steps: int | None = Field(None, ge=0)
    warmup_share: float | None = Field(None, ge=0, lt=1)
    total_steps: int | None = Field(None, ge=1)
    extend: bool = False

    @model_validator(mode="before")
    @classmethod
    def _warms_up_by_default(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        given = [values.get(name) for name in ("warmup_steps", "warmup_share")]
        return {**values, "warmup_share": WARMUP_SHARE} if given == [None, None] else values

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if None not in (self.warmup_steps, self.warmup_share):
            raise ValueError(
                f"warmup_steps is {self.warmup_steps} and warmup_share {self.warmup_share}; give "
                "one of them, and null for the other"
            )
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate must not be above learning_rate")
        return self


class GeneratedSection(Section):
    """Replies to a fixed sample of held-out prompts, scored as scripts/evaluate.py scores them.

    prompts: How many.
    max_new_tokens: The longest reply.
    every: Null at each validation; otherwise a multiple of validation.every. Always at the end.
    seconds: How long it may take; prompts that are not reached are left out of all that follow.
    conversations_file: Where to take the prompts from; null takes the validation split. What the
        run trains on is never taken.
    batch_size: How many replies each device writes at once.
    """

    prompts: int = Field(100, ge=1)
    every: int | None = Field(None, ge=1)
    seconds: float = Field(120.0, gt=0)
    conversations_file: str | None = None
    max_new_tokens: int = Field(256, ge=1)
    batch_size: int = Field(16, ge=1)


class GateSection(Section):
    """What weights must still do to become best/; other weights are reported and kept from it.

    irrelevance: The least share of replies that are text, where no call is wanted; null is no
        limit. It needs `generated`, and a validation with replies.
    text_file: A plain text in UTF-8, measured at the start of the run and at each validation; null
        measures none.
    text_rise: How many bits a byte its loss may be above that at the start.
    text_bytes: How much of it is read, from its beginning.
    """

    irrelevance: float | None = Field(None, ge=0, le=1)
    text_file: str | None = None
    text_rise: float = Field(0.1, ge=0)
    text_bytes: int = Field(65_536, ge=1)

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.irrelevance is None and self.text_file is None:
            raise ValueError(
                "limits nothing: give --validation.gate.irrelevance=0.8 or "
                "--validation.gate.text_file=FILE, or null for the whole gate"
            )
        return self


MeasuredMetric = Literal["loss", "perplexity", "token_accuracy"]
# Of pairs; perplexity and token_accuracy are not.
PreferenceMetric = Literal["margin", "accuracy"]
# The scorer's figures, evaluation/figures.py: a higher one is better.
GeneratedMetric = Literal[
    "balanced",
    "correct",
    "call_or_not",
    "valid_json",
    "valid_schema",
    "name",
    "argument_precision",
    "argument_recall",
    "exact_match",
    "parallel_match",
    "irrelevance",
    "json_equal",
]


class ValidationSection(Section):
    """What is measured on the validation split, and which weights are the best.

    every: How often, in steps; "epoch" is the end of each epoch, null the end of the run alone.
    max_conversations: How many conversations or pairs are taken; null takes all.
    best_metric: The figure that best/ follows; a generated one needs `generated`. By default
        balanced where replies are generated, and loss where none are.
    generated: Null generates nothing.
    gate: What weights must keep to become best/; null lets all.
    patience: The run ends after so many validations in a row whose best_metric is not better than
        the best so far; null never ends it early.
    """

    every: Interval = 200
    max_conversations: int | None = Field(200, ge=1)
    best_metric: Literal[MeasuredMetric, PreferenceMetric, GeneratedMetric] = "loss"
    generated: GeneratedSection | None = None
    gate: GateSection | None = None
    patience: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _follows_replies_by_default(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("generated") is None:
            return values
        return {"best_metric": "balanced", **values}

    @model_validator(mode="after")
    def _can_be_measured(self) -> Self:
        if self.patience is not None and self.every is None:
            raise ValueError(
                f"patience is {self.patience}, and every is null: there is one validation, at the "
                "end; set every, or patience to null"
            )
        if self.generated is None:
            if self.gate is not None and self.gate.irrelevance is not None:
                raise ValueError(
                    "gate.irrelevance is measured on generated replies, and generated is null; add "
                    "--validation.generated.prompts=100, or --validation.gate.irrelevance=null"
                )
            if self.best_metric in get_args(GeneratedMetric):
                raise ValueError(
                    f"best_metric is {self.best_metric!r}, which is measured on generated "
                    "replies, and generated is null; add --validation.generated.prompts=100, or "
                    f"--validation.best_metric with one of {', '.join(get_args(MeasuredMetric))}"
                )
        elif self.generated.every is not None and (
            not isinstance(self.every, int) or self.generated.every % self.every
        ):
            raise ValueError(
                f"generated.every is {self.generated.every}, wanted a multiple of every, which is "
                f"{self.every}: replies are generated beside other validation"
            )
        return self


class CheckpointSection(Section):
    """Where and how often to save.

    output_dir: The checkpoints lie in a folder of it, the run's name.
    every: In steps; "epoch" is the end of each epoch, null the end of the run alone. SIGTERM always
        saves, too.
    keep_last: How many of the last ones stay, beside `best` and `final`.
    """

    output_dir: str = "./checkpoints"
    every: Interval = 200
    keep_last: int = Field(3, ge=1)


class LoggingSection(Section):
    """Where TensorBoard events and metrics.jsonl go, and how often a line is printed.

    output_dir: The events and metrics lie in a folder of it, the run's name.
    every: A line is printed each so many steps.
    trackers: Who else gets the same numbers: wandb, which docs/training.md is about.
    """

    output_dir: str = "./logs"
    every: int = Field(10, ge=1)
    trackers: tuple[Literal["wandb"], ...] = ()

    @field_validator("trackers", mode="before")
    @classmethod
    def _one_tracker(cls, value: Any) -> Any:
        """A flag with a single name, --logging.trackers=wandb, arrives as text."""
        names = [value] if isinstance(value, str) else value
        return tuple(names) if isinstance(names, list) else names

    @field_validator("trackers")
    @classmethod
    def _named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))
