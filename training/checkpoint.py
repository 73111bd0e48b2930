"""The checkpoints of a run: whole or absent, each with everything needed to use or resume it.

checkpoints/NAME/step-000200/   adapter.safetensors  lora.json      (or consolidated.safetensors)
                 best/          params.json  base.json  tokenizer.model  chat_format.json
                 final/         config.json          progress.json  manifest.json
                                state.safetensors    (steps only: masters, moments, RNG;
                                                      many ranks write DeepSpeed's shards instead)
                 latest         the step to resume from: the newest, unless somebody edits it
                 lora.json      params.json   what the run trains, also where DeepSpeed's own
                                              tools look for it

Rank 0 makes, finishes and removes directories; what a backend gathers or shards, all ranks do.
"""

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.config import PARAMS_FILE, read_params
from model.lora.config import ADAPTER_FILE, LoraConfig
from storage.atomic import new_directory, new_file
from storage.full_disk import write_errors_named
from storage.json_file import read_json_object, write_json
from storage.manifest import Entry
from storage.verified import copy_verified
from training.backends import Backend
from training.finite import finite_on_cpu
from training.hashing import damage_found, flushed_hashes
from training.progress import Progress
from training.resuming import (
    CONFIG_FILE,
    check_same_base,
    check_same_data,
    check_same_format,
    check_same_settings,
    nothing_to_resume,
)
from training.saved_steps import (
    LATEST_FILE,
    first_whole,
    number_of,
    problems_of,
    saved_steps,
    set_aside,
    steps_to_try,
)
from weights.adapter import write_base_record
from weights.chat_record import params_with_format, write_chat_record
from weights.directory import WEIGHTS_FILE, write_safetensors
from weights.run_directory import PROGRESS_FILE
from weights.table import DTYPES
from weights.tokenizer_file import copy_tokenizer

KIND = "checkpoint"
BEST = "best"
WEIGHTS_ONLY = (BEST, "final")


