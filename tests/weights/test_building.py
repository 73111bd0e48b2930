"""What becomes of each tensor when a model is built: copied, or quantised on arrival."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from anonymous_memory import peak_bytes
from native_directories import write_native
from tiny_models import FAMILY_SHAPES, TINY
from torch import Tensor, nn

from model.fp8 import quantize_rows
from model.nf4 import dequantize, quantize
from model.quantized import QUANTIZATIONS, QuantizedLinear
from weights.building import quantize_on_arrival
from weights.directory import load_model, open_weights
from weights.table import bitwise_equal, expected_shapes


def test_the_hook_takes_each_tensor_once_with_its_name(tmp_path: Path) -> None:
    config = FAMILY_SHAPES["qwen2"]
    state = open_weights(write_native(tmp_path / "native", config))
    taken: list[str] = []

    def place(name: str, tensor: Tensor) -> nn.Parameter:
        assert bitwise_equal(tensor, state[name])
        taken.append(name)
        return nn.Parameter(tensor.clone())

    load_model(tmp_path / "native", place=place)
    assert sorted(taken) == sorted(expected_shapes(config))


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_linear_layers_are_quantized_on_arrival_and_the_rest_copied(
    tmp_path: Path, quantization: str
) -> None:
    config = FAMILY_SHAPES["qwen2"]
    state = open_weights(write_native(tmp_path / "native", config))
    place = quantize_on_arrival("cpu", torch.bfloat16, quantization)
    model = load_model(tmp_path / "native", place=place)
    linears = {name for name, m in model.named_modules() if isinstance(m, QuantizedLinear)}
    assert len(linears) == 7 * config.n_layers
    for name in linears:
        linear, weight = model.get_submodule(name), state[f"{name}.weight"]
        if quantization == "fp8":
            values, scale = quantize_rows(weight)
            wanted = values.float() * scale
        else:
            packed = quantize(weight, quantization == "nf4_double")
            wanted = dequantize(packed, tuple(weight.shape), torch.float32)
        assert torch.equal(linear.dequantized(torch.float32), wanted)
    parameters = dict(model.named_parameters())
    assert set(parameters) == set(state) - {f"{name}.weight" for name in linears}
    for name, parameter in parameters.items():
        assert bitwise_equal(parameter.detach(), state[name].bfloat16())


def test_weight_that_fp8_cannot_multiply_is_refused_by_name(tmp_path: Path) -> None:
    config = replace(TINY, hidden_dim=120)
    write_native(tmp_path / "native", config)
    with pytest.raises(
        ValueError, match=r"feed_forward.w1.weight is \[120, 64\], wanted multiples"
    ):
        load_model(tmp_path / "native", place=quantize_on_arrival("cpu", None, "fp8"))


LOAD_QUANTIZED = """
import torch
from weights.building import quantize_on_arrival
from weights.directory import load_model

def convert(folder):
    models.append(load_model(folder, place=quantize_on_arrival("cpu", torch.bfloat16)))

models = []
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is read from /proc")
def test_a_model_is_quantized_without_ever_being_whole_in_memory(tmp_path: Path) -> None:
    config = replace(TINY, dim=1024, n_heads=16, head_dim=64, hidden_dim=4096)
    for name, layers in (("small", 1), ("large", 8)):
        write_native(tmp_path / name, replace(config, n_layers=layers), torch.bfloat16)
    whole = sum(tensor.nbytes for tensor in open_weights(tmp_path / "large").values())
    peak = peak_bytes(LOAD_QUANTIZED, tmp_path / "small", tmp_path / "large")
    assert peak < whole * 4.127 / 16 + 32 * 2**20 < whole / 2
