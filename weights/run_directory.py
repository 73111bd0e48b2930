"""The models that a run's directory holds: adapters or whole weights, with the step of each."""

import re
from dataclasses import dataclass
from pathlib import Path

from model.lora.config import ADAPTER_FILE
from storage.json_file import read_json_object
from storage.manifest import MANIFEST, has_manifest, read_manifest, sha256_of_file, trusts_files
from storage.replacement import restore, restore_all
from storage.verified import read_verified
from weights.directory import WEIGHTS_FILE, hash_weights

# What training writes beside the weights: {"step": ...}.
PROGRESS_FILE = "progress.json"
_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class SavedModel:
    """A checkpoint: its directory, the file of its weights, and the step it was saved at."""

    directory: Path
    file: Path
    step: int | None

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter that needs its base."""
        return self.file.name != WEIGHTS_FILE

    def check_step(self) -> None:
        """Raise ValueError where the file that holds the step is not as it was recorded."""
        if (self.directory / PROGRESS_FILE).is_file():
            read_verified(self.directory / PROGRESS_FILE)

    def sha256(self) -> str:
        """Return the sha256 of the weights; of a whole model, the one its manifest states.

        Raises FileNotFoundError or ValueError where an adapter is missing or damaged.
        """
        if not self.is_adapter:
            return hash_weights(self.file)
        if not self.file.is_file():
            raise FileNotFoundError(f"{self.directory} has no {ADAPTER_FILE}, nor {WEIGHTS_FILE}")
        found = sha256_of_file(self.file)
        if has_manifest(self.directory) and not trusts_files():
            wanted = read_manifest(self.directory)["files"].get(self.file.name, {}).get("sha256")
            if wanted != found:
                raise ValueError(
                    f"{self.file} is damaged: its sha256 is {found[:12]}, and {MANIFEST} has "
                    f"{str(wanted)[:12]}; take another checkpoint"
                )
        return found


def saved_models(run_dir: Path | str) -> list[SavedModel]:
    """Return the checkpoints in a run's directory, or the one that it is, in order of their steps.

    `step-N` come before others of the same step, and what has no step comes last; checkpoints that
    a resumed run has set aside as damaged are left out.
    """
    run_dir = Path(run_dir).expanduser()
    restore(run_dir)
    restore_all(run_dir)
    if not run_dir.is_dir():
        raise FileNotFoundError(
            f"{run_dir} does not exist; wanted a run's directory such as checkpoints/NAME"
        )
    folders = (
        [run_dir] if _holds_model(run_dir) else sorted(filter(_is_checkpoint, run_dir.iterdir()))
    )
    if not folders:
        raise FileNotFoundError(
            f"{run_dir} holds no checkpoint; wanted a run's directory such as checkpoints/NAME, "
            "with step-000200, best or final in it"
        )
    found = [_saved(folder) for folder in folders]
    return sorted(
        found, key=lambda m: (m.step is None, m.step, not _STEP.fullmatch(m.directory.name))
    )


def _is_checkpoint(path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(".damaged") or not path.is_dir():
        return False
    return _holds_model(path) or (path / MANIFEST).is_file()


def _holds_model(path: Path) -> bool:
    return any((path / name).is_file() for name in (ADAPTER_FILE, WEIGHTS_FILE))


def _saved(directory: Path) -> SavedModel:
    # Whichever is missing, an adapter is what most runs save.
    name = WEIGHTS_FILE if (directory / WEIGHTS_FILE).is_file() else ADAPTER_FILE
    return SavedModel(directory, directory / name, _step(directory))


def _step(directory: Path) -> int | None:
    if named := _STEP.fullmatch(directory.name):
        return int(named[1])
    try:
        return int(read_json_object(directory / PROGRESS_FILE)["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
