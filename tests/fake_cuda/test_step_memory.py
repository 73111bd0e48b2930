"""The formula of a step's bytes beside the step itself, on a pretended CUDA device."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_cuda.dry_run import LORA, QUANTIZATION, shape_of

from training.planning.memory import POLICIES, Method
from training.planning.plan import MOMENT_BYTES, Settings, memory_use

TOLERANCE = 0.03
# Size, layers, method and what is computed again.
SHORT = [
    ("8b", 3, "all", "selective"),
    ("8b", 2, "qlora", "none"),
    ("8b", 2, "fp8", "none"),
    ("1b", 2, "full", "full"),
]
LAYERS = {"1b": 16, "8b": 32}
LONG = [
    *(
        (size, layers, method, policy)
        for size, layers in LAYERS.items()
        for method in LORA
        for policy in POLICIES
    ),
    ("70b", 80, "qlora", "full"),
]


def by_formula(case: dict[str, Any]) -> int:
    least = case["method"] == "least"
    lora = LORA[case["method"]]
    method = Method(
        shape_of(case),
        lora,
        autocast=lora is None and not least,
        quantization=QUANTIZATION.get(case["method"]),
        rounded=least,
    )
    settings = Settings(case["policy"])
    if least:
        moments = MOMENT_BYTES["adamw8bit"]
        settings = replace(settings, moment_bytes=moments, in_backward=True)
    return max(
        memory_use(
            method, replace(settings, micro_batch_tokens=tokens), trained / tokens
        ).device_total
        for tokens, trained in case["micro_batches"]
    )


@pytest.mark.parametrize(
    "chosen", [SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_formula_is_within_three_percent_of_the_step(
    run_cases: Callable[..., Any], chosen: list[tuple[str, int, str, str]]
) -> None:
    if any("qlora" in case for case in chosen):
        # Its kernel writes the weight alone; PyTorch's operators would need room for more.
        pytest.importorskip("bitsandbytes")
    names = ("size", "layers", "method", "policy")
    cases = [dict(zip(names, case, strict=True), kind="step", tokens=4096) for case in chosen]
    for case in run_cases(cases):
        assert by_formula(case) == pytest.approx(case["peak"], rel=TOLERANCE), case
