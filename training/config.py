"""The settings of a run: defaults here, then a JSON file, then `--section.key=value` flags.

Unknown keys are refused with the nearest known name; the resolved settings are saved with every
checkpoint as `config.json`, which is itself a valid configuration file. `deepspeed_config` is
DeepSpeed's own JSON, for ds_finetune.py alone; training/zero/settings.py reads it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass

from console.flags import UsageError, flag_of, nearest
from model.lora.config import LoraConfig
from storage.json_file import read_json_object
from training.preference_section import PreferenceSection, check_fits
from training.reward_section import RewardSection, check_trainable
from training.sections import (
    CheckpointSection,
    LoggingSection,
    ScheduleSection,
    Section,
    TrainingSection,
    ValidationSection,
)
from training.setting_names import check_setting, overlap, setting_names

# Two ways to say one thing: a flag for the one replaces the other in the file.
ALTERNATIVES = {
    "schedule.warmup_steps": "schedule.warmup_share",
    "schedule.warmup_share": "schedule.warmup_steps",
}


class ModelSection(Section):
    """Which weights to start from, and where and how they compute.

    checkpoint_dir: The directory of a native model.
    adapter_dir: An adapter on them to train further, a checkpoint or an imported one; `lora` must
        say what its lora.json says. Null starts a new one.
    quantization: How the blocks' frozen linear layers are stored: in four bits (model/nf4.py) or
        eight (model/fp8.py, which multiplies in eight too); null is in `dtype`.
    dtype: What products are computed in; float16 is for devices without bfloat16, and one alone.
    device: Where it trains; auto is the GPU where there is one.
    """

    checkpoint_dir: str
    adapter_dir: str | None = None
    quantization: Literal["nf4", "nf4_double", "fp8"] | None = None
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class DataSection(Section):
    """The directory that scripts/build_dataset.py wrote.

    dataset_dir: That directory.
    chat_format_anyway: Whether to train in its chat format a base that was trained in another.
    """

    dataset_dir: str
    chat_format_anyway: bool = False


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class LoraSection(LoraConfig):
    """The adapter, as model/lora/config.py defines it; null trains all weights instead."""

    @field_validator("targets", mode="before")
    @classmethod
    def _one_target(cls, value: Any) -> Any:
        """A flag with a single name, --lora.targets=wq, arrives as text."""
        names = [value] if isinstance(value, str) else value
        return tuple(names) if isinstance(names, list) else names

    @field_validator("token_rows", mode="before")
    @classmethod
    def _one_row(cls, value: Any) -> Any:
        """A flag with a single id, --lora.token_rows=128010, arrives as a number."""
        rows = [value] if isinstance(value, int) else value
        return tuple(rows) if isinstance(rows, list) else rows

    @field_validator("ranks", "alphas", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return tuple(value.items()) if isinstance(value, dict) else value

    @model_serializer
    def _as_in_lora_json(self) -> dict[str, Any]:
        return self.record()


class OptimizerSection(Section):
    """The optimizer's constants; the learning rate is the schedule's.

    kind: adamw8bit keeps AdamW's moments in 8 bits, as training/adamw.py says.
    betas: How slowly AdamW's two moments forget: of gradients, and of their squares.
    eps: What AdamW adds to the root of the second moment before it divides by it.
    weight_decay: Which share of a weight, times the learning rate, is taken away each step.
    clip_norm: Gradients are made no longer than this, all together; null leaves them as they are.
    in_backward: Each weight is updated as soon as its gradient is there, which is freed at once; of
        full fine-tuning on one device, without clipping and with one micro-batch a step.
    stochastic_rounding: Weights are bfloat16 without a float32 copy, and what is added to them is
        rounded up or down by chance; of full fine-tuning on one device.
    """

    kind: Literal["adamw", "adamw8bit", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(1.0, gt=0)
    in_backward: bool = False
    stochastic_rounding: bool = False

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        if self.in_backward and self.clip_norm is not None:
            raise ValueError(
                f"in_backward is true and clip_norm {self.clip_norm}: gradients are gone before "
                "their norm is known; add --optimizer.clip_norm=null, or "
                "--optimizer.in_backward=false"
            )
        if self.stochastic_rounding and self.kind == "sgd":
            raise ValueError(
                "stochastic_rounding is true and kind 'sgd', wanted adamw or adamw8bit; add "
                "--optimizer.kind=adamw, or --optimizer.stochastic_rounding=false"
            )
        return self


class Config(Section):
    """All settings of a run.

    name: Its folder under the checkpoint and log directories.
    deepspeed_config: DeepSpeed's own settings, for ds_finetune.py; docs/deepspeed.md has those
        that count.
    seed: What draws the order of the data, dropout, new adapters and samples.
    """

    name: str = Field("llama3_fc", pattern=r"^\w[\w.-]*$")
    seed: int = Field(3, ge=0)
    model: ModelSection
    data: DataSection
    lora: LoraSection | None = Field(default_factory=LoraSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    optimizer: OptimizerSection = Field(default_factory=OptimizerSection)
    schedule: ScheduleSection = Field(default_factory=ScheduleSection)
    validation: ValidationSection = Field(default_factory=ValidationSection)
    reward: RewardSection | None = None
    preference: PreferenceSection | None = Field(None, validate_default=True)
    checkpoint: CheckpointSection = Field(default_factory=CheckpointSection)
    logging: LoggingSection = Field(default_factory=LoggingSection)
    deepspeed_config: dict[str, Any] | None = None

    @field_validator("optimizer")
    @classmethod
    def _optimizer_fits(cls, value: OptimizerSection, info: ValidationInfo) -> OptimizerSection:
        full, model = info.data.get("lora") is None, info.data.get("model")
        for name in ("in_backward", "stochastic_rounding"):
            if getattr(value, name) and not full:
                raise ValueError(
                    f"{name} is true, and an adapter is trained, whose gradients and masters are "
                    f"small; add --optimizer.{name}=false, or --lora=null to train all weights"
                )
        if value.in_backward and model and model.dtype == "float16":
            raise ValueError(
                "in_backward is true and model.dtype 'float16', whose gradients must all be finite "
                "before a step; add --model.dtype=float32, or --optimizer.in_backward=false"
            )
        training = info.data.get("training")
        if value.in_backward and training and training.on_nonfinite == "skip":
            raise ValueError(
                "in_backward is true and training.on_nonfinite 'skip': weights are updated before "
                "all gradients are known, so no step can be left out; add "
                "--training.on_nonfinite=stop, or --optimizer.in_backward=false"
            )
        if value.stochastic_rounding and model and model.dtype != "bfloat16":
            raise ValueError(
                f"stochastic_rounding is true and model.dtype {model.dtype!r}: weights are rounded "
                "to bfloat16; add --model.dtype=bfloat16, or --optimizer.stochastic_rounding=false"
            )
        return value

    @field_validator("reward")
    @classmethod
    def _reward_fits(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            check_trainable(value, info.data)
        return value

    @field_validator("preference")
    @classmethod
    def _preference_fits(cls, value: Any, info: ValidationInfo) -> Any:
        check_fits(value, info.data)
        return value

    @field_validator("name", mode="before")
    @classmethod
    def _name_as_text(cls, value: Any) -> Any:
        """A flag such as --name=2026 arrives as a number."""
        return str(value) if type(value) is int else value

    @field_validator("lora")
    @classmethod
    def _frozen_where_quantized(cls, lora: LoraSection | None, info: ValidationInfo) -> Any:
        quantization = info.data["model"].quantization if "model" in info.data else None
        if lora is None and quantization is not None:
            raise ValueError(
                f"is null, which trains all weights, and model.quantization is {quantization!r}, "
                "whose weights stay frozen; give --lora.rank=16, or --model.quantization=null"
            )
        return lora

    @property
    def run_dir(self) -> Path:
        """The folder of this run's checkpoints."""
        return Path(self.checkpoint.output_dir).expanduser() / self.name

    @property
    def log_dir(self) -> Path:
        """The folder of this run's TensorBoard events and metrics.jsonl."""
        return Path(self.logging.output_dir).expanduser() / self.name


