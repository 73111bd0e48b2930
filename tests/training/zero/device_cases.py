"""Where ZeRO-3 keeps and gathers weights when the device is not the host: rank 0 of two, no GPU.

    python tests/training/zero/device_cases.py --cases CASES --output-dir DIR

The device is torch's `meta`, which has places and no bytes; DeepSpeed's own code partitions and
gathers on it. Every JSON file in CASES is a configuration. DIR gets NAME.json: the devices of each
base weight and of its part, of the adapter, and of each weight as the model's forward saw it; and
the error that ended the forward, where devices did not agree.
"""

import json
import os
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.accelerator import set_accelerator
from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator
from torch import Tensor, nn
from torch._C._distributed_c10d import FakeProcessGroup
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode

from console.command import run
from model.attention import Documents
from training.config import Config, read_config
from training.setup import build_model
from training.zero.placing import place_on_arrival
from training.zero.settings import engine_config
from weights.directory import load_model

RANKS = 2
DEVICE = "meta"


class MetaAccelerator(CPU_Accelerator):
    """DeepSpeed's accelerator for a device that is not the host."""

    def device_name(self, device_index: int | None = None) -> str:
        return DEVICE

    def current_device_name(self) -> str:
        return DEVICE

    def on_accelerator(self, tensor: Tensor) -> bool:
        return tensor.device.type == DEVICE


class NoBytes(TorchDispatchMode):
    """Lets a copy from the device to the host arrive, with zeros."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if operation is torch.ops.aten.copy_.default and args[1].device.type == DEVICE:
            return args[0]
        to_host = kwargs.get("device") == torch.device("cpu")
        if operation is torch.ops.aten._to_copy.default and to_host:
            return torch.zeros(args[0].shape, **{"dtype": args[0].dtype, **kwargs})
        return operation(*args, **kwargs)


def main(cases: str, output_dir: str) -> None:
    """Look at every case.

    Args:
        cases: The directory of configurations.
        output_dir: Where to write what was seen.
    """
    join_alone()
    for file in sorted(Path(cases).glob("*.json")):
        config = read_config(file)
        with NoBytes():
            text = json.dumps(devices_of(config))
        (Path(output_dir) / f"{config.name}.json").write_text(text)


def join_alone() -> None:
    """Be rank 0 of two in a process group whose collectives take no part of another rank."""
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE=str(RANKS))
    set_accelerator(MetaAccelerator())
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    dist.Backend.register_backend(
        "alone",
        lambda options, more: FakeProcessGroup._create_internal(
            options.group_rank, options.group_size, more
        ),
        extended_api=True,
        devices=["cpu", DEVICE],
    )
    dist.init_process_group("alone", store=FakeStore(), rank=0, world_size=RANKS)
    deepspeed.init_distributed("alone")


def devices_of(config: Config) -> dict[str, Any]:
    """Place the base as training does, and run it once inside DeepSpeed's engine."""
    engine, dtype = engine_config(config, RANKS), getattr(torch, config.model.dtype)
    place = place_on_arrival(engine, torch.device(DEVICE), dtype, config.model.quantization)
    adapted = build_model(config, torch.device(DEVICE), dtype, place)
    adapter = {n: p.device.type for n, p in adapted.named_parameters() if "lora_" in n}
    model = load_model(config.model.checkpoint_dir, DEVICE, dtype, place).requires_grad_(False)
    weights = {n: p.device.type for n, p in model.named_parameters()}
    parts = {n: p.ds_tensor.device.type for n, p in model.named_parameters()}
    running, *_ = deepspeed.initialize(model=model, config=engine, dist_init_required=False)
    gathered: dict[str, str] = {}

    def look(module: nn.Module, arguments: Any) -> None:
        for parameter in module.parameters(recurse=False):
            assert parameter.shape == parameter.ds_shape, "it is gathered"
            gathered[names[parameter]] = parameter.device.type

    names = {parameter: name for name, parameter in model.named_parameters()}
    for module in model.modules():
        module.register_forward_pre_hook(look)
    tokens = torch.zeros(5, dtype=torch.int64, device=DEVICE)
    error = None
    try:
        running(tokens, tokens, Documents((0, 5), DEVICE))
    except RuntimeError as raised:
        error = str(raised)
    return {
        "adapter": adapter,
        "weights": weights,
        "parts": parts,
        "gathered": gathered,
        "error": error,
    }


if __name__ == "__main__":
    run(main)
