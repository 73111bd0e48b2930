"""Whether DeepSpeed can start: trials."""

import os
import shutil
import sys
from importlib import import_module
from pathlib import Path

import torch

from machine.features import is_found
from machine.trial import NotHereError, NoticeError, Trial


def _import() -> str:
    _check_here()
    return str(import_module("deepspeed").__version__)


def _check_here() -> None:
    if sys.platform != "linux" and not is_found("deepspeed"):
        raise NotHereError("requirements.txt has DeepSpeed for Linux alone")


def _launcher() -> str:
    """Return where the command `deepspeed` is that starts ranks with this Python."""
    _check_here()
    beside = Path(sys.executable).with_name("deepspeed")
    found = shutil.which("deepspeed")
    if found is None and beside.exists():
        raise NoticeError(f"{beside} is not on the PATH: source .venv/bin/activate")
    if found is None:
        raise ValueError(f"the command deepspeed is not on the PATH, and there is no {beside}")
    if beside.exists() and not beside.samefile(found):
        raise ValueError(
            f"the command deepspeed is {found}, of another Python than {sys.executable}"
        )
    return found


def _group(device: str) -> str:
    """Join and leave a group of one process as ds_finetune.py does; no other machine is asked."""
    _check_here()
    from training.zero.ranks import joined_ranks

    if device == "cuda" and not torch.cuda.is_available():
        raise NotHereError("NCCL wants a CUDA device")
    # Port 0 is any free one.
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    with joined_ranks(device) as ranks:
        return f"{ranks.world_size} process on {ranks.device}"


_INSTALL = "install DeepSpeed: python -m pip install -r requirements.txt"
_ALONE = "train on one device without DeepSpeed: python finetune.py"
TRIALS = {
    "import": Trial(_import, _INSTALL),
    "launcher": Trial(_launcher, "put this Python's commands first: source .venv/bin/activate"),
    "group, NCCL": Trial(lambda: _group("cuda"), _ALONE),
    "group, gloo": Trial(lambda: _group("cpu"), _ALONE),
}
