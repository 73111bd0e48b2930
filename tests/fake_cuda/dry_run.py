"""Run training steps, validation and generation on a pretended CUDA device: a program of its own,
since the device must be there before torch is imported.

    cd tests; echo '{"kind": "step", "size": "8b", ...}' | python -m fake_cuda.dry_run LIBRARY

Reads a JSON object a case from a line and prints one: the case, and what was counted.
"""

import ctypes
import gc
import json
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

if __name__ == "__main__":
    ctypes.CDLL(sys.argv[1])

import numpy as np
import torch
from fake_cuda.device import Watch, pretend
from torch._subclasses.fake_tensor import FakeTensorMode

import inference.passes
import training.loop
from benchmarks.conversations import RandomConversations
from benchmarks.ours import Optimizer
from data.batches import Batch, Batches
from inference.generate import Batch as Rows
from inference.generate import Decoding, Row
from inference.packed import pack
from model.config import ModelConfig
from model.lora.adapter import add_lora, matching_linears
from model.lora.config import ALL_LINEARS, LoraConfig
from model.nf4 import BLOCK, BLOCK_OF_ABSMAX, NF4, NF4Linear
from model.shapes import SHAPES
from model.transformer import Transformer
from training.backends import NativeBackend
from training.feed import Feed
from training.loop import train_step, validate
from training.loss import summed_cross_entropy
from training.objective import Supervised, batch_loss
from training.preference import GROUP_SIZE, Preference
from training.recomputation import apply_policy
from weights.building import quantized_linear

LORA = {
    "qv": LoraConfig(32, 32.0, targets=("wq", "wv")),
    "all": LoraConfig(16, 16.0),
    "qlora": LoraConfig(16, 16.0),
    "fp8": LoraConfig(16, 16.0),
    "full": None,
    "least": None,
}
QUANTIZATION = {"qlora": "nf4_double", "fp8": "fp8"}
OPTIMIZERS = {
    "least": Optimizer(kind="adamw8bit", clip_norm=None, in_backward=True, stochastic_rounding=True)
}
# What preference training reads of its section.
SETTINGS: Any = SimpleNamespace(
    beta=0.1,
    label_smoothing=0.1,
    length_normalised=True,
    reference_free=False,
    supervised_weight=0.1,
)
CUDA = torch.device("cuda")


class Filled:
    """As many conversations of real lengths as fill two micro-batches."""

    def __init__(self, vocab_size: int, micro_batch_tokens: int, group_size: int) -> None:
        self.base = RandomConversations(vocab_size)
        ends = np.cumsum(np.tile(self.base.lengths, 4))
        count = int(np.searchsorted(ends, 2 * micro_batch_tokens - 80))
        count -= count % group_size
        self.lengths = np.tile(self.base.lengths, 4)[:count]

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, index: int) -> np.ndarray:
        return self.base.tokens(index % len(self.base))

    def trained(self, index: int) -> np.ndarray:
        return self.base.trained(index % len(self.base))


