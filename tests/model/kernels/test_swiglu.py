"""SwiGLU as one function beside its definition."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.kernels.swiglu import swiglu

SHAPES = [(1, 1), (7, 13), (64, 128), (0, 8)]


def by_definition(gate: Tensor, value: Tensor) -> Tensor:
    return F.silu(gate) * value


def results(function: object, *inputs: Tensor) -> list[Tensor]:
    """Return the output and the gradients of a function for one drawn output gradient."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = function(*leaves)  # type: ignore[operator]
    drawn = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    output.backward(drawn.to(output.dtype))
    return [output.detach(), *(leaf.grad for leaf in leaves)]  # type: ignore[misc]


def drawn(shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator) * 3, torch.randn(shape, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients_equal_the_definition_in_float32(shape: tuple[int, int]) -> None:
    wanted = results(by_definition, *drawn(shape))
    for found, tensor in zip(results(swiglu, *drawn(shape)), wanted, strict=True):
        torch.testing.assert_close(found, tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precisions_err_no_more_than_the_definition(dtype: torch.dtype) -> None:
    inputs = [tensor.to(dtype) for tensor in drawn((64, 128))]
    exact = results(by_definition, *(tensor.double() for tensor in inputs))
    plain, own = results(by_definition, *inputs), results(swiglu, *inputs)
    for found, by_operators, wanted in zip(own, plain, exact, strict=True):
        assert found.dtype == dtype
        assert (found - wanted).norm() <= 1.2 * (by_operators - wanted).norm()


def test_backward_pass_keeps_gate_and_value_alone() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    gate, value = (tensor.requires_grad_() for tensor in drawn((7, 13)))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        swiglu(gate, value)
    assert [tensor.data_ptr() for tensor in kept] == [gate.data_ptr(), value.data_ptr()]


def test_incoming_gradient_stays_as_it_is() -> None:
    gate, value = (tensor.requires_grad_() for tensor in drawn((7, 13)))
    incoming = torch.ones(7, 13)
    swiglu(gate, value).backward(incoming)
    assert torch.equal(incoming, torch.ones(7, 13))
