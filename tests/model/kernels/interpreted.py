"""Prints as JSON how far each Triton kernel is from its definition; run with TRITON_INTERPRET=1.

An error is the largest difference, as a share of the largest value that the definition gives.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
from tiny_models import LONG_ROPE, random_model
from torch import Tensor

from model.attention import Documents
from model.kernels import triton_norm
from model.kernels.choice import PLAIN, Kernels, find_kernels, use_kernels
from model.kernels.triton_norm import add_and_norm
from model.kernels.triton_rotary import rotate
from model.kernels.triton_swiglu import swiglu
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.recomputation import apply_policy

DTYPES = {"float32": torch.float32, "float16": torch.float16}
SWIGLU_SHAPES = [(5, 1025), (3, 37), (1, 1), (0, 16)]
# Tokens, heads, key heads, head_dim, rotary pairs.
ROTARY_SHAPES = [(5, 9, 3, 16, 8), (3, 2, 1, 24, 12), (4, 3, 3, 20, 4), (2, 6, 5, 200, 70)]
NORM_SHAPES = [(7, 100), (3, 33), (1, 3), (0, 8)]
Function = Callable[..., tuple[Tensor, ...]]


def by_definition_swiglu(gate: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    return (gate / (1 + torch.exp(-gate)) * value,)


def by_definition_rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
    return tuple(turned(heads, torch.complex(cos, sin)) for heads in (q, k))


def turned(heads: Tensor, by: Tensor) -> Tensor:
    """Rotary pairs as complex numbers, multiplied by others of length one."""
    rotary, rest = heads.tensor_split([2 * by.shape[-1]], -1)
    pairs = rotary.unflatten(-1, (by.shape[-1], 2)).contiguous()
    product = torch.view_as_complex(pairs) * by[:, None]
    return torch.cat([torch.view_as_real(product).flatten(-2), rest], -1)


def by_definition_norm(x: Tensor, added: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    summed = x + added
    return summed, summed * (summed.square().mean(-1, keepdim=True) + 1e-5) ** -0.5 * weight


def outcomes(
    function: Function, inputs: list[Tensor], trained: list[Tensor], used: tuple[int, ...]
) -> list[Tensor]:
    """Return the outputs, and the gradients of a weighted sum of those whose index is in `used`."""
    outputs = function(*inputs)
    generator = torch.Generator().manual_seed(1)
    shares = [torch.randn(o.shape, generator=generator).to(o.dtype) for o in outputs]
    chosen, weights = [outputs[i] for i in used], [shares[i] for i in used]
    return [*outputs, *torch.autograd.grad(chosen, trained, weights)]


def errors(
    found: Function,
    wanted: Function,
    inputs: list[Tensor],
    fixed: int = 0,
    used: tuple[int, ...] | None = None,
) -> list[float]:
    """Return the error of every output and of the gradient of all but the last `fixed` inputs."""
    count = len(inputs) - fixed
    own = [x.detach().requires_grad_(i < count) for i, x in enumerate(inputs)]
    exact = [x.detach().double().requires_grad_(i < count) for i, x in enumerate(inputs)]
    used = used or tuple(range(len(wanted(*exact))))
    results = outcomes(found, own, own[:count], used)
    expected = outcomes(wanted, exact, exact[:count], used)
    dtypes = [result.dtype for result in (results[0], *results[-count:])]
    assert dtypes == [x.dtype for x in (inputs[0], *inputs[:count])]
    return [
        float((a - b).detach().abs().max() / b.detach().abs().max().clamp_min(1e-9))
        if b.numel()
        else float(a.shape != b.shape)
        for a, b in zip(results, expected, strict=True)
    ]


def as_tuple(gate: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    return (swiglu(gate, value),)


def swiglu_errors(dtype: torch.dtype) -> dict[str, list[float]]:
    found = {}
    for shape in SWIGLU_SHAPES:
        inputs = [4 * torch.randn(shape).to(dtype) for _ in range(2)]
        found[f"swiglu {shape}"] = errors(as_tuple, by_definition_swiglu, inputs)
    halves = (4 * torch.randn(6, 74).to(dtype)).chunk(2, 1)
    found["swiglu halves of one"] = errors(as_tuple, by_definition_swiglu, list(halves))
    across = [torch.randn(37, 6).to(dtype).t() for _ in range(2)]
    found["swiglu transposed"] = errors(as_tuple, by_definition_swiglu, across)
    return found


def rotary_errors(dtype: torch.dtype) -> dict[str, list[float]]:
    found = {}
    for tokens, heads, key_heads, head_dim, pairs in ROTARY_SHAPES:
        angles = 100 * torch.rand(tokens, pairs)
        # Long RoPE's numbers have a length.
        cos, sin = 1.2 * angles.cos(), 1.2 * angles.sin()
        inputs = [torch.randn(tokens, n, head_dim).to(dtype) for n in (heads, key_heads)]
        name = f"rotary {(tokens, heads, key_heads, head_dim, pairs)}"
        found[name] = errors(rotate, by_definition_rotate, [*inputs, cos, sin], fixed=2)
    turns = torch.polar(torch.ones(4, 5), torch.rand(4, 5))
    parts = torch.randn(4, 6, 10).to(dtype).tensor_split([4], 1)
    given = [*parts, turns.real, turns.imag]
    found["rotary parts of one"] = errors(rotate, by_definition_rotate, given, fixed=2)
    return found


def norm_errors(dtype: torch.dtype) -> dict[str, list[float]]:
    found = {}
    wanted, ours = by_definition_norm, partial(add_and_norm, eps=1e-5)
    for tokens, width in NORM_SHAPES:
        inputs = [torch.randn(tokens, width).to(dtype) for _ in range(2)]
        inputs.append((1 + 0.5 * torch.rand(width)).to(dtype))
        name = f"norm {(tokens, width)}"
        found[name] = errors(ours, wanted, inputs)
        found[f"{name} frozen"] = errors(ours, wanted, inputs, fixed=1)
        found[f"{name} without the sum"] = errors(ours, wanted, inputs, used=(1,))
    inputs = [torch.randn(11, 5).to(dtype) for _ in range(2)] + [torch.rand(5).to(dtype)]
    with patch.object(triton_norm, "PROGRAMS", 4):
        found["norm of more rows than programs"] = errors(ours, wanted, inputs)
    inputs[0] = inputs[0].float()
    found["norm of a float32 stream"] = errors(ours, wanted, inputs)
    return found


def model_error(adapted: bool) -> list[float]:
    """Of a whole model, the error of the loss and the largest one of a gradient's.

    All weights are trained, or an adapter, with what training computes again.
    """
    found = loss_and_gradients(small_model(adapted), find_kernels("triton", torch.device("cuda")))
    wanted = loss_and_gradients(small_model(adapted).double(), PLAIN)
    errors = [
        float((own - exact).abs().max() / exact.abs().max())
        for own, exact in zip(found, wanted, strict=True)
    ]
    return [errors[0], max(errors)]


def small_model(adapted: bool) -> Transformer:
    model = random_model(replace(LONG_ROPE, qk_norm=True, tied_embeddings=True))
    if adapted:
        add_lora(model, LoraConfig(rank=2, alpha=4.0))
        for state in adapter_state(model).values():
            torch.nn.init.normal_(state, std=0.1)
        apply_policy(model, "none")
    return model


def loss_and_gradients(model: Transformer, kernels: Kernels) -> list[Tensor]:
    """Return the loss of two documents and the gradients of what is trained."""
    use_kernels(model, kernels)
    tokens = torch.arange(9)
    documents = Documents([0, 5, 9])
    logits = model(tokens, tokens % 5, documents, output_positions=tokens[2:])
    loss = F.cross_entropy(logits, tokens[:7])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [loss.detach(), *torch.autograd.grad(loss, trained)]


if __name__ == "__main__":
    torch.manual_seed(0)
    found = {
        f"{name} {case}": errors
        for name, dtype in DTYPES.items()
        for measured in (swiglu_errors, rotary_errors, norm_errors)
        for case, errors in measured(dtype).items()
    }
    models = {"whole model": model_error(adapted=False), "adapted model": model_error(adapted=True)}
    print(json.dumps(found | models))