class Checkpoints:
    """The directory of one run's checkpoints; `read_settings` reads the `config.json` of one.

    With `new_schedule` a run may be resumed with another schedule than it had.
    """

    def __init__(
        self,
        run_dir: Path,
        base_dir: Path,
        config: Mapping[str, Any],
        lora: LoraConfig | None,
        keep_last: int,
        chat_format: str,
        read_settings: Callable[[Path], Mapping[str, Any]],
        new_schedule: bool = False,
    ) -> None:
        self.run_dir = run_dir
        self.base_dir = base_dir
        self.config = config
        self.lora = lora
        self.keep_last = keep_last
        self.chat_format = chat_format
        self.read_settings = read_settings
        self.new_schedule = new_schedule

    def check_new_run(self) -> None:
        """Raise FileExistsError when a run of this name is already there.

        ValueError for a new schedule, which a run has anyway that is not resumed.
        """
        if self.new_schedule:
            raise ValueError(
                "--new-schedule changes the schedule of a run that is resumed; add --resume, or "
                "leave it out"
            )
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

    def check_shared_directory(self, backend: Backend) -> None:
        """Raise FileNotFoundError unless every rank sees the directory rank 0 writes to."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        probe = backend.on_first_rank(
            lambda: Path(tempfile.mkdtemp(prefix=".seen.", dir=self.run_dir))
        )
        seen = torch.zeros(backend.world_size, device=backend.device)
        seen[backend.rank] = probe.is_dir()
        found = backend.sum(seen).tolist()  # the sum is complete once every rank has looked
        backend.on_first_rank(probe.rmdir)
        if blind := [str(rank) for rank, sees in enumerate(found) if not sees]:
            raise FileNotFoundError(
                f"{self.run_dir} on rank {', '.join(blind)} is not the directory that rank 0 "
                "writes to; set checkpoint.output_dir to storage that all nodes share"
            )

    def steps(self) -> list[Path]:
        """Return the step checkpoints, oldest first; renamed ones are left out."""
        return saved_steps(self.run_dir)

    def step_directory(self, progress: Progress) -> Path:
        """Return where `save_step` writes."""
        return self.run_dir / f"step-{progress.step:06d}"

    def save_step(self, progress: Progress, backend: Backend) -> Path:
        """Write `step-N` with the training state, then remove the ones too old to keep."""
        path = self.step_directory(progress)
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

        `data` are the fingerprints of the splits this run trains and validates on; `warn` is called
        on every rank.
        """

        steps = backend.on_first_rank(lambda: steps_to_try(self.run_dir, warn))
        path, damaged = first_whole(steps, lambda step: damage_found(step, backend), warn)
        if path is None:
            raise nothing_to_resume(self.run_dir, self.steps(), WEIGHTS_ONLY)

        def read() -> Progress:
            check_same_settings(path, self.config, self.read_settings, self.new_schedule)
            check_same_base(path, self.base_dir)
            check_same_format(path, self.chat_format)
            progress = Progress(**read_json_object(path / PROGRESS_FILE))
            check_same_data(path, progress.data, data)
            return progress

        progress = backend.on_first_rank(read)
        backend.load(path)
        backend.on_first_rank(lambda: set_aside(damaged))
        self._check_best(progress, backend, warn)
        return progress

    def _check_best(
        self, progress: Progress, backend: Backend, warn: Callable[[str], None]
    ) -> None:
        """Set a damaged `best` aside: what is the best from here on takes its place."""
        best = self.run_dir / BEST
        if not backend.on_first_rank(best.is_dir):
            return
        if problems := problems_of(best, lambda path: damage_found(path, backend)):
            warn(
                f"{best} is damaged ({problems[0]}); it is renamed, and the best weights from here "
                "on take its place"
            )
            backend.on_first_rank(lambda: set_aside([best]))
            progress.best, progress.best_counts = None, []

    def _write(self, path: Path, progress: Progress, backend: Backend, with_state: bool) -> None:
        hashed: dict[str, Entry] = {}
        with write_errors_named(path), ExitStack() as building:
            directory = backend.on_first_rank(
                lambda: building.enter_context(new_directory(path, KIND, hashed))
            )
            self._write_weights(directory, backend)
            if with_state:
                backend.save(directory)
                backend.wait()  # for what the others write
            backend.on_first_rank(lambda: self._write_records(directory, progress))
            hashed |= flushed_hashes(directory, backend)
            backend.on_first_rank(building.close)

    def _write_weights(self, partial: Path, backend: Backend) -> None:
        """Write the trained weights, gathered one by one; only rank 0 has a file to put them in.

        Raises ValueError, and there is no such checkpoint, where a weight is not finite.
        """
        # The masters are float32; a whole model is written in the dtype it was asked for.
        dtype = DTYPES["float32" if self.lora else self.config["model"]["dtype"]]
        file = partial / (ADAPTER_FILE if self.lora else WEIGHTS_FILE)
        layout = {name: (tuple(shape), dtype) for name, shape in backend.trained.items()}
        gathered = backend.trained_state()

        def write() -> None:
            try:
                if backend.rank == 0:
                    write_safetensors(file, layout, finite_on_cpu(gathered, dtype))
            finally:
                # Also after an error of rank 0: the others are gathering, and wait for it.
                deque(gathered, maxlen=0)

        backend.on_every_rank(write)

    def _write_records(self, partial: Path, progress: Progress) -> None:
        if self.lora:
            self.lora.write(partial)
        params = params_with_format(read_params(self.base_dir), self.chat_format)
        write_json(partial / PARAMS_FILE, params)
        copy_tokenizer(self.base_dir, partial)
        write_base_record(partial, self.base_dir, self.config["model"]["quantization"])
        write_chat_record(partial, self.chat_format)
        write_json(partial / CONFIG_FILE, self.config)
        write_json(partial / PROGRESS_FILE, asdict(progress))

    def _tidy(self, newest: Path) -> None:
        """Name the newest step, and remove the ones before it that are too many to keep."""
        with new_file(self.run_dir / LATEST_FILE) as file:
            file.write_text(newest.name + "\n", encoding="utf-8")
        copy_verified(newest / PARAMS_FILE, self.run_dir / PARAMS_FILE)
        write_chat_record(self.run_dir, self.chat_format)
        if self.lora:
            self.lora.write(self.run_dir)
        older = [path for path in self.steps() if number_of(path) <= number_of(newest)]
        for path in older[: -self.keep_last]:
            path.rename(path.with_name(f".{path.name}.removed"))
        # Includes those whose removal a killed process began.
        for path in self.run_dir.glob(".step-*.removed"):
            shutil.rmtree(path)
