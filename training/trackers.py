"""Trackers beside TensorBoard: Weights & Biases, where `logging.trackers` names it.

It gets the numbers of metrics.jsonl under TensorBoard's names, and the run's settings; no replies,
no printed lines, no code, and nothing of the machine. WANDB_MODE, WANDB_PROJECT and the like are
wandb's own; WANDB_MODE=offline sends nothing.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from storage.atomic import new_file
from storage.json_file import read_json_object, write_json

if TYPE_CHECKING:
    from training.config import Config

INSTALL = "python -m pip install -e '.[wandb]'"
PROJECT = "llama-tools"
# Which run of wandb a run is, so that it goes on there when it is resumed.
ID_FILE = "wandb.json"
# What wandb would also send: what is printed, the sources and git's state, figures of the machine.
_NOTHING_ELSE = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "disable_job_creation": True,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


def check_trackers(names: Sequence[str]) -> None:
    """Raise ValueError where a tracker's package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ValueError(
                f"logging.trackers names {name}, which is not installed: {INSTALL}, or add "
                "--logging.trackers='[]'"
            )


class WandbRun:
    """A run of Weights & Biases; a run that is resumed goes on in the one it began."""

    def __init__(self, config: "Config", start_step: int) -> None:
        import wandb

        config.log_dir.mkdir(parents=True, exist_ok=True)
        offline = os.environ.get("WANDB_MODE", "online") != "online"
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=config.name,
            id=_run_id(config, start_step),
            dir=str(config.log_dir),
            config=config.model_dump(mode="json"),
            # Offline the id alone makes it the same run; wandb would warn.
            resume=None if offline else "allow",
            settings=wandb.Settings(**_NOTHING_ELSE),
        )
        # Steps that are taken again after a stop are drawn at their place; wandb's own must rise.
        self.run.define_metric("*", step_metric="step")

    @property
    def place(self) -> str:
        """Where the run can be seen, or what sends it there."""
        if self.run.settings.mode == "online":
            return str(self.run.url)
        return f"{self.run.settings.mode}, in {self.run.settings.sync_dir}"

    def write(self, kind: str, number: int, figures: Mapping[str, float]) -> None:
        """Record the figures of step `number`; `kind` is train or validation."""
        named: dict[str, Any] = {f"{kind}/{name}": value for name, value in figures.items()}
        self.run.log({**named, "step": number})

    def close(self, failed: bool) -> None:
        """Return once everything is written, or sent."""
        self.run.finish(exit_code=int(failed))


def open_trackers(config: "Config", start_step: int) -> list[WandbRun]:
    """Open the trackers that the settings name; `start_step` is not 0 where a run is resumed."""
    return [WandbRun(config, start_step) for _ in config.logging.trackers]


def _run_id(config: "Config", start_step: int) -> str:
    """Return the id of the run that is resumed, or a new one, which is kept."""
    file = config.log_dir / ID_FILE
    if start_step and file.is_file():
        return str(read_json_object(file)["id"])
    made = secrets.token_hex(4)
    with new_file(file) as partial:
        write_json(partial, {"id": made})
    return made
