"""Values in blocks beside bitsandbytes, and the line for those who have it not."""

import pytest
import torch
from torch import Tensor

from model import blockwise
from model.blockwise import dynamic_map, nearest_codes, slow_kernels_line, times_absmax

CPU = torch.device("cpu")
SIZE = 64


def drawn(count: int) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("signed", [True, False])
def test_dynamic_map_is_bitsandbytes(signed: bool) -> None:
    functional = pytest.importorskip("bitsandbytes").functional
    assert torch.equal(dynamic_map(CPU, signed), functional.create_dynamic_map(signed))


@pytest.mark.parametrize("count", [2 * SIZE, SIZE + 1, 3])
def test_stored_values_are_the_nearest_of_their_block(count: int) -> None:
    values, table = drawn(count), dynamic_map(CPU)
    codes, absmax = nearest_codes(values, table, SIZE)
    blocks = [block.abs().max() for block in values.split(SIZE)]
    assert absmax.tolist() == [float(largest) for largest in blocks]
    shares = torch.cat([b / b.abs().max() for b in values.split(SIZE)])
    found = times_absmax(table[codes[:count].int()], absmax, SIZE)
    wanted = table[(shares[:, None] - table).abs().argmin(1)]
    scale = absmax.repeat_interleave(SIZE)[:count]
    torch.testing.assert_close(found, wanted * scale, atol=0, rtol=0)


def test_odd_count_of_values_has_one_code_more() -> None:
    codes, _ = nearest_codes(drawn(SIZE + 1), dynamic_map(CPU), SIZE)
    assert len(codes) == SIZE + 2


@pytest.mark.parametrize(("device", "installed"), [("cpu", False), ("cuda", True)])
def test_nothing_is_said_where_no_kernel_is_missing(
    device: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockwise, "has_bitsandbytes", lambda: installed)
    assert slow_kernels_line(device) == ""


def test_missing_kernels_on_a_gpu_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "has_bitsandbytes", lambda: False)
    line = slow_kernels_line(torch.device("cuda"))
    assert line.startswith("bitsandbytes is not installed") and "\n" not in line
    assert line.endswith("python -m pip install bitsandbytes")
