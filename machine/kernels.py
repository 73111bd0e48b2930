"""What a training step and a reply compute with, each tried with a tiny input: trials.

Shapes: T tokens, H heads, K key/value heads, E head_dim, D width, I inputs, O outputs.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from machine.requirements import read_known
from machine.trial import NotHereError, NoticeError, Trial
from model.attention import LONG_DOCUMENT, Documents, attend
from model.blockwise import has_bitsandbytes, slow_kernels_line
from model.fp8 import FP8Linear, quantize_rows
from model.kernels.choice import PLAIN, find_kernels
from model.nf4 import NF4Linear, dequantize, quantize
from training.adamw import AdamW

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# How far results may be from those in float32, relative to the largest.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}


def _random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(DEVICE, dtype)


def check_close(name: str, found: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Raise ValueError where a result is not the wanted one but for rounding."""
    wanted = wanted.double()
    distance = (found.double() - wanted).abs().max() / wanted.abs().max()
    # Not >, which is false of NaN.
    if not distance <= tolerance:
        raise ValueError(f"{name} differs by {distance:.1%} of the largest value, wrong kernels")


def _product(dtype: torch.dtype) -> str:
    x, weight = _random(16, 64), _random(32, 64)
    check_close("the product", x.to(dtype) @ weight.to(dtype).T, x @ weight.T, TOLERANCE[dtype])
    if (
        DEVICE.type == "cuda"
        and dtype is torch.bfloat16
        and not torch.cuda.is_bf16_supported(False)
    ):
        raise NoticeError("computed, but not by this card's units: add --model.dtype=float16")
    return ""


def _attention(dtype: torch.dtype, lengths: tuple[int, ...], window: int | None = None) -> str:
    """Compare attention and its gradients with PyTorch's own in float32, a document at a time."""
    total, heads, kv_heads = sum(lengths), 4, 2
    inputs = [_random(total, count, 64, dtype=dtype) for count in (heads, kv_heads, kv_heads)]
    offsets = [sum(lengths[:index]) for index in range(len(lengths) + 1)]
    documents = Documents(offsets, DEVICE)
    q, k, v = ours = [tensor.clone().requires_grad_() for tensor in inputs]
    exact = [tensor.float().requires_grad_() for tensor in inputs]
    found = attend(q, k, v, documents, window)
    pieces = zip(*(tensor.split(lengths) for tensor in exact), strict=True)
    wanted = torch.cat([_plain_attention(q, k, v, window) for q, k, v in pieces])
    tolerance = TOLERANCE[dtype]
    check_close("attention", found, wanted, tolerance)
    pull = _random(total, heads, 64)
    gradients = torch.autograd.grad(found, ours, pull.to(dtype))
    for name, gradient, expected in zip(
        "qkv", gradients, torch.autograd.grad(wanted, exact, pull), strict=True
    ):
        check_close(f"the gradient of {name}", gradient, expected, tolerance)
    return ""


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    groups = q.shape[1] // k.shape[1]
    keys, values = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = torch.einsum("qhe,khe->hqk", q, keys) * q.shape[-1] ** -0.5
    seen = torch.ones(len(q), len(q), dtype=torch.bool, device=q.device).tril()
    if window is not None:
        seen &= ~seen.tril(-window)
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khe->qhe", weights, values)


def _triton(run: Callable[[], None]) -> str:
    if DEVICE.type != "cuda":
        raise NotHereError("Triton's kernels run on CUDA")
    run()
    return ""


def _triton_swiglu() -> None:
    gate, value = _random(8, 96), _random(9, 96)[:8]
    found = find_kernels("triton", DEVICE).swiglu(gate, value)
    check_close("SwiGLU", found, PLAIN.swiglu(gate, value), 1e-4)


def _triton_rotary() -> None:
    q, k = _random(8, 4, 64), _random(8, 2, 64)
    turns = torch.polar(torch.ones(8, 1, 32, device=DEVICE), _random(8, 1, 32))
    found = find_kernels("triton", DEVICE).rotate(q, k, turns)
    for name, ours, wanted in zip("qk", found, PLAIN.rotate(q, k, turns), strict=True):
        check_close(f"the rotated {name}", ours, wanted, 1e-4)


