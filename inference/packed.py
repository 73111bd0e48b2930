"""Weights laid out for the CPU's matrix kernels, for a model that only generates.

PyTorch gives a float32 product to MKL, which uses half the vector width of some processors, and
a bfloat16 one to oneDNN, which lays the weight out anew at every call. oneDNN on a weight that was
laid out once takes half the time or less; in bfloat16 its numbers are the same bit for bit.

Shapes: T tokens, I inputs, O outputs.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.lora.adapter import WRAPPERS
from model.lora.dora import DoraLinear
from model.quantized import QuantizedLinear
from model.transformer import Transformer

# Multiplications in float32 below which MKL is done before oneDNN has begun (10 microseconds).
WORTH_BEGINNING = 2**20


class PackedLinear(nn.Module):
    """A linear layer to be used and not trained; a weight too small to be packed stays plain."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        half = weight.dtype == torch.bfloat16
        self.least_tokens = 0 if half else WORTH_BEGINNING // weight.numel()
        if self.least_tokens <= 1:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
            self.least_tokens = 0
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor, head: Callable[[Tensor, Tensor], Tensor] = F.linear) -> Tensor:
        """x [T, I] to [T, O]; where it projects to the vocabulary, by no other `head`."""
        assert head is F.linear, "a packed model gives logits"
        if len(x) < self.least_tokens:
            return F.linear(x, self.weight, self.bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return product


def pack(model: Transformer) -> None:
    """Freeze a model and pack its linear layers in place, one after the other.

    It can generate then, and adapters can be attached and detached, but it cannot be saved. It
    needs no more memory than before, except where embedding and output are tied, and the embedding
    is kept beside the packed output, and where layers are quantised: a CPU would take many times as
    long to dequantise them for each token as to multiply, so they are dequantised once, to the
    dtype that they compute in. On a GPU it is only frozen. Without oneDNN, and in a dtype that is
    not the processor's (`native_dtype`), nothing is packed. An adapter that is there is rounded.
    """
    model.requires_grad_(False)
    round_adapter(model)
    weight = model.tok_embeddings.weight
    if weight.device.type != "cpu":
        return
    packs = torch.backends.mkldnn.is_available() and weight.dtype == native_dtype(weight.dtype)
    kinds = (nn.Linear, QuantizedLinear) if packs else QuantizedLinear
    linears = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    for name in linears:
        linear = model.get_submodule(name)
        if isinstance(linear, QuantizedLinear):
            linear = _dequantized(linear, weight.dtype)
        assert isinstance(linear, nn.Linear)
        layer = PackedLinear(linear.weight, linear.bias) if packs else linear
        model.set_submodule(name, layer, strict=True)


def round_adapter(model: Transformer) -> None:
    """Round an adapter's float32 masters to the dtype of the model, which computes with them in it.

    Otherwise they are rounded again in every pass, to the same numbers. Those of DoRA stay: the
    lengths of its rows are computed of the masters. Do it to an adapter that is neither trained nor
    saved.
    """
    dtype = model.tok_embeddings.weight.dtype
    for module in model.modules():
        if isinstance(module, WRAPPERS) and not isinstance(module, DoraLinear):
            for name, parameter in module.named_parameters():
                if not name.startswith("base."):
                    parameter.data = parameter.data.to(dtype)


def _dequantized(linear: QuantizedLinear, dtype: torch.dtype) -> nn.Linear:
    with torch.device("meta"):
        plain = nn.Linear(linear.in_features, linear.out_features, bias=False)
    plain.weight = nn.Parameter(linear.dequantized(dtype), requires_grad=False)
    bias = None if linear.bias is None else nn.Parameter(linear.bias, requires_grad=False)
    plain.register_parameter("bias", bias)
    return plain


def native_dtype(stored: torch.dtype) -> torch.dtype:
    """Return the dtype in which this processor computes weights that are `stored` in another.

    A processor without instructions for bfloat16 takes fifty times as long for a product in it as
    for one in float32, and five times with AVX-512, where oneDNN says that it supports it.
    """
    onednn = torch.backends.mkldnn.is_available()
    imitated = torch.cpu._is_avx512_supported() and not torch.cpu._is_avx512_bf16_supported()
    half = onednn and not imitated and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return stored if stored == torch.bfloat16 and half else torch.float32
