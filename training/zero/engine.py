"""Many devices: DeepSpeed's ZeRO holds gradients, masters and (stage 3) weights in parts.

What DeepSpeed divides by the number of ranks is multiplied by it beforehand: the loop's losses are
shares of one sum. Its scheduler, accumulation count and loss scale are not used.
"""

import math
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from console.command import one_line
from model.transformer import Transformer
from storage.json_file import read_json_object, write_json
from training.backends import Result, full_shape, trained_parameters
from training.finite import NOT_FINITE, norm_not_finite
from training.optim import make_optimizer
from training.zero.ranks import Ranks, wait_for_all
from training.zero.settings import zero_stage
from training.zero.shards import (
    SHARDS_FILE,
    check_listed,
    check_own_pickles,
    known_classes_only,
)

if TYPE_CHECKING:
    from training.config import OptimizerSection


# What is sent of an error, in characters and in bytes: all of it but for absurd ones.
_LONGEST_LINE = 10_000
_LARGEST_ERROR = 100_000


class DeepSpeedBackend:
    """Any number of devices through DeepSpeed; see `Backend` for what the loop asks."""

    def __init__(
        self,
        model: Transformer,
        settings: "OptimizerSection",
        engine: Mapping[str, Any],
        ranks: Ranks,
    ) -> None:
        import deepspeed

        self.model = model
        self.rank, self.world_size, self.device = ranks.rank, ranks.world_size, ranks.device
        self.stage, self.clip_norm = zero_stage(engine), settings.clip_norm
        self.parameters = trained_parameters(model)
        if engine["bf16"]["enabled"]:
            for parameter in self.parameters.values():
                parameter.data = parameter.data.bfloat16()
        if self.rank:
            # Ranks share the seed up to here, for equal adapters; from here on dropout differs.
            torch.manual_seed(torch.initial_seed() + self.rank)
        self.engine, *_ = deepspeed.initialize(
            model=model,
            optimizer=make_optimizer(self.parameters.values(), settings),
            config=dict(engine),
            dist_init_required=False,
        )
        self.forward: Callable[..., Tensor] = self.engine
        self.trained: Mapping[str, torch.Size] = {
            name: full_shape(p) for name, p in self.parameters.items()
        }

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all ranks, on every rank."""
        total = values.clone()
        dist.all_reduce(total)
        return total

    def wait(self) -> None:
        """Return once every rank has come here."""
        wait_for_all(self.device)

    def on_first_rank(self, work: Callable[[], Result]) -> Result:
        """Do `work` on rank 0; return its result, or raise its error, on every rank."""
        outcome: list[Any] = _outcome(work) if self.rank == 0 else [None, None]
        dist.broadcast_object_list(outcome, device=self.device)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]  # type: ignore[no-any-return]

    def on_every_rank(self, work: Callable[[], Result]) -> list[Result]:
        """Do `work` on every rank; return all results, or raise the first error, on every rank."""
        outcomes: list[list[Any]] = [[]] * self.world_size
        dist.all_gather_object(outcomes, _outcome(work))
        for _, error in outcomes:
            if error is not None:
                raise error
        return [result for result, _ in outcomes]

    def begin_step(self, learning_rate: float, micro_batches: int) -> None:
        """Return: DeepSpeed steps after the backward pass."""

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradient of one micro-batch; the last one's is reduced over ranks."""
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss * self.world_size)
        if not last:
            self.engine.step()  # only counts the micro-batch

    def step(self, learning_rate: float, skip: bool = False) -> Tensor | str:
        """Clip, update, clear the gradients; return their norm before clipping, or why not.

        From stage 1 on DeepSpeed itself asks all ranks, and takes no step where the norm is not
        finite; it gives it as infinite then.
        """
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        norm: Any = None
        if self.stage == 0:
            norm = nn.utils.get_total_norm([p.grad for p in self.parameters.values()])  # type: ignore[misc]
            if skip and not norm.isfinite():
                for parameter in self.parameters.values():
                    parameter.grad = None
                return NOT_FINITE
        self.engine.step()
        found = torch.as_tensor(self.engine.get_global_grad_norm() if norm is None else norm)
        return NOT_FINITE if skip and not found.isfinite() else found

    def weights_not_finite(self) -> Tensor:
        """Return 1.0 where the norm of this rank's trained weights is not finite, else 0.0."""
        parts = (
            own_part(p, self.rank) if self.stage == 3 else p.detach()
            for p in self.parameters.values()
        )
        return norm_not_finite(parts).to(self.device)

    def computing(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing: weights are stored in what they compute in."""
        return nullcontext()

    def trained_state(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each trained parameter's name and float32 master, gathered one at a time."""
        from deepspeed.utils import safe_get_full_fp32_param

        for name, parameter in self.parameters.items():
            master = parameter.detach() if self.stage == 0 else safe_get_full_fp32_param(parameter)
            yield name, master.view(self.trained[name])

    def save(self, directory: Path) -> None:
        """Write DeepSpeed's shards and each rank's random state, and what they are shards of."""
        save_file(self._random_state(), directory / f"rng-{self.rank:05d}.safetensors")
        if self.rank == 0:
            sharding = {"ranks": self.world_size, "zero_stage": self.stage}
            write_json(directory / SHARDS_FILE, sharding)
        self.engine.save_checkpoint(
            str(directory.parent),
            directory.name,
            save_latest=False,
            exclude_frozen_parameters=True,
        )

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote: exactly from as many ranks, resharded from others."""
        file = directory / SHARDS_FILE
        if not file.is_file():
            raise ValueError(f"{directory} was written by finetune.py; resume it there")
        saved = read_json_object(file)
        if saved["zero_stage"] != self.stage:
            raise ValueError(
                f"{directory} was written at ZeRO stage {saved['zero_stage']}, this run has stage "
                f"{self.stage}; resume at the stage it was started with"
            )
        self.on_first_rank(lambda: check_listed(directory, saved["ranks"], self.stage))
        self.on_first_rank(lambda: check_own_pickles(directory))
        if saved["ranks"] == self.world_size or self.stage == 0:
            self._load_shards(directory)
        else:
            self._load_resharded(directory)
        random = directory / f"rng-{self.rank:05d}.safetensors"
        if saved["ranks"] == self.world_size:
            self._set_random_state(load_file(random))

    def _load_shards(self, directory: Path) -> None:
        # Not strict, because frozen weights are not in it: they are the base's.
        with known_classes_only():
            self.engine.load_checkpoint(
                str(directory.parent), directory.name, load_module_strict=False
            )

    def _load_resharded(self, directory: Path) -> None:
        """Load shards of another number of ranks through DeepSpeed's universal checkpoint."""
        # In a folder of its own: DeepSpeed writes a `latest_universal` beside it.
        whole = directory.with_name(f".{directory.name}.universal") / directory.name
        self.on_first_rank(lambda: _convert_to_universal(directory, whole, self.stage))
        try:
            self.engine._config.load_universal_checkpoint = True
            self._load_shards(whole)
        finally:
            self.engine._config.load_universal_checkpoint = False
            self.wait()
            self.on_first_rank(lambda: shutil.rmtree(whole.parent, ignore_errors=True))

    def _random_state(self) -> dict[str, Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _set_random_state(self, states: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and self.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self.device)


def _outcome(work: Callable[[], Any]) -> list[Any]:
    """Return what `work` returns and None, or None and its error; both can be sent.

    Whatever ends `work` is an error that the others hear of: they wait for this rank.
    """
    try:
        result = work()
        _pickled_copy(result)
    except BaseException as error:
        return [None, _sendable(error)]
    return [result, None]


def own_part(parameter: Any, rank: int) -> Tensor:
    """Return the values of a stage 3 parameter that a rank holds, as one dimension.

    DeepSpeed's parts are equally long: what fills up the last ones is never set, and may be NaN.
    """
    held: Tensor = parameter.ds_tensor
    left = parameter.ds_numel - rank * held.numel()
    return held[: max(0, min(left, held.numel()))]


def _sendable(error: BaseException) -> BaseException:
    """Return an error with the same line on every rank: a ValueError where pickle changes it.

    The same for one that is too large to be sent.
    """
    line = one_line(error)[:_LONGEST_LINE]
    plain = ValueError(line)
    plain.__cause__ = error
    with suppress(Exception):
        if one_line(_pickled_copy(error, _LARGEST_ERROR)) == line:
            return error
    return plain


def _pickled_copy(value: Result, most: float = math.inf) -> Result:
    """Return a value as another rank receives it; raises where pickle cannot send it.

    ValueError where it is larger than `most` bytes.
    """
    if len(pickle.dumps(value)) > most:
        raise ValueError("too large")
    return deepcopy(value)  # built as pickle does, from __reduce_ex__


def _convert_to_universal(shards: Path, whole: Path, stage: int) -> None:
    """Write what `shards` hold as one file a tensor, with DeepSpeed's own converter."""
    shutil.rmtree(whole.parent, ignore_errors=True)
    whole.parent.mkdir()
    command = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal"]
    command += ["--input_folder", str(shards), "--output_folder", str(whole)]
    if stage < 3:
        command.append("--inject_missing_state")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        raise ValueError(f"{shards} cannot be resharded: ds_to_universal says {last!r}")
