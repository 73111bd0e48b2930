"""Numbers that the host sends to a device: all those of a pass in one copy, without waiting."""

import struct
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor


def upload(device: torch.device, *lists: Sequence[int]) -> tuple[Tensor, ...]:
    """Send lists of whole numbers together; return each as int64 on the device."""
    sent = _on_host(device, lists).to(device, non_blocking=True)
    return tuple(sent.split_with_sizes([len(numbers) for numbers in lists]))


def upload_into(buffer: Tensor, *lists: Sequence[int]) -> None:
    """Send lists of whole numbers to the beginning of an int64 buffer, one after the other."""
    numbers = _on_host(buffer.device, lists)
    buffer[: len(numbers)].copy_(numbers, non_blocking=True)


def float_bits(numbers: Sequence[float]) -> tuple[int, ...]:
    """Return the bits of float64 numbers as int64, for `bits_to_floats` on the device."""
    return struct.unpack(f"{len(numbers)}q", struct.pack(f"{len(numbers)}d", *numbers))


def bits_to_floats(bits: Tensor) -> Tensor:
    """Return the float64 numbers whose bits these int64 are."""
    return bits.view(torch.float64)


def _on_host(device: torch.device, lists: Sequence[Sequence[int]]) -> Tensor:
    numbers = torch.tensor(list(chain.from_iterable(lists)), dtype=torch.int64)
    # Memory that the device reads by itself, so that the copy goes on beside the host.
    return numbers.pin_memory() if device.type == "cuda" else numbers