def read_config(file: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file and lay `section.key` overrides over it.

    Raises FileNotFoundError or ValueError with the key, what was found and what is known; where a
    flag is what is wrong, UsageError with that flag.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; run in the project's folder, or name a file with --config-file "
            "(configs/finetune.json is the one to start from)"
        )
    values = read_json_object(path)
    overrides = overrides or {}
    for key, value in overrides.items():
        check_setting(key, Config)
        apply_override(values, key, value)
        if key in ALTERNATIVES and ALTERNATIVES[key] not in overrides:
            apply_override(values, ALTERNATIVES[key], None)
    try:
        # As JSON, because strict settings take lists for tuples from nothing else.
        return Config.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        flags = [key for key in overrides if overlap(key, where)]
        if flags == [where]:
            raise UsageError(f"--{_first_problem(error)}") from None
        if flags:
            named = " with ".join(map(flag_of, flags))
            raise UsageError(f"{named}: {_first_problem(error)}") from None
        raise ValueError(f"{path}: {_first_problem(error)}") from None


def apply_override(values: dict[str, Any], key: str, value: Any) -> None:
    """Set values["section"]["key"] for the flag `--section.key=value`."""
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise ValueError(f"--{key}: {section!r} is a value, not a section")
        values = inner
    # As a file would hold it: `null` is none, `true` is no text.
    words = {"null": None, "true": True, "false": False}
    values[last] = words.get(value, value) if isinstance(value, str) else value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        close = nearest(where, setting_names(Config))
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        return f"unknown key {where!r}{hint}{more}"
    if problem["type"] == "missing":
        return f"missing key {where!r}{more}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}{more}"
    return f"{where} is {problem['input']!r}: {problem['msg']}{more}"
