"""The checkpoints of a run: whole or absent, each with everything needed to use or resume it.

checkpoints/NAME/step-000200/   adapter.safetensors  lora.json      (or consolidated.safetensors)
                 best/          params.json  base.json  tokenizer.model
                 final/         config.json          progress.json  manifest.json
                                state.safetensors    (steps only: masters, moments, RNG;
                                                      many ranks write DeepSpeed's shards instead)
                 latest         the step to resume from: the newest, unless somebody edits it
                 lora.json      params.json   what the run trains, also where DeepSpeed's own
                                              tools look for it

Rank 0 makes, finishes and removes directories; what a backend gathers or shards, all ranks do.
"""

import json
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from model.adapter import base_sha256, write_base_record
from model.config import PARAMS_FILE
from model.directory import TOKENIZER_FILE, WEIGHTS_FILE, weights_sha256, write_safetensors
from model.lora import ADAPTER_FILE, LoraConfig
from model.run_directory import PROGRESS_FILE
from model.weights import DTYPES
from storage.atomic import new_directory, new_file
from storage.manifest import damaged_files
from training.backends import Backend

KIND = "checkpoint"
CONFIG_FILE = "config.json"
LATEST_FILE = "latest"
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
_STEP = re.compile(r"step-\d+")


@dataclass
class Progress:
    """How far a run is: steps taken, the best validation figure so far, and on which data.

    `data` are the fingerprints of both splits: a directory may be rebuilt under the same name.
    `sample` is that of the prompts that are replied to, and `prompts` how many of them the time
    allows; `best_counts` is what each added to the best figure, if it is one of replies: hits, and
    of how many, for each side of it.
    """

    step: int = 0
    best: float | None = None
    data: list[str] = field(default_factory=list)
    sample: str | None = None
    prompts: int | None = None
    best_counts: list[list[int]] = field(default_factory=list)


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

    def refuse_unshared(self, backend: Backend) -> None:
        """Raise FileNotFoundError on a rank that does not see the directory rank 0 writes to."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        probe = backend.on_first_rank(
            lambda: Path(tempfile.mkdtemp(prefix=".seen.", dir=self.run_dir))
        )
        seen = probe.is_dir()
        backend.sum(torch.zeros(1, device=backend.device))  # all have looked
        backend.on_first_rank(probe.rmdir)
        if not seen:
            raise FileNotFoundError(
                f"{self.run_dir} is not the directory that rank 0 writes to; set "
                "checkpoint.output_dir to storage that all nodes share"
            )

    def steps(self) -> list[Path]:
        """Return the step checkpoints, oldest first; what a user renamed is none."""
        return saved_steps(self.run_dir)

    def save_step(self, progress: Progress, backend: Backend) -> Path:
        """Write `step-N` with the training state, then remove the ones too old to keep."""
        path = self.run_dir / f"step-{progress.step:06d}"
        self._write(path, progress, backend, with_state=True)
        backend.on_first_rank(lambda: self._tidy(path))
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

        def choose() -> tuple[Path, Progress, list[Path]]:
            path, damaged = newest_whole(self.run_dir, warn)
            if path is None:
                raise FileNotFoundError(
                    f"{self.run_dir} holds no whole checkpoint to resume; start without --resume"
                )
            self._refuse_other_settings(path)
            self._refuse_other_base(path)
            progress = Progress(**json.loads((path / PROGRESS_FILE).read_text(encoding="utf-8")))
            _refuse_other_data(path, progress.data, data)
            return path, progress, damaged

        path, progress, damaged = backend.on_first_rank(choose)
        backend.load(path)
        backend.on_first_rank(lambda: _set_aside(damaged))
        return progress

    def _write(self, path: Path, progress: Progress, backend: Backend, with_state: bool) -> None:
        with ExitStack() as building:
            partial = backend.on_first_rank(
                lambda: building.enter_context(new_directory(path, KIND))
            )
            self._write_weights(partial, backend)
            if with_state:
                backend.save(partial)
            backend.on_first_rank(lambda: self._write_records(partial, progress))

    def _write_weights(self, partial: Path, backend: Backend) -> None:
        """Write the trained weights, gathered one by one; only rank 0 has a file to put them in."""
        # The masters are float32; a whole model is written in the dtype it was asked for.
        dtype = DTYPES["float32" if self.lora else self.config["model"]["dtype"]]
        file = partial / (ADAPTER_FILE if self.lora else WEIGHTS_FILE)
        gathered = backend.trained_state()
        if backend.rank == 0:
            layout = {name: (tuple(shape), dtype) for name, shape in backend.trained.items()}
            write_safetensors(file, layout, ((n, t.to("cpu", dtype)) for n, t in gathered))
        else:
            deque(gathered, maxlen=0)

    def _write_records(self, partial: Path, progress: Progress) -> None:
        if self.lora:
            self.lora.write(partial)
        for name in (PARAMS_FILE, TOKENIZER_FILE):
            shutil.copyfile(self.base_dir / name, partial / name)
        write_base_record(partial, self.base_dir)
        _write_json(partial / CONFIG_FILE, self.config)
        _write_json(partial / PROGRESS_FILE, asdict(progress))

    def _tidy(self, newest: Path) -> None:
        """Name the newest step, and remove the ones before it that are too many to keep."""
        with new_file(self.run_dir / LATEST_FILE) as file:
            file.write_text(newest.name + "\n", encoding="utf-8")
        shutil.copyfile(newest / PARAMS_FILE, self.run_dir / PARAMS_FILE)
        if self.lora:
            self.lora.write(self.run_dir)
        older = [path for path in self.steps() if _number(path) <= _number(newest)]
        for path in older[: -self.keep_last]:
            path.rename(path.with_name(f".{path.name}.removed"))
        # Also what a process that was killed here had begun to remove.
        for path in self.run_dir.glob(".step-*.removed"):
            shutil.rmtree(path)

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


def saved_steps(run_dir: Path) -> list[Path]:
    """Return the step checkpoints of a run, oldest first; what a user renamed is none."""
    found = [path for path in run_dir.glob("step-*") if _STEP.fullmatch(path.name)]
    return sorted(found, key=_number)


def newest_whole(run_dir: Path, warn: Callable[[str], None]) -> tuple[Path | None, list[Path]]:
    """Return the checkpoint `latest` names, or the first whole one before it; and the damaged.

    Steps after `latest` are those of a run that somebody went back from.
    """
    latest, steps = run_dir / LATEST_FILE, saved_steps(run_dir)
    if latest.is_file():
        named = latest.read_text(encoding="utf-8").strip()
        if not _STEP.fullmatch(named):
            raise ValueError(
                f"{latest} names {named!r}, wanted a checkpoint such as "
                f"{steps[-1].name if steps else 'step-000200'}; or remove the file to take the "
                "newest"
            )
        if not (run_dir / named).is_dir():
            warn(f"{latest} names {named}, which is missing; trying the checkpoint before it")
        steps = [path for path in steps if _number(path) <= _number(run_dir / named)]
    damaged: list[Path] = []
    for path in reversed(steps):
        problems = _problems(path)
        if not problems:
            return path, damaged
        warn(f"{path} is damaged ({problems[0]}); trying the checkpoint before it")
        damaged.append(path)
    return None, damaged


def _number(step: Path) -> int:
    return int(step.name.removeprefix("step-"))


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


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
