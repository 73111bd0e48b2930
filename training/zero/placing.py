"""Where each tensor of the base goes under ZeRO as it arrives from its file."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from model.nf4 import NF4, NF4Linear
from training.zero.settings import zero_stage
from weights.building import (
    Place,
    Stored,
    copy_on_arrival,
    is_linear_weight,
    quantize_on_arrival,
)

Keep = Callable[[Tensor], nn.Parameter]


class PackedNF4Linear(NF4Linear):
    """NF4Linear with all its bytes in one frozen parameter, `packed` uint8 [n].

    ZeRO-3 shares parameters between ranks and no buffers, and DeepSpeed's checkpoints leave out
    frozen parameters and no buffers. `keep` makes the parameter.
    """

    packed: Tensor

    def __init__(self, linear: NF4Linear, keep: Keep) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.double_quantization = linear.double_quantization
        parts = [part for part in linear.quantized if part is not None]
        as_bytes = [part.reshape(-1).view(torch.uint8) for part in parts]
        self.sizes = [len(part) for part in as_bytes]
        self.packed = keep(torch.cat(as_bytes))
        self.register_parameter("bias", None)

    @property
    def quantized(self) -> NF4:
        """The weight in NF4; at ZeRO-3 the parameter must be gathered."""
        codes, absmax, *outer = self.packed.detach().split(self.sizes)
        if not outer:
            return NF4(codes, _as_floats(absmax))
        scale, offset = map(_as_floats, outer)
        return NF4(codes, absmax, scale, offset.view(()))


def place_on_arrival(
    engine: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype,
    quantization: str | None = None,
) -> Place | None:
    """Return `load_model`'s `place` for a ZeRO stage; None where a plain copy does.

    At stage 3 a rank keeps its part of each tensor. With `quantization` the blocks' linear layers
    are quantised first, whole on each rank one after the other, so that all stages have the same.
    """
    partition = _partition(engine, dtype) if zero_stage(engine) == 3 else None
    if partition is None and quantization is None:
        return None
    copy = copy_on_arrival(device, dtype)

    def place(name: str, tensor: Stored) -> nn.Parameter | nn.Module:
        if quantization and is_linear_weight(name):
            linear = quantize_on_arrival(device, dtype, quantization)(name, tensor)
            assert isinstance(linear, NF4Linear)
            return PackedNF4Linear(linear, partition or _frozen)
        assert isinstance(tensor, Tensor)
        return partition(tensor) if partition else copy(name, tensor)

    return place


def _partition(engine: Mapping[str, Any], dtype: torch.dtype) -> Keep:
    """Return what keeps a rank's part of a tensor, as it is in bytes and otherwise in `dtype`.

    Tensor by tensor, the mapped file is copied to the device and this rank's part is kept, because
    DeepSpeed gathers a weight to the device where it was partitioned. No rank holds a whole tensor
    in the host's memory; where the device is the host, the part is copied from the mapping.
    """
    import deepspeed

    context = deepspeed.zero.Init(config_dict_or_path=dict(engine), dtype=dtype)

    def keep(tensor: Tensor) -> nn.Parameter:
        kept = dtype if tensor.is_floating_point() else tensor.dtype
        parameter = nn.Parameter(tensor.to(context.local_device, kept), requires_grad=False)
        # What Init does to a module's parameters, without its broadcast from rank 0: every rank
        # reads the same file.
        context._convert_to_deepspeed_param(parameter)
        parameter.partition()  # type: ignore[attr-defined]
        parameter.requires_grad_(tensor.is_floating_point())
        return parameter

    return keep


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _as_floats(part: Tensor) -> Tensor:
    # Copied: in the midst of other bytes it need not begin where a float32 may.
    return part.clone().view(torch.float32)
