"""The checkpoints of a run: whole or absent, each with everything needed to use or resume it.

checkpoints/NAME/step-000200/   adapter.safetensors  lora.json      (or consolidated.safetensors)
                 best/          params.json  base.json  tokenizer.model
                 final/         config.json          progress.json  manifest.json
                                state.safetensors    (steps only: masters, moments, RNG)
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from model.adapter import base_sha256, write_base_record
from model.config import PARAMS_FILE
from model.directory import TOKENIZER_FILE, WEIGHTS_FILE, weights_sha256
from model.lora import ADAPTER_FILE, LoraConfig
from model.weights import DTYPES
from storage.atomic import new_directory
from storage.manifest import damaged_files
from training.backends import Backend

KIND = "checkpoint"
CONFIG_FILE = "config.json"
PROGRESS_FILE = "progress.json"
FIXED_SETTINGS = (
    ("seed",),
    ("model", "checkpoint_dir"),
    ("model", "dtype"),
    ("lora",),
    ("training", "batch_size"),
    ("optimizer",),
    ("schedule",),
    ("validation", "best_metric"),
)
WEIGHTS_ONLY = ("best", "final")
_STEP = re.compile(r"step-(\d+)")


@dataclass
class Progress:
    """How far a run is: steps taken, the best validation figure so far, and on which data.

    `data` are the fingerprints of both splits: a directory may be rebuilt under the same name.
    """

    step: int = 0
    best: float | None = None
    data: list[str] = field(default_factory=list)


class Checkpoints:
    """The directory of one run's checkpoints."""

    def __init__(
        self,
        run_dir: Path,
        base_dir: Path,
        config: Mapping[str, Any],
        lora: LoraConfig | None,
        keep_last: int,
    ) -> None:
        self.run_dir = run_dir
        self.base_dir = base_dir
        self.config = config
        self.lora = lora
        self.keep_last = keep_last

    def refuse_existing_run(self) -> None:
        """Raise FileExistsError when a run of this name is already there."""
        if steps := self.steps():
            raise FileExistsError(
                f"{self.run_dir} already holds a run (newest {steps[-1].name}); add --resume to "
                "continue it, choose another --name, or remove it"
            )
        for path in (self.run_dir / name for name in WEIGHTS_ONLY):
            if path.exists():
                raise FileExistsError(
                    f"{path} is left from an earlier run; choose another --name, or remove it"
                )

    def steps(self) -> list[Path]:
        """Return the step checkpoints, oldest first; what a user renamed is none."""
        found = ((_STEP.fullmatch(path.name), path) for path in self.run_dir.glob("step-*"))
        return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]

    def save_step(self, progress: Progress, backend: Backend) -> Path:
        """Write `step-N` with the training state, then remove the ones too old to keep."""
        path = self.run_dir / f"step-{progress.step:06d}"
        self._write(path, progress, backend, with_state=True)
        for old in self.steps()[: -self.keep_last]:
            shutil.rmtree(old)
        return path

    def save_weights(self, name: str, progress: Progress, backend: Backend) -> Path:
        """Write `best` or `final`: the trained weights without the training state."""
        path = self.run_dir / name
        self._write(path, progress, backend, with_state=False)
        return path

    def resume(self, backend: Backend, data: list[str], warn: Callable[[str], None]) -> Progress:
        """Load the newest whole checkpoint; damaged ones are reported and renamed.

        `data` are the fingerprints of the splits this run trains and validates on.
        """
        damaged: list[Path] = []
        for path in reversed(self.steps()):
            problems = _problems(path)
            if problems:
                warn(f"{path} is damaged ({problems[0]}); trying the checkpoint before it")
                damaged.append(path)
                continue
            self._refuse_other_settings(path)
            self._refuse_other_base(path)
            progress = Progress(**json.loads((path / PROGRESS_FILE).read_text(encoding="utf-8")))
            _refuse_other_data(path, progress.data, data)
            backend.load(path)
            if backend.rank == 0:
                _set_aside(damaged)
            return progress
        raise FileNotFoundError(
            f"{self.run_dir} holds no whole checkpoint to resume; start without --resume"
        )

    def _write(self, path: Path, progress: Progress, backend: Backend, with_state: bool) -> None:
        with new_directory(path, KIND) as partial:
            state = backend.trainable_state()
            if self.lora is None:
                # The masters are float32; a model is written in the dtype it was asked for.
                save_file(_stored(state, self.config["model"]["dtype"]), partial / WEIGHTS_FILE)
            else:
                save_file(_stored(state, "float32"), partial / ADAPTER_FILE)
                self.lora.write(partial)
            for name in (PARAMS_FILE, TOKENIZER_FILE):
                shutil.copyfile(self.base_dir / name, partial / name)
            write_base_record(partial, self.base_dir)
            _write_json(partial / CONFIG_FILE, self.config)
            _write_json(partial / PROGRESS_FILE, asdict(progress))
            if with_state:
                backend.save(partial)

    def _refuse_other_base(self, path: Path) -> None:
        """The weights under a path may be others than those the run began with."""
        before, now = base_sha256(path), weights_sha256(self.base_dir)
        if before and now and before != now:
            raise ValueError(
                f"{path} was trained on weights with sha256 {before[:12]}, and those in "
                f"{self.base_dir} have {now[:12]}; put the former back, or use another --name"
            )

    def _refuse_other_settings(self, path: Path) -> None:
        """Resuming with other mathematics would be another run under the same name."""
        saved = json.loads((path / CONFIG_FILE).read_text(encoding="utf-8"))
        for keys in FIXED_SETTINGS:
            before, now = _setting(saved, keys), _setting(self.config, keys)
            if before != now:
                raise ValueError(
                    f"{path} was trained with {'.'.join(keys)} = {json.dumps(before)}, this run "
                    f"has {json.dumps(now)}; resume with the same settings or use another name"
                )


def _refuse_other_data(path: Path, before: list[str], now: list[str]) -> None:
    if before != now:
        raise ValueError(
            f"{path} was trained on a dataset with the fingerprints {_short(before)}, the one "
            f"given has {_short(now)}; name the same dataset with --data.dataset_dir, or use "
            "another --name"
        )


def _short(fingerprints: list[str]) -> str:
    return " and ".join(each[:12] for each in fingerprints)


def _set_aside(damaged: list[Path]) -> None:
    """Rename damaged checkpoints, so that none counts as one of the last to keep."""
    for path in damaged:
        target = path.with_name(f"{path.name}.damaged")
        shutil.rmtree(target, ignore_errors=True)
        path.rename(target)


def _setting(config: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _problems(path: Path) -> list[str]:
    try:
        return damaged_files(path)
    except (ValueError, OSError) as error:
        return [str(error)]


def _stored(state: Mapping[str, Tensor], dtype: str) -> dict[str, Tensor]:
    return {name: tensor.to("cpu", DTYPES[dtype]).contiguous() for name, tensor in state.items()}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
