import pytest
import torch

from benchmarks.kernels import CONFIG, both_ways, work_of
from model.kernels.choice import PLAIN

# Tensors of half precision that a call with its backward pass reads and writes.
VALUES = {
    "swiglu": 8 * CONFIG.hidden_dim,
    "rotate": 4 * (CONFIG.n_heads + CONFIG.n_kv_heads) * CONFIG.head_dim,
    "add_and_norm": 8 * CONFIG.dim,
}


@pytest.mark.parametrize("kernel", PLAIN._fields)
def test_work_of_a_kernel_runs_and_its_bytes_are_counted(kernel: str) -> None:
    work = work_of(kernel, 3, torch.device("cpu"), torch.bfloat16)
    both_ways(getattr(PLAIN, kernel), work)()
    angles = 3 * CONFIG.head_dim // 2 * 8 * 2 if kernel == "rotate" else 0
    assert work.bytes == 3 * 2 * VALUES[kernel] + angles
