"""What must be the same for a run to go on: its settings, base, chat format and data."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from weights.adapter import base_sha256
from weights.chat_record import read_chat_record
from weights.directory import weights_sha256

CONFIG_FILE = "config.json"
TOTAL_STEPS = ("schedule", "total_steps")
FIXED_SETTINGS = (
    ("seed",),
    ("model", "checkpoint_dir"),
    ("model", "dtype"),
    ("model", "quantization"),
    ("model", "adapter_dir"),
    ("lora",),
    ("training", "batch_size"),
    ("training", "kernels"),
    ("optimizer",),
    ("schedule", "kind"),
    ("schedule", "learning_rate"),
    ("schedule", "min_learning_rate"),
    ("schedule", "warmup_steps"),
    ("schedule", "warmup_share"),
    TOTAL_STEPS,
    ("validation", "best_metric"),
    ("preference",),
    # Where the prompts are is free to change: what they are is kept with the draws.
    *(
        ("reward", name)
        for name in (
            *("parts", "function", "group_size", "turns", "max_new_tokens", "episode_tokens"),
            *("temperature", "updates", "clip", "clip_above", "kl", "scale"),
        )
    ),
)


def nothing_to_resume(
    run_dir: Path, steps: Sequence[Path], others: Sequence[str]
) -> FileNotFoundError:
    """Return what to say where no checkpoint is whole, and what would be in a new run's way.

    That are damaged `steps`, and the directories of `others` that are there.
    """
    left = [path.name for path in steps] + [name for name in others if (run_dir / name).exists()]
    away = f"remove {', '.join(left)} there, or choose another --name, and " if left else ""
    return FileNotFoundError(
        f"{run_dir} holds no whole checkpoint to resume; {away}start without --resume"
    )


def check_same_settings(
    path: Path,
    config: Mapping[str, Any],
    read: Callable[[Path], Mapping[str, Any]],
    new_schedule: bool = False,
) -> None:
    """Raise ValueError where a checkpoint was trained with other mathematics than `config` says.

    `read` fills in what the settings of an older run do not have yet. With `new_schedule` those of
    the schedule may differ.
    """
    saved = read(path / CONFIG_FILE)
    for keys in FIXED_SETTINGS:
        if keys == TOTAL_STEPS and _setting(config, ("schedule", "extend")):
            continue
        if keys[0] == "schedule" and new_schedule:
            continue
        # As text, since of a LoRA's patterns the first that matches decides: order counts.
        before, now = (json.dumps(_setting(settings, keys)) for settings in (saved, config))
        if before != now:
            other = "add --new-schedule" if keys[0] == "schedule" else "use another name"
            raise ValueError(
                f"{path} was trained with {'.'.join(keys)} = {before}, this run "
                f"has {now}; resume with the same settings or {other}"
            )


def check_same_base(path: Path, base: Path) -> None:
    """Raise ValueError where other weights than the run began with lie under the base's path."""
    before, now = base_sha256(path), weights_sha256(base)
    if before and now and before != now:
        raise ValueError(
            f"{path} was trained on weights with sha256 {before[:12]}, and those in "
            f"{base} have {now[:12]}; put the former back, or use another --name"
        )


def check_same_format(path: Path, chat_format: str) -> None:
    """Raise ValueError where a checkpoint was trained in another chat format than the dataset's."""
    record = read_chat_record(path)
    if record and record.name not in (None, chat_format):
        raise ValueError(
            f"{path} was trained in the chat format {record.name}, and the dataset is in "
            f"{chat_format}; resume with the same dataset, or use another --name"
        )


def check_same_data(path: Path, before: list[str], now: list[str]) -> None:
    """Raise ValueError where a checkpoint was trained on splits with other fingerprints."""
    if before != now:
        raise ValueError(
            f"{path} was trained on a dataset with the fingerprints {_short(before)}, the one "
            f"given has {_short(now)}; name the same dataset with --data.dataset_dir, or use "
            "another --name"
        )


def _short(fingerprints: list[str]) -> str:
    return " and ".join(fingerprint[:12] for fingerprint in fingerprints)


def _setting(config: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
