"""Where the host waits for the device, and what a token reads and writes there, on a pretended one.

The figures are today's; who lowers one writes the lower one here.
"""

from collections.abc import Callable
from typing import Any

import pytest
from fake_cuda.dry_run import shape_of

from model.nf4 import BLOCK
from training.planning.memory import base_parameters, linear_parameters

SIZE = {"size": "1b", "layers": 3}
TRAINED = SIZE | {"method": "all", "policy": "none", "tokens": 1024}
SPOKEN = SIZE | {"kind": "generation", "rows": 1, "temperature": 0.0}
CASES = {
    "step": TRAINED | {"kind": "step"},
    "preference": TRAINED | {"kind": "step", "preference": True, "tokens": 2048},
    "validation": TRAINED | {"kind": "validation"},
    "greedy": SPOKEN | {"method": "qv"},
    "sampling": SPOKEN | {"method": "qv", "temperature": 0.7},
    "recorded": SPOKEN | {"method": "qv", "temperature": 0.7, "cuda_graphs": True},
    "quantized": SPOKEN | {"method": "qlora"},
}
# A pass reads what was chosen, and nothing else.
PASS_WAITS = {"inference/sampling.py choose_each number": 1}
BFLOAT16 = 2

Counted = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def counted(run_cases: Callable[..., list[dict[str, Any]]]) -> Counted:
    """Return what was counted in every case."""
    pytest.importorskip("bitsandbytes")
    return dict(zip(CASES, run_cases(list(CASES.values())), strict=True))


def test_step_waits_once_for_its_loss_and_norm(counted: Counted) -> None:
    for case in ("step", "preference"):
        assert len(counted[case]["micro_batches"]) == 2
        assert counted[case]["waits"] == {"training/loop.py train_step download": 1}


def test_validation_waits_at_its_end_alone(counted: Counted) -> None:
    assert counted["validation"]["waits"] == {"training/objective.py measured download": 1}


@pytest.mark.parametrize("kind", ["step", "validation"])
def test_micro_batches_are_sent_from_pinned_memory(counted: Counted, kind: str) -> None:
    assert counted[kind]["pageable"] == {}


@pytest.mark.parametrize("name", ["prefill", "decode"])
@pytest.mark.parametrize("case", ["greedy", "sampling", "recorded"])
def test_generation_waits_for_its_tokens_alone(counted: Counted, case: str, name: str) -> None:
    assert counted[case][name]["waits"] == PASS_WAITS


@pytest.mark.parametrize("name", ["prefill", "decode"])
@pytest.mark.parametrize("case", ["greedy", "sampling", "recorded"])
def test_generation_sends_one_pinned_copy_a_pass(counted: Counted, case: str, name: str) -> None:
    place = "upload_into" if (case, name) == ("recorded", "decode") else "upload"
    assert counted[case][name]["uploads"] == {f"inference/upload.py {place}": 1}
    assert counted[case][name]["pageable"] == {}


def test_decoded_token_reads_each_weight_once(counted: Counted) -> None:
    weights = BFLOAT16 * base_parameters(shape_of(SIZE))
    assert counted["greedy"]["decode"]["traffic"] == pytest.approx(weights, rel=0.02)


def test_recorded_token_reads_no_more_than_any_other(counted: Counted) -> None:
    plain, recorded = (counted[case]["decode"]["traffic"] for case in ("sampling", "recorded"))
    assert recorded == pytest.approx(plain, rel=0.01)


def test_decoded_token_reads_the_codes_of_each_quantized_weight(counted: Counted) -> None:
    """Four bits a value and its share of absmax; embedding and head are in bfloat16."""
    packed = linear_parameters(shape_of(SIZE))
    traffic = BFLOAT16 * (base_parameters(shape_of(SIZE)) - packed) + (0.5 + 1 / BLOCK) * packed
    assert counted["quantized"]["decode"]["traffic"] == pytest.approx(traffic, rel=0.02)