def _triton_norm() -> None:
    x, added, weight = _random(8, 96), _random(9, 96)[:8], _random(96)
    found = find_kernels("triton", DEVICE).add_and_norm(x, added, weight, 1e-5)
    wanted = PLAIN.add_and_norm(x, added, weight, 1e-5)
    for name, ours, plain in zip(("the sum", "its norm"), found, wanted, strict=True):
        check_close(name, ours, plain, 1e-4)


def _nf4(double: bool) -> str:
    weight, x = _random(64, 128), _random(4, 128)
    packed = quantize(weight, double)
    plain = dequantize(packed, (64, 128), torch.float32)
    check_close("the weight in four bits", plain, weight, 0.2)
    layer = NF4Linear(packed, 128, 64)
    check_close("the weight read back", layer.dequantized(torch.float32), plain, 1e-4)
    with torch.no_grad():
        check_close("the product", layer(x), x @ plain.T, 1e-3)
    if line := slow_kernels_line(DEVICE):
        raise NoticeError(line)
    return "by bitsandbytes" if DEVICE.type == "cuda" else "by PyTorch's operators"


def _fp8() -> str:
    if DEVICE.type == "cuda" and torch.cuda.get_device_capability() < (8, 9):
        raise NotHereError("products in FP8 want a card of capability 8.9 or more")
    weight, x = _random(32, 64, dtype=torch.bfloat16), _random(16, 64, dtype=torch.bfloat16)
    with torch.no_grad():
        found = FP8Linear(quantize_rows(weight))(x)
    check_close("the product", found, x.float() @ weight.float().T, 0.1)
    return ""


def _fused_adamw() -> str:
    found = _stepped(torch.optim.AdamW, fused=True)
    wanted = _stepped(torch.optim.AdamW, fused=False, foreach=False)
    check_close("the weight after a step", found, wanted, 1e-5)
    return ""


def _adamw8bit() -> str:
    # As large as moments in 8 bits begin at.
    found = _stepped(AdamW, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    wanted = _stepped(torch.optim.AdamW, betas=(0.9, 0.99), weight_decay=0.0)
    check_close("the weight after a step", found, wanted, 1e-3)
    uses = DEVICE.type == "cuda" and has_bitsandbytes()
    return "by bitsandbytes" if uses else "by PyTorch's operators"


def _stepped(kind: Callable[..., torch.optim.Optimizer], **settings: object) -> Tensor:
    parameter = nn.Parameter(_random(64, 64))
    optimizer = kind([parameter], **settings)
    optimizer.param_groups[0]["lr"] = 0.01
    parameter.grad = _random(64, 64).sin()
    optimizer.step()
    return parameter.detach()


_KNOWN = read_known()
_TORCH = f"install torch again: python -m pip install --force-reinstall {_KNOWN['torch']}"
_HALF = "train without {0}: python finetune.py --model.dtype={1}"
_TRITON = f"install Triton: python -m pip install {_KNOWN['triton']}"
_BITSANDBYTES = f"install its kernels: python -m pip install {_KNOWN['bitsandbytes']}"
_WITHOUT = {
    torch.float32: _TORCH,
    torch.bfloat16: _HALF.format("bfloat16", "float16"),
    torch.float16: _HALF.format("float16", "bfloat16"),
}
_NAMES = {dtype: str(dtype).removeprefix("torch.") for dtype in _WITHOUT}

TRIALS = {f"product, {_NAMES[d]}": Trial(partial(_product, d), _WITHOUT[d]) for d in _WITHOUT}
TRIALS |= {
    f"attention, {_NAMES[dtype]}": Trial(partial(_attention, dtype, (5, 40, 19)), todo)
    for dtype, todo in _WITHOUT.items()
}
TRIALS |= {
    "attention, long": Trial(partial(_attention, torch.float32, (LONG_DOCUMENT + 6,)), _TORCH),
    "attention, window": Trial(partial(_attention, torch.bfloat16, (5, 40), 16), _TORCH),
    "triton SwiGLU": Trial(partial(_triton, _triton_swiglu), _TRITON),
    "triton rotary": Trial(partial(_triton, _triton_rotary), _TRITON),
    "triton norm": Trial(partial(_triton, _triton_norm), _TRITON),
    "NF4": Trial(partial(_nf4, False), _BITSANDBYTES),
    "NF4, double": Trial(partial(_nf4, True), _BITSANDBYTES),
    "FP8": Trial(_fp8, _TORCH),
    "AdamW, fused": Trial(_fused_adamw, _TORCH),
    "AdamW, 8 bits": Trial(_adamw8bit, _BITSANDBYTES),
}