class Steady:
    """The same batches at every step."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def step(self, number: int) -> list[Batch]:
        return self.batches

    def counts(self, number: int) -> tuple[int, int]:
        trained = sum(len(batch.targets) for batch in self.batches)
        return trained, sum(len(batch.tokens) for batch in self.batches)

    def groups(self, number: int) -> list[int]:
        return [0]


def shape_of(case: dict[str, Any]) -> ModelConfig:
    """Return the shape a case names, with as many `layers` as it wants."""
    shape = SHAPES[case["size"]]
    return replace(shape, n_layers=case.get("layers", shape.n_layers))


def build(case: dict[str, Any], watch: Watch) -> Transformer:
    """Return a model without numbers on the device, its frozen weights in bfloat16."""
    method = case["method"]
    lora = LORA[method]
    torch.set_default_dtype(torch.float32 if method == "full" else torch.bfloat16)
    with CUDA:
        model = Transformer(shape_of(case))
    torch.set_default_dtype(torch.float32)
    if method == "qlora":
        quantize_all(model)
    if method == "fp8":
        for name in list(matching_linears(model, ALL_LINEARS)):
            weight = model.get_parameter(f"{name}.weight")
            model.set_submodule(name, quantized_linear(weight, "fp8"))
    if lora:
        add_lora(model, lora)
    for tensor in (*model.parameters(), *model.buffers()):
        watch.add(tensor)
    return model


def quantize_all(model: Transformer) -> None:
    """Replace the blocks' linear layers by those in NF4, double, without numbers."""
    for name in list(matching_linears(model, ALL_LINEARS)):
        linear = model.get_submodule(name)
        count = linear.in_features * linear.out_features
        parts = NF4(
            codes=torch.empty(count // 2, dtype=torch.uint8, device=CUDA),
            absmax=torch.empty(count // BLOCK, dtype=torch.uint8, device=CUDA),
            absmax_scale=torch.empty(-(-count // BLOCK // BLOCK_OF_ABSMAX), device=CUDA),
            offset=torch.empty(1, device=CUDA),
        )
        model.set_submodule(name, NF4Linear(parts, linear.in_features, linear.out_features))


def prepare(case: dict[str, Any], watch: Watch) -> tuple[Any, NativeBackend, list[Batch]]:
    """Return what a step of a case needs: the run, its backend and the step's batches."""
    group_size = GROUP_SIZE if case.get("preference") else 1
    data = Filled(SHAPES[case["size"]].vocab_size, case["tokens"], group_size)
    optimizer = OPTIMIZERS.get(case["method"], Optimizer())
    groups = len(data) // group_size
    batches = Batches(data, groups, case["tokens"], 3, group_size=group_size).step(0)
    if optimizer.in_backward:
        batches = batches[:1]
    model = build(case, watch)
    apply_policy(model.train(), case["policy"])
    autocast = case["method"] == "full"
    backend = NativeBackend(model, optimizer, CUDA, torch.bfloat16, autocast=autocast)
    run = SimpleNamespace(
        feed=Feed(cast(Batches, Steady(batches)), CUDA),
        rate=lambda number: 1e-4,
        skips=False,
        validation=lambda: batches,
        objective=Preference(SETTINGS) if case.get("preference") else Supervised(),
    )
    return run, backend, batches


def step(case: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Run two steps; return the second's peak and waits, and the shape of its batches."""
    run, backend, batches = prepare(case, watch)
    # Figures of fake tensors say nothing of the weights.
    training.loop.check_step = lambda *figures: None
    train_step(run, backend, 0)
    watch.start()
    train_step(run, backend, 1)
    shapes = [[len(batch.tokens), len(batch.targets)] for batch in batches]
    counted = {"waits": dict(watch.waits), "pageable": dict(watch.pageable)}
    return counted | {"peak": watch.peak, "micro_batches": shapes}


def passes(case: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Run a micro-batch forward and backward after another; return its kernels and tokens."""
    _, backend, batches = prepare(case, watch)
    for batch in batches[:2]:
        watch.start()
        loss = batch_loss(backend, batch, summed_cross_entropy)
        backend.backward(loss, last=False)
    counted = {"kernels": sum(watch.kernels.values()), "moved": watch.moved}
    return counted | {"tokens": len(batch.tokens)}


def validation(case: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Validate twice on two micro-batches; return the second's peak and waits."""
    run, backend, batches = prepare(case, watch)
    validate(run, backend)
    before = watch.live
    watch.start()
    validate(run, backend)
    rows = max(len(batch.tokens) for batch in batches)
    counted = {"waits": dict(watch.waits), "pageable": dict(watch.pageable)}
    return counted | {"peak": watch.peak - before, "tokens": rows}


def generation(case: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Let rows read their prompts, then write; return what both passes read, write and wait for."""
    model = build(case, watch).eval()
    pack(model)
    # There is nothing to record passes with; they run as they would while they are recorded.
    inference.passes.Recorder.__call__ = lambda _, forward: forward
    decoding = Decoding({128009}, 40, temperature=case["temperature"], top_p=0.9)
    rows = Rows(model, case["rows"], 512, case.get("cuda_graphs", False))
    # DeepSpeed's rule for models that are trained, because fake tensors know no inference mode.
    rows._mode = torch.no_grad
    rows.rows = [Row.of(index, [5] * 299 + [index], decoding) for index in range(case["rows"])]
    counted = {}
    for name in ("prefill", "first", "decode"):
        watch.start()
        rows.step()
        counted[name] = {
            "waits": dict(watch.waits),
            "uploads": dict(watch.uploads),
            "pageable": dict(watch.pageable),
            "traffic": watch.traffic,
            "kernels": sum(watch.kernels.values()),
        }
    return counted


KINDS = {"step": step, "passes": passes, "validation": validation, "generation": generation}


if __name__ == "__main__":
    watch = Watch("cuda")
    kernels = pretend(watch)
    with FakeTensorMode(allow_non_fake_inputs=True), watch:
        for case in map(json.loads, sys.stdin):
            print(json.dumps(case | KINDS[case["kind"]](case, watch)), flush=True)
            # A block whose `forward` was replaced refers to itself.
            gc.collect()
