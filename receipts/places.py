"""Where the files are that made a model: as the run says, or as the user does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.lora.config import ADAPTER_FILE
from storage.json_file import read_json_object
from training.resuming import CONFIG_FILE
from weights.directory import WEIGHTS_FILE
from weights.run_directory import PROGRESS_FILE

# What a receipt is of where only the run is named.
_CHECKPOINTS = ("best", "final")


@dataclass(frozen=True)
class Places:
    """The directories of a receipt's parts, and files of results."""

    checkpoint: Path
    base: Path
    dataset: Path
    merged: Path
    results: tuple[Path, ...] = ()

    @property
    def is_adapter(self) -> bool:
        """Whether the checkpoint is an adapter on its base, rather than whole weights."""
        return (self.checkpoint / ADAPTER_FILE).is_file()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the checkpoint was trained with."""
        return read_json_object(self.checkpoint / CONFIG_FILE, as_it_is=True)

    @property
    def progress(self) -> dict[str, Any]:
        """What the checkpoint says of its run."""
        return read_json_object(self.checkpoint / PROGRESS_FILE, as_it_is=True)


def find_places(
    run_dir: Path | str,
    base_dir: str | None = None,
    dataset_dir: str | None = None,
    merged_dir: str | None = None,
    results: tuple[str, ...] = (),
) -> Places:
    """Return where the parts of a run are; those not named are where its settings say.

    `run_dir` is the run's directory or one checkpoint in it. Raises FileNotFoundError or ValueError
    where there is no checkpoint.
    """
    checkpoint = find_checkpoint(Path(run_dir).expanduser())
    # Receipts compare every file themselves, and name all that differ.
    settings = read_json_object(checkpoint / CONFIG_FILE, as_it_is=True)
    try:
        base = base_dir or settings["model"]["checkpoint_dir"]
        dataset = dataset_dir or settings["data"]["dataset_dir"]
    except (KeyError, TypeError):
        raise ValueError(
            f"{checkpoint / CONFIG_FILE} does not name model.checkpoint_dir and data.dataset_dir; "
            "it was damaged, or is another program's"
        ) from None
    return Places(
        checkpoint,
        Path(base).expanduser(),
        Path(dataset).expanduser(),
        Path(merged_dir).expanduser() if merged_dir else checkpoint.parent / "merged",
        tuple(Path(name).expanduser() for name in results),
    )


def find_checkpoint(run_dir: Path) -> Path:
    """Return the directory itself where it is a checkpoint, or else its best/ or final/."""
    for path in (run_dir, *(run_dir / name for name in _CHECKPOINTS)):
        held = [name for name in (ADAPTER_FILE, WEIGHTS_FILE) if (path / name).is_file()]
        if held and (path / CONFIG_FILE).is_file() and (path / PROGRESS_FILE).is_file():
            return path
    raise FileNotFoundError(
        f"{run_dir} holds no checkpoint of a run; wanted a directory such as checkpoints/NAME, "
        "with best or final in it"
    )
