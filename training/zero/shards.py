"""DeepSpeed's sharded states, which are pickles: looked through before any is loaded, and joined.

Beside tensors they hold objects of a few classes of DeepSpeed's own. A file that names anything
else is refused unopened, and the others are loaded by torch's restricted unpickler.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from enum import Enum
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from storage.manifest import MANIFEST, read_manifest
from training.zero.installed import check_deepspeed
from weights.archive import open_archive

SHARDS_FILE = "deepspeed.json"
# What DeepSpeed 0.19 stores at stages 1 to 3 beside the classes that torch itself allows.
KNOWN_CLASSES = (
    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
    "deepspeed.runtime.zero.config.ZeroStageEnum",
    "deepspeed.utils.tensor_fragment.fragment_address",
)
# In bytes, of what one rank pickles: names and groups of parameters.
MOST_PICKLED = 64 * 2**20
# How Python before 3.11.4 pickles the member of an enum: by a call of this with enum and name.
GETATTR = "builtins.getattr"
# Makes torch.load restrict itself even where its caller, DeepSpeed, says weights_only=False.
RESTRICT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def check_own_pickles(step: Path) -> None:
    """Raise ValueError for a `.pt` file of a checkpoint that DeepSpeed would not have written.

    The files are taken apart, not loaded, so that nothing in them runs.
    """
    for file in sorted(step.rglob("*.pt")):
        try:
            open_archive(file, MOST_PICKLED)
            found = set(get_unsafe_globals_in_checkpoint(file))
        except OSError:
            raise
        except Exception as error:
            # A damaged file makes the parser raise almost any exception.
            message = str(error).removeprefix(f"{file} ")
            reason = (message or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{file} is damaged or not a file of DeepSpeed's ({reason}) and was not opened; "
                "take another checkpoint"
            ) from None
        if foreign := sorted(found.difference(KNOWN_CLASSES, [GETATTR])):
            raise ValueError(
                f"{file} names {foreign[0]}, which no checkpoint of DeepSpeed's does, and was not "
                "opened (a pickle can run code); take another checkpoint"
            )


def check_listed(step: Path, ranks: int, stage: int) -> None:
    """Raise ValueError unless the manifest, whose hashes were checked, lists all that is loaded.

    Those are every `.pt` file in the checkpoint, and of each rank its random state and, where
    ZeRO shares anything, its part.
    """
    listed = read_manifest(step)["files"]
    present = (file.relative_to(step).as_posix() for file in sorted(step.rglob("*.pt")))
    if unlisted := [name for name in present if name not in listed]:
        raise ValueError(
            f"{step / unlisted[0]} is not listed in {MANIFEST}, so nothing tells whether it is "
            "whole; take another checkpoint"
        )
    parts = sum(name.endswith("_optim_states.pt") for name in listed) if stage else ranks
    states = sum(f"rng-{rank:05d}.safetensors" in listed for rank in range(ranks))
    if (found := min(parts, states)) < ranks:
        raise ValueError(
            f"{step} was written by {ranks} ranks, and {MANIFEST} lists what {found} of them "
            "wrote; take another checkpoint"
        )


@contextmanager
def known_classes_only() -> Iterator[None]:
    """Restrict torch.load, also when DeepSpeed calls it, to tensors and `KNOWN_CLASSES`.

    What a file calls getattr gives members of known enums and nothing else.
    """
    before = os.environ.get(RESTRICT)
    os.environ[RESTRICT] = "1"
    try:
        with safe_globals([*_known_classes(), (_enum_member, GETATTR)]):
            yield
    finally:
        if before is None:
            del os.environ[RESTRICT]
        else:
            os.environ[RESTRICT] = before


def _known_classes() -> list[Any]:
    places = [name.rpartition(".") for name in KNOWN_CLASSES]
    return [getattr(import_module(module), name) for module, _, name in places]


def _enum_member(kind: Any, name: str) -> Enum:
    if kind not in _known_classes() or not issubclass(kind, Enum):
        raise ValueError(f"getattr is called on {kind!r}, wanted an enum of DeepSpeed's")
    return kind[name]


def joined_masters(step: Path) -> Mapping[str, Callable[[], Tensor]]:
    """Return what joins each trained tensor's float32 master from its parts, by name.

    Nothing is joined before it is asked for at stage 3; below, DeepSpeed joins all at once.
    """
    check_deepspeed()
    check_own_pickles(step)
    # Nothing is computed; without this DeepSpeed looks for a GPU and prints warnings.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    with known_classes_only(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        masters = get_fp32_state_dict_from_zero_checkpoint(
            str(step.parent), step.name, exclude_frozen_parameters=True, lazy_mode=True
        )
    return {name: master.contiguous for name, master in masters.items()}
