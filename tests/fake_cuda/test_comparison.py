"""The benchmark's sides take steps on a pretended CUDA device."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize("method", ["lora", "full"])
def test_all_sides_step_on_cuda_and_ours_takes_least(
    run_cases: Callable[..., Any], method: str
) -> None:
    case = {"kind": "comparison", "size": "1b", "layers": 2, "method": method, "tokens": 4096}
    (found,) = run_cases([case])
    assert found["policy"] == "none"
    ours, *peers = found["sides"].values()
    assert len(peers) == 3
    for peer in peers:
        assert peer["tokens"] == ours["tokens"]
        assert peer["peak"] > ours["peak"]
        assert peer["kernels"] > ours["kernels"]
