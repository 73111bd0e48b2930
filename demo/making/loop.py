"""Training from scratch on an endless stream: float32 masters, Muon and AdamW.

It supports less than `training/loop.py`: CPUs only, one micro-batch a step for each process, and no
validation set, since the stream never repeats a text.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed

from data.batches import Batch
from demo.making.muon import Muon
from model.attention import Documents
from model.transformer import Transformer
from storage.atomic import new_file
from training.loss import summed_cross_entropy


@dataclass(frozen=True)
class Rates:
    """Peak learning rates, and the steps over which they rise and fall.

    They rise linearly during `warmup`, stay, and fall linearly to a twentieth over the last
    `decay` of `total` steps: a run can be prolonged up to where the fall begins.
    """

    matrices: float = 0.0025
    others: float = 0.003
    warmup: int = 20
    decay: int = 600
    total: int = 4000

    def share(self, step: int) -> float:
        """Return the share of the peak rate at step `step`, counted from 0."""
        rise = (step + 1) / (self.warmup + 1)
        fall = (self.total - step) / max(1, self.decay)
        return max(0.05, min(1.0, rise, fall))


@dataclass
class Progress:
    """What a run has done so far."""

    step: int = 0
    tokens: int = 0
    trained: int = 0
    cpu_seconds: float = 0.0


class Trainer:
    """A model's float32 masters and optimizers; the model itself computes in `dtype`.

    Muon moves the matrices of the blocks, AdamW the embedding and the norms.
    """

    def __init__(self, model: Transformer, rates: Rates, dtype: torch.dtype) -> None:
        self.rates = rates
        self.progress = Progress()
        self.masters = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.model = model.to(dtype)
        self.parameters = dict(model.named_parameters())
        blocks = {n: m for n, m in self.masters.items() if m.ndim == 2 and "layers." in n}
        others = {n: m for n, m in self.masters.items() if n not in blocks}
        self.names = (tuple(blocks), tuple(others))
        self.optimizers: tuple[Any, ...] = (
            Muon(blocks.values(), dtype),
            torch.optim.AdamW(others.values(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.0),
        )

    def step(self, batch: Batch) -> float:
        """Learn one batch; return its loss per predicted token."""
        start = time.process_time()
        documents = Documents(batch.offsets)
        head = partial(summed_cross_entropy, targets=batch.targets)
        loss = self.model(batch.tokens, batch.positions, documents, batch.rows, head)
        loss = loss / len(batch.targets)
        loss.backward()
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(
                f"step {self.progress.step + 1}: loss {value}; resume with lower learning rates"
            )
        self._update()
        counts = torch.tensor([len(batch.tokens), len(batch.targets)], dtype=torch.float64)
        spent = torch.tensor([time.process_time() - start, value], dtype=torch.float64)
        tokens, trained, seconds, losses = summed(torch.cat([counts, spent])).tolist()
        self.progress.step += 1
        self.progress.tokens += int(tokens)
        self.progress.trained += int(trained)
        self.progress.cpu_seconds += seconds
        return losses / processes()

    @torch.no_grad()
    def _update(self) -> None:
        gradients = []
        for parameter in self.parameters.values():
            assert parameter.grad is not None
            gradients.append(parameter.grad.float().flatten())
            parameter.grad = None
        mean = summed(torch.cat(gradients)) / processes()
        parts = mean.split([len(gradient) for gradient in gradients])
        for master, part in zip(self.masters.values(), parts, strict=True):
            master.grad = part.view_as(master)
        share = self.rates.share(self.progress.step)
        peaks = (self.rates.matrices, self.rates.others)
        for optimizer, names, peak in zip(self.optimizers, self.names, peaks, strict=True):
            torch.nn.utils.clip_grad_norm_([self.masters[name] for name in names], 1.0)
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.step()
        for name, parameter in self.parameters.items():
            parameter.copy_(self.masters[name])

    def save(self, file: Path) -> None:
        """Write masters, moments and progress as one safetensors file."""
        tensors = {f"master/{name}": master for name, master in self.masters.items()}
        for name, key, value in self._moments():
            tensors[f"{key}/{name}"] = torch.as_tensor(value)
        done = vars(self.progress).items()
        with new_file(file) as unfinished:
            save_file(tensors, unfinished, {key: repr(value) for key, value in done})

    def load(self, file: Path) -> None:
        """Restore what `save` wrote; ValueError when it is of a model of other sizes."""
        tensors = load_file(file)
        shapes = {n: t.shape for n, t in tensors.items() if n.startswith("master/")}
        wanted = {f"master/{name}": master.shape for name, master in self.masters.items()}
        if shapes != wanted:
            raise ValueError(
                f"{file} holds a model of other sizes; name another --work-dir or resume with the "
                "sizes it was started with"
            )
        for optimizer, names in zip(self.optimizers, self.names, strict=True):
            for name in names:
                self.masters[name].copy_(tensors[f"master/{name}"])
                self.parameters[name].data.copy_(self.masters[name])
                keys = [key for key in tensors if key.endswith(f"/{name}")]
                optimizer.state[self.masters[name]] = {
                    key.partition("/")[0]: tensors[key]
                    for key in keys
                    if not key.startswith("master/")
                }
        self.progress = read_progress(file)

    def _moments(self) -> list[tuple[str, str, Any]]:
        return [
            (name, key, value)
            for optimizer, names in zip(self.optimizers, self.names, strict=True)
            for name in names
            for key, value in optimizer.state[self.masters[name]].items()
        ]

    def weights(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the masters in another dtype, for a file."""
        return {name: master.to(dtype) for name, master in self.masters.items()}


def processes() -> int:
    """Return how many processes train one model, each on its own batches."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """Return the sum of every process's values; it takes the place of `values`."""
    if processes() > 1:
        distributed.all_reduce(values)
    return values


def read_progress(file: Path) -> Progress:
    """Return how far the run of a state file is."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    return Progress(
        step=int(metadata["step"]),
        tokens=int(metadata["tokens"]),
        trained=int(metadata["trained"]),
        cpu_seconds=float(metadata["cpu_seconds"]),
    )


def pretrain(
    trainer: Trainer,
    batch: Callable[[int], Batch],
    last_step: int,
    after: Callable[[float], None],
) -> None:
    """Train up to `last_step` on `batch` of each step's number; `after` each is told the loss."""
    while trainer.progress.step < last_step:
        after(trainer.step(batch(trainer.progress.step)))
