"""How many kernels a layer takes, what a token keeps and what it moves, on a pretended device.

The figures are today's; who lowers one writes the lower one here.
"""

from collections.abc import Callable
from typing import Any

import pytest
from fake_cuda.dry_run import LORA, QUANTIZATION, shape_of

from training.planning.memory import POLICIES, Method
from training.planning.roofline import dequantizing_bytes, moved_bytes

# Of a micro-batch, forward and backward, its gradients added to those of an earlier one.
KERNELS = {"all": 100, "qv": 58, "fp8": 142}
# Of a token that is decoded.
DECODED = {"all": 34, "qv": 24}


@pytest.mark.long
@pytest.mark.parametrize("method", KERNELS)
def test_layer_takes_so_many_kernels(run_cases: Callable[..., Any], method: str) -> None:
    case = {"size": "8b", "method": method, "policy": "none", "tokens": 1024, "kind": "passes"}
    fewer, more = run_cases([case | {"layers": layers} for layers in (3, 4)])
    assert more["kernels"] - fewer["kernels"] == KERNELS[method]


@pytest.mark.long
def test_adapters_on_all_linears_keep_93_kibibytes_a_token_and_layer(
    run_cases: Callable[..., Any],
) -> None:
    case = {"size": "8b", "method": "all", "policy": "none", "tokens": 4096, "kind": "step"}
    fewer, more = run_cases([case | {"layers": layers} for layers in (3, 7)])
    weights = 2 * 218_112_000 + 18 * 1_310_720
    tokens = max(count for count, _ in more["micro_batches"])
    assert (more["peak"] - fewer["peak"]) / 4 - weights < 93 * 1024 * tokens


def test_decoded_token_takes_so_many_kernels_a_layer(run_cases: Callable[..., Any]) -> None:
    case = {"size": "8b", "kind": "generation", "rows": 1, "temperature": 0.0}
    sizes = [(method, layers) for method in DECODED for layers in (3, 4)]
    counted = run_cases([case | {"method": method, "layers": layers} for method, layers in sizes])
    kernels = {size: of["decode"]["kernels"] for size, of in zip(sizes, counted, strict=True)}
    assert {method: kernels[method, 4] - kernels[method, 3] for method in DECODED} == DECODED


@pytest.mark.parametrize(
    "chosen",
    [
        [("all", "none")],
        pytest.param(
            [(method, policy) for method in ("all", "qv", "qlora", "fp8") for policy in POLICIES],
            marks=pytest.mark.long,
        ),
    ],
    ids=["short", "long"],
)
def test_roofline_moves_the_bytes_of_the_step(
    run_cases: Callable[..., Any], chosen: list[tuple[str, str]]
) -> None:
    if any("qlora" in case for case in chosen):
        pytest.importorskip("bitsandbytes")
    same = {"size": "8b", "tokens": 4096, "kind": "passes"}
    for method, policy in chosen:
        case = same | {"method": method, "policy": policy}
        fewer, more = run_cases([case | {"layers": layers} for layers in (2, 3)])
        quantization = QUANTIZATION.get(method)
        wanted = Method(shape_of(more), LORA[method], quantization=quantization)
        moved = moved_bytes(wanted, policy) * more["tokens"] + dequantizing_bytes(wanted, policy)
        counted = more["moved"] - fewer["moved"]
        assert moved / 3 == pytest.approx(counted, rel=0.02), (method, policy)
