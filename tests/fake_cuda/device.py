"""A pretended CUDA device: what torch's Python side must believe, and who watches what runs on it.

Its guard (device_guard.cpp) is compiled and loaded before torch is imported. Tensors are fake: they
have shapes and no numbers.
"""

import sys
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.cuda.amp.common
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import training.adamw

ROOT = Path(__file__).parents[2]
# The allocator hands out multiples of it.
ALIGNMENT = 512
SCALARS = ("aten._local_scalar_dense.default", "aten.item.default")
# CUDA has kernels of its own for these; a build for CPUs would take them apart.
PRODUCTS = ("mm", "attn")
FUSED = ("silu_backward", "_fused_rms_norm", "_fused_rms_norm_backward")


class Watch(TorchDispatchMode):
    """Counts live bytes on one kind of device, what is read and written there, and waits.

    traffic: Bytes that operators read and write, without those that write in place.
    moved: Those of all operators, in place too, but products and attention.
    kernels: The operators that ran on the device; views are none, and flash attention's are one.
    waits: Where the host waits for the device, and how often: a number that is read, a copy to
        the host's memory (`download`), or one of it that is not told to go on beside (`upload`).
    pageable: Where memory that is not pinned is sent to the device, and how often: the host copies
        it once more.
    uploads: Where memory is sent to the device, and how often, told to go on beside or not.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.live = self.peak = self.traffic = self.moved = 0
        self.kernels: Counter[str] = Counter()
        self.known: set[int] = set()
        self.waits: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self.pageable: Counter[str] = Counter()
        self.pinned: set[int] = set()

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if tensor.device.type != self.device or key in self.known:
            return
        size = -(-storage.nbytes() // ALIGNMENT) * ALIGNMENT
        self.known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def start(self) -> None:
        """Forget what was counted so far but what is alive."""
        self.peak, self.traffic, self.moved = self.live, 0, 0
        self.waits.clear()
        self.uploads.clear()
        self.pageable.clear()
        self.kernels.clear()

    def _free(self, key: int, size: int) -> None:
        self.known.remove(key)
        self.live -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count what it returns; a fake number on the device is 1."""
        given = [value for value in tree_iter((args, kwargs)) if isinstance(value, torch.Tensor)]
        if self.device == "cuda" and str(func) in SCALARS and given[0].is_cuda:
            self.waits[f"{place()} number"] += 1
            return 1.0 if given[0].dtype.is_floating_point else 1
        if self.device == "cuda" and str(func) in SCALARS and isinstance(given[0], FakeTensor):
            return 1.0 if given[0].dtype.is_floating_point else 1
        if self.device == "cuda" and str(func) == "aten._pin_memory.default":
            return self._pin(given[0])
        if self.device == "cuda" and str(func) == "aten.nonzero.default" and given[0].is_cuda:
            # How many there are is a number of the device; here there are none.
            self.waits[f"{place()} number"] += 1
            return torch.empty(0, given[0].dim(), dtype=torch.int64, device=given[0].device)
        result = func(*args, **kwargs or {})
        # One that writes into a list of tensors returns nothing.
        outputs = args[0] if "_foreach_copy_" in str(func) else result
        made = [value for value in tree_iter(outputs) if isinstance(value, torch.Tensor)]
        for tensor in made:
            self.add(tensor)
        if any(not tensor.is_cuda for tensor in given) and any(tensor.is_cuda for tensor in made):
            if str(func).startswith(("aten._to_copy", "aten.copy_")):
                # Copying into a tensor, it is the third argument.
                told = {"non_blocking": True in args[2:]} | (kwargs or {})
                self._count_copy("upload", told)
                self.uploads[place()] += 1
                source = next(tensor for tensor in given if not tensor.is_cuda)
                if source.untyped_storage()._cdata not in self.pinned:
                    self.pageable[place()] += 1
        elif str(func).startswith("aten._to_copy") and given[0].is_cuda and not made[0].is_cuda:
            self._count_copy("download", kwargs)
        elif not (func.namespace == "prim" or _writes_in_place(func)):
            self.traffic += sum(map(_bytes_on_device, [*_read(func, given), *made]))
        if any(tensor.device.type == self.device for tensor in made) and _computes(func):
            self.kernels[str(func)] += 1
            if not any(name in str(func) for name in PRODUCTS):
                # What is written over may be given twice, and a copy does not read it.
                sources = tree_iter(args[1]) if "copy_." in str(func) else given
                read = list({id(tensor): tensor for tensor in sources}.values())
                self.moved += sum(map(_bytes_on_device, [*_read(func, read), *made]))
        return result

    def _count_copy(self, way: str, kwargs: Any) -> None:
        if not (kwargs or {}).get("non_blocking"):
            self.waits[f"{place()} {way}"] += 1

    def _pin(self, tensor: torch.Tensor) -> torch.Tensor:
        pinned = torch.empty_like(tensor)
        key = pinned.untyped_storage()._cdata
        self.pinned.add(key)
        weakref.finalize(pinned.untyped_storage(), self.pinned.discard, key)
        return pinned


def _computes(func: Any) -> bool:
    """Return whether an operator launches a kernel: neither views nor empty memory need one."""
    is_view = any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns)
    return not (is_view or func.namespace == "prim" or "empty" in str(func))


def _writes_in_place(func: Any) -> bool:
    returns = func._schema.returns
    return not returns or any(r.alias_info for r in returns)


def _read(func: Any, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return what an operator reads whole; of a table it reads as much as it writes."""
    return [] if str(func).startswith(("aten.embedding", "aten.index")) else given


def _bytes_on_device(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size() if tensor.is_cuda else 0


def place() -> str:
    """Return the project's innermost function that is running: `training/loop.py train_step`."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(f"{ROOT}/") and not file.startswith((f"{ROOT}/tests/", f"{ROOT}/.venv")):
            return f"{file.removeprefix(f'{ROOT}/')} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


def pretend(watch: Watch) -> torch.library.Library:
    """Make torch's Python side believe in the device; the kernels live as long as the result."""
    library = torch.library.Library("aten", "IMPL")
    for name in FUSED:
        library.impl(name, lambda *_: None, "CUDA")
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda *_, **__: True
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    tensor, attend = torch.tensor, F.scaled_dot_product_attention

    def on_host_first(data: Any, *, device: Any = None, **settings: Any) -> torch.Tensor:
        made = tensor(data, **settings)
        if device is None or torch.device(device).type != "cuda":
            return made
        watch.waits[f"{place()} upload"] += 1
        return torch.empty(made.shape, dtype=made.dtype, device=device)

    def attend_as_cuda(q: Any, k: Any, v: Any, attn_mask: Any = None, **settings: Any) -> Any:
        """Flash attention where there is no mask, else the memory-efficient kernel."""
        if not q.is_cuda:
            return attend(q, k, v, attn_mask=attn_mask, **settings)
        if attn_mask is None:
            return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0]
        mask = attn_mask.expand(*q.shape[:-1], k.shape[-2])
        return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, mask, False)[0]

    # There is no generator on the device; what one draws is pretended, too.
    training.adamw.generator_of = lambda *_: torch.Generator()
    torch.tensor, F.scaled_dot_product_attention = on_host_first, attend_as_cuda
    return library
