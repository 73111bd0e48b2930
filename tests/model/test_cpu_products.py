"""Products with weights by oneDNN: their values, and which go to it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.ours import Ours, prepared, random_base, random_batches
from benchmarks.sizes import SIZES
from model import cpu_products
from model.cpu_products import is_intel, linear, multiplied

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="needs PyTorch with oneDNN"
)
Products = Callable[[bool], list[int]]


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> Products:
    """Return what switches oneDNN on or off, and returns the list that its calls are noted in."""
    product = cpu_products._by_onednn

    def switch(on: bool) -> list[int]:
        calls: list[int] = []

        def noted(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            calls.append(len(x) * weight.numel())
            return product(x, weight, bias)

        monkeypatch.setattr(cpu_products, "uses_onednn", lambda: on)
        monkeypatch.setattr(cpu_products, "_by_onednn", noted)
        return calls

    return switch


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@needs_onednn
@pytest.mark.parametrize(
    ("tokens", "inputs", "outputs"), [(512, 64, 96), (33, 352, 128), (2048, 16, 64)]
)
@pytest.mark.parametrize("on", [True, False])
def test_products_are_those_of_the_definition(
    on: bool, tokens: int, inputs: int, outputs: int, onednn: Products
) -> None:
    calls = onednn(on)
    x, weight, bias = drawn(tokens, inputs), drawn(outputs, inputs), drawn(outputs)
    y, total = drawn(outputs, tokens).t(), drawn(tokens, inputs)
    wide = [t.double() for t in (x, weight, bias, y, total)]
    near = {"rtol": 1e-5, "atol": 1e-4}
    torch.testing.assert_close(linear(x, weight).double(), wide[0] @ wide[1].t(), **near)
    with_bias = wide[0] @ wide[1].t() + wide[2]
    torch.testing.assert_close(linear(x, weight, bias).double(), with_bias, **near)
    torch.testing.assert_close(multiplied(y, weight).double(), wide[3] @ wide[1], **near)
    added = multiplied(y, weight, total)
    assert added.data_ptr() == total.data_ptr()
    torch.testing.assert_close(added.double(), wide[4] + wide[3] @ wide[1], **near)
    assert len(calls) == 4 * on


@needs_onednn
def test_small_bfloat16_and_autocast_products_stay_pytorchs(onednn: Products) -> None:
    calls = onednn(True)
    x, weight = drawn(512, 64), drawn(96, 64)
    linear(x[:8], weight)
    linear(x.bfloat16(), weight.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    assert calls == []


@needs_onednn
def test_a_step_is_the_same_by_both_libraries(onednn: Products) -> None:
    size = SIZES["tiny"]
    model = prepared(random_base(size.model, torch.device("cpu")))
    batches = random_batches(size.model, size.batch_size, size.micro_batch_tokens)
    calls = onednn(True)
    loss, gradients = Ours(model, size).loss_and_gradients(batches)
    # Seven layers of four blocks forward, most of them backward, and the loss.
    assert len(calls) > 2 * 7 * 4
    onednn(False)
    wanted, plain = Ours(model, size).loss_and_gradients(batches)
    assert loss == pytest.approx(wanted, rel=1e-6)
    for name, gradient in gradients.items():
        assert (gradient - plain[name]).norm() < 1e-5 * plain[name].norm(), name


def test_the_processors_maker_decides() -> None:
    assert is_intel("vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R)")
    assert not is_intel("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC")
