"""The reference's log-probabilities of all pairs, kept in a file where it cannot be computed later.

A run's reference is the model that it starts from. While a new adapter is trained that is the model
with the adapter off; where all weights are trained, or an older adapter is trained further, it is
gone after the first step. Then `reference.safetensors` in the run's directory holds, of each split,
the log-probability of each conversation's trained tokens, float64, written before the first step
and read when the run is resumed.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.batches import make_batch, whole_split
from data.tokenized import TokenizedDataset
from storage.atomic import new_file
from storage.manifest import trusts_files
from training.backends import Backend
from training.preference import REFERENCE, log_probabilities
from weights.directory import resolve_directory, weights_sha256

if TYPE_CHECKING:
    from training.config import Config

REFERENCE_FILE = "reference.safetensors"

Splits = Mapping[str, TokenizedDataset]
# What `make_batch` takes of each split by its name; None where a batch needs nothing.
Values = Mapping[str, Mapping[str, np.ndarray] | None]


def is_stored(config: "Config") -> bool:
    """Return whether a run compares with a reference that it cannot compute in every step."""
    if config.preference is None or config.preference.reference_free:
        return False
    return config.lora is None or config.model.adapter_dir is not None


def reference_values(config: "Config", splits: Splits, backend: Backend, resume: bool) -> Values:
    """Return what each split's batches have of the reference; every rank calls it.

    A run that is resumed reads the file. Raises FileNotFoundError or ValueError where it is missing
    or another run's.
    """
    if not is_stored(config):
        return dict.fromkeys(splits)
    file, wanted = config.run_dir / REFERENCE_FILE, _metadata(config, splits)
    if resume:
        found = backend.on_first_rank(lambda: _read(file, wanted))
    else:
        room = config.training.micro_batch_tokens
        found = {name: _computed(split, room, backend) for name, split in splits.items()}
        backend.on_first_rank(lambda: _write(file, found, wanted))
    return {name: {REFERENCE: tensor.numpy()} for name, tensor in found.items()}


@torch.no_grad()
def _computed(split: TokenizedDataset, micro_batch_tokens: int, backend: Backend) -> Tensor:
    """Return the log-probability of each conversation by the model as it is, on the host."""
    backend.model.eval()
    found = torch.zeros(len(split), dtype=torch.float64, device=backend.device)
    for part in whole_split(split, micro_batch_tokens, backend.rank, backend.world_size):
        found[part] = log_probabilities(backend, make_batch(split, part))[: len(part)]
    backend.model.train()
    return backend.sum(found).cpu()


def _metadata(config: "Config", splits: Splits) -> dict[str, str]:
    """Return what a file must be of: the fingerprints of the splits and the sha256 of the base."""
    base = weights_sha256(resolve_directory(config.model.checkpoint_dir))
    return {"base": base or "", **{name: split.fingerprint for name, split in splits.items()}}


def _write(file: Path, found: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write the values with their sha256s: a run's directory has no manifest of its own."""
    sha256s = {f"{name}.sha256": _sha256(tensor) for name, tensor in found.items()}
    with new_file(file) as partial:
        save_file(dict(found), partial, metadata | sha256s)


def _read(file: Path, wanted: Mapping[str, str]) -> dict[str, Tensor]:
    again = "put the one back that the run began with, or use another --name"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing, and the weights that it was computed with have moved; {again}"
        )
    try:
        with safe_open(file, "pt") as tensors:
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            written = tensors.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{file} cannot be read ({error}); {again}") from error
    for name, value in wanted.items():
        if written.get(name) != value:
            raise ValueError(
                f"{file} is of {name} {written.get(name, 'unknown')[:12]}, and this run's is "
                f"{value[:12]}; {again}"
            )
    for name, tensor in found.items():
        # Older files have none.
        recorded = written.get(f"{name}.sha256")
        if recorded not in (None, _sha256(tensor)) and not trusts_files():
            raise ValueError(
                f"{file}: {name} differs from its sha256 in the file: it was damaged; {again}, or "
                "take it as it is with --trust-files"
            )
    return found


def _sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
