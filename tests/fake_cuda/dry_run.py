"""Measure training steps on a pretended CUDA device: a program of its own, since the device must be
there before torch is imported.

    python tests/fake_cuda/dry_run.py LIBRARY '[{"size": "8b", ...}, ...]'

Prints one JSON object a case: the peak of live device bytes in the second step, and its batches.
"""

import ctypes
import json
import sys
import weakref
from itertools import chain
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    ctypes.CDLL(sys.argv[1])

import numpy as np
import torch
import torch.cuda.amp.common
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from benchmarks.conversations import RandomConversations
from benchmarks.ours import Optimizer
from data.batches import Batches
from model import nf4
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.shapes import SHAPES
from model.transformer import Transformer
from training.backends import NativeBackend
from training.loop import train_step
from training.recomputation import apply_policy
from weights.building import is_linear_weight

# The allocator hands out multiples of it.
ALIGNMENT = 512
ANSWERS = ("aten._local_scalar_dense.default", "aten.item.default")
# CUDA has kernels of its own for these; a build for CPUs would take them apart.
FUSED = ("silu_backward", "_fused_rms_norm", "_fused_rms_norm_backward")
LORA = {
    "qv": LoraConfig(32, 32.0, targets=("wq", "wv")),
    "all": LoraConfig(16, 16.0),
    "nf4": LoraConfig(16, 16.0),
    "full": None,
}


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages on one kind of device that are alive, and their maximum."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.live = self.peak = 0
        self.known: set[int] = set()

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

    def _free(self, key: int, size: int) -> None:
        self.known.remove(key)
        self.live -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count what it returns; a fake number on the device is 1."""
        if str(func) in ANSWERS and self.device == "cuda":
            return 1.0 if args[0].dtype.is_floating_point else 1
        result = func(*args, **kwargs or {})
        for value in tree_iter(result):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return result


class Filled:
    """As many conversations of real lengths as fill two micro-batches."""

    def __init__(self, vocab_size: int, micro_batch_tokens: int) -> None:
        self.base = RandomConversations(vocab_size)
        ends = np.cumsum(np.tile(self.base.lengths, 4))
        count = int(np.searchsorted(ends, 2 * micro_batch_tokens - 80))
        self.lengths = np.tile(self.base.lengths, 4)[:count]

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, index: int) -> np.ndarray:
        return self.base.tokens(index % len(self.base))

    def trained(self, index: int) -> np.ndarray:
        return self.base.trained(index % len(self.base))


def pretend() -> None:
    """Make torch's Python side believe in the device, and know the kernels CUDA has."""
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda *_, **__: True
    tensor = torch.tensor

    def on_host_first(data: Any, *, device: Any = None, **settings: Any) -> torch.Tensor:
        made = tensor(data, **settings)
        return made if device is None else torch.empty_like(made, device=device)

    torch.tensor = on_host_first


def quantize_linears(model: Transformer) -> None:
    """Put layers with the bytes of NF4 and double quantisation in place of the linear ones."""
    # Its tables belong to the case that made them.
    nf4._absmax_table.cache_clear()
    for name, weight in list(model.named_parameters()):
        if is_linear_weight(name):
            count, blocks = weight.numel(), weight.numel() // nf4.BLOCK
            codes, absmax = (
                torch.empty(size, dtype=torch.uint8, device="cuda") for size in (count // 2, blocks)
            )
            outer = torch.empty(-(-blocks // nf4.BLOCK_OF_ABSMAX), device="cuda")
            packed = nf4.NF4(codes, absmax, outer, torch.empty((), device="cuda"))
            linear = nf4.NF4Linear(packed, in_features=weight.shape[1], out_features=len(weight))
            model.set_submodule(name.removesuffix(".weight"), linear)


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Run two steps of a case; return the peak in the second and the shape of its batches."""
    size = SHAPES[case["size"]]
    lora = LORA[case["method"]]
    data = Filled(size.vocab_size, case["tokens"])
    batches = Batches(data, len(data), case["tokens"], 3).step(0)
    counter = LiveBytes("cuda")
    with FakeTensorMode(allow_non_fake_inputs=True), counter:
        torch.set_default_dtype(torch.bfloat16 if lora else torch.float32)
        with torch.device("cuda"):
            model = Transformer(size)
        torch.set_default_dtype(torch.float32)
        if case["method"] == "nf4":
            quantize_linears(model)
        if lora:
            add_lora(model, lora)
        for tensor in chain(model.parameters(), model.buffers()):
            counter.add(tensor)
        apply_policy(model.train(), case["policy"])
        backend = NativeBackend(
            model, Optimizer(), torch.device("cuda"), torch.bfloat16, autocast=lora is None
        )
        run = SimpleNamespace(
            batches=SimpleNamespace(step=lambda number: batches), rate=lambda number: 1e-4
        )
        train_step(run, backend, 0)
        counter.peak = counter.live
        train_step(run, backend, 1)
    return {
        **case,
        "peak": counter.peak,
        "micro_batches": [[len(b.tokens), len(b.targets)] for b in batches],
    }


if __name__ == "__main__":
    library = torch.library.Library("aten", "IMPL")
    for name in FUSED:
        library.impl(name, lambda *_: None, "CUDA")
    pretend()
    for case in json.loads(sys.argv[2]):
        print(json.dumps(measure(case)), flush=True)
