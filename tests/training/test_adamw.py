"""AdamW with moments in 8 bits, beside bitsandbytes and beside torch's."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model.blockwise import dynamic_map
from training import adamw
from training.adamw import AdamW

BETAS, EPS, RATE = (0.9, 0.99), 1e-8, 1e-2
# Of whole blocks, and of a broken one.
SHAPES = ((64, 64), (70, 331))


def drawn(shape: tuple[int, int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stepped(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, steps: int = 5) -> None:
    optimizer.param_groups[0]["lr"] = RATE
    for step in range(steps):
        parameter.grad = drawn(parameter.shape, 100 + step).to(parameter.device)  # type: ignore[arg-type]
        optimizer.step()


def ours(shape: tuple[int, int], bits: int = 8, **places: Any) -> tuple[nn.Parameter, AdamW]:
    parameter = nn.Parameter(drawn(shape, 0).to(**places))
    return parameter, AdamW([parameter], BETAS, EPS, 0.1, bits)


# Beside bitsandbytes


def test_maps_equal_bitsandbytes() -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    for signed in (True, False):
        wanted = functional.create_dynamic_map(signed=signed)
        assert torch.equal(dynamic_map(torch.device("cpu"), signed), wanted)


def theirs(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> tuple[nn.Parameter, Any]:
    """bitsandbytes' optimizer with its plain kernel and our rule of the second moment's zero."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    operations = pytest.importorskip("bitsandbytes.backends.cpu.ops")

    def quantize(values: Tensor, table: Tensor, absmax: Tensor, codes: Tensor, size: int) -> None:
        # Its kernel for float32 snaps to 65,536 steps first, that for other dtypes does not.
        found = torch.ops.bitsandbytes.quantize_blockwise(values.double(), table, size)
        codes.copy_(found[0].clamp(min=0 if table[0] < 0 else 1))
        absmax.copy_(found[1])

    monkeypatch.setattr(operations, "_quant_blockwise_fp32_direct", quantize)
    parameter = nn.Parameter(drawn(shape, 0))
    constants = {"lr": RATE, "betas": BETAS, "eps": EPS, "weight_decay": 0.1}
    return parameter, bitsandbytes.optim.AdamW8bit([parameter], **constants)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_codes_and_absmax_equal_bitsandbytes(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, oracle = theirs(shape, monkeypatch)
    found, optimizer = ours(shape)
    for parameter, stepper in ((wanted, oracle), (found, optimizer)):
        stepped(stepper, parameter)
    assert torch.equal(found, wanted)
    state, other = optimizer.state[found], oracle.state[wanted]
    for name, number in (("exp_avg", 1), ("exp_avg_sq", 2)):
        assert torch.equal(state[name], other[f"state{number}"])
        assert torch.equal(state[f"{name}_absmax"], other[f"absmax{number}"])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_kernel_takes_the_steps_of_the_definition() -> None:
    pytest.importorskip("bitsandbytes")
    found, optimizer = ours((70, 331), device="cuda")
    wanted, definition = ours((70, 331))
    for parameter, stepper in ((found, optimizer), (wanted, definition)):
        stepped(stepper, parameter)
    # A code may be its neighbour: a few hundredths of a step of 0.01.
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-3, rtol=0)


# Beside torch


@pytest.mark.parametrize("bits", [8, 32])
def test_small_tensors_take_torchs_steps(bits: int) -> None:
    found, optimizer = ours((63, 65), bits)
    wanted = nn.Parameter(drawn((63, 65), 0))
    stepped(optimizer, found)
    stepped(torch.optim.AdamW([wanted], RATE, BETAS, EPS, 0.1), wanted)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)
    assert optimizer.state[found]["exp_avg"].dtype == torch.float32


def test_steps_in_8_bits_are_near_those_in_32() -> None:
    found, optimizer = ours((128, 128))
    wanted, plain = ours((128, 128), bits=32)
    for parameter, stepper in ((found, optimizer), (wanted, plain)):
        stepped(stepper, parameter)
    moved = (wanted - drawn((128, 128), 0)).norm()
    assert (found - wanted).norm() < 0.02 * moved


# Its own rules


def test_moments_take_two_bytes_and_eight_a_block() -> None:
    parameter, optimizer = ours((1024, 256))
    stepped(optimizer, parameter, 1)
    state = optimizer.state[parameter]
    taken = sum(value.nbytes for value in state.values() if isinstance(value, Tensor))
    assert taken == parameter.numel() * (2 + 8 / 256)


def test_small_gradient_after_a_larger_one_takes_no_giant_step() -> None:
    """Its second moment, 1e-8 of the block's largest, would be stored as 0."""
    parameter, optimizer = ours((64, 64))
    optimizer.param_groups[0]["lr"] = RATE
    for small in (1e-4, 1e-9):
        parameter.grad = torch.ones(64, 64)
        parameter.grad[:, 0] = small
        before = parameter.detach().clone()
        optimizer.step()
    # Weight decay moves it by 0.1 of the rate times the weight.
    assert (parameter - before).abs().max() < 2 * RATE


def test_a_weight_is_updated_alike_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, whole = ours((70, 331))
    stepped(whole, wanted)
    monkeypatch.setattr(adamw, "PIECE", 4 * adamw.BLOCK)
    found, pieces = ours((70, 331))
    stepped(pieces, found)
    assert torch.equal(found, wanted)
    for name, value in whole.state[wanted].items():
        assert torch.equal(torch.as_tensor(pieces.state[found][name]), torch.as_tensor(value))
