"""Where the host waits for the device, and what a token reads and writes there, on a pretended one.

The figures are today's; who lowers one writes the lower one here.
"""

from collections.abc import Callable
from typing import Any

import pytest
from fake_cuda.dry_run import shape_of

from training.planning.memory import base_parameters, linear_parameters

SIZE = {"size": "1b", "layers": 3}
TRAINED = SIZE | {"method": "all", "policy": "none", "tokens": 1024}
SPOKEN = SIZE | {"kind": "generation", "rows": 1, "temperature": 0.0}
CASES = {
    "step": TRAINED | {"kind": "step"},
    "validation": TRAINED | {"kind": "validation"},
    "greedy": SPOKEN | {"method": "qv"},
    "sampling": SPOKEN | {"method": "qv", "temperature": 0.7},
    "quantized": SPOKEN | {"method": "qlora"},
}
# A pass uploads its plan and its tokens, and reads what was chosen.
PASS_WAITS = {
    "inference/kv_cache.py whole upload": 3,
    "inference/generate.py _next_logits upload": 2,
    "inference/generate.py _choose_each number": 1,
}
SAMPLING_WAITS = {
    "inference/sampling.py choose upload": 1,
    "inference/sampling.py choose number": 1,
}
BFLOAT16 = 2

Counted = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def counted(run_cases: Callable[..., list[dict[str, Any]]]) -> Counted:
    """Return what was counted in every case."""
    pytest.importorskip("bitsandbytes")
    return dict(zip(CASES, run_cases(list(CASES.values())), strict=True))


def test_step_waits_once_for_its_loss_and_norm(counted: Counted) -> None:
    assert len(counted["step"]["micro_batches"]) == 2
    assert counted["step"]["waits"] == {"training/loop.py train_step download": 1}


def test_validation_waits_at_its_end_alone(counted: Counted) -> None:
    assert counted["validation"]["waits"] == {"training/loop.py validate download": 1}


@pytest.mark.parametrize("kind", ["step", "validation"])
def test_micro_batches_are_sent_from_pinned_memory(counted: Counted, kind: str) -> None:
    assert counted[kind]["pageable"] == {}


@pytest.mark.parametrize("name", ["prefill", "decode"])
def test_generation_waits_for_its_plan_and_its_token(counted: Counted, name: str) -> None:
    assert counted["greedy"][name]["waits"] == PASS_WAITS
    assert counted["sampling"][name]["waits"] == PASS_WAITS | SAMPLING_WAITS


def test_decoded_token_reads_each_weight_once(counted: Counted) -> None:
    weights = BFLOAT16 * base_parameters(shape_of(SIZE))
    assert counted["greedy"]["decode"]["traffic"] == pytest.approx(weights, rel=0.02)


def test_decoded_token_writes_and_reads_each_quantized_weight(counted: Counted) -> None:
    """Codes are read, the weight is written in bfloat16 and read again; the rest is absmax."""
    packed = linear_parameters(shape_of(SIZE))
    traffic = BFLOAT16 * base_parameters(shape_of(SIZE)) + (0.5 + BFLOAT16) * packed
    assert counted["quantized"]["decode"]["traffic"] == pytest.approx(traffic, rel=0.1)
