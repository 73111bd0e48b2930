"""The Triton kernels by Triton's interpreter, and compiled for cards that are not here."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")

# Errors as shares of the largest value; half a unit of the last place is 6e-8 and 5e-4.
TOLERANCES = {"float32": 5e-7, "float16": 1e-3}
HALF = "*bf16"
SWIGLU = {"gate": HALF, "value": HALF, "product": HALF}
ROTARY = {"q": HALF, "k": HALF, "turned_q": HALF, "turned_k": HALF, "cos": "*fp32", "sin": "*fp32"}
NORM = {"x": HALF, "added": HALF, "weight": HALF, "summed": HALF, "normed": HALF}
NORM_BACKWARD = {"of_normed": HALF, "of_sum": HALF, "summed": HALF, "weight": HALF}
NORM_BACKWARD |= {"inverse_root": "*fp32", "of_input": HALF, "of_weight": "*fp32"}
# Module, kernel, its pointers and numbers that are no int32, and what is known when compiling.
KERNELS: list[tuple[str, str, dict[str, str], dict[str, Any]]] = [
    ("swiglu", "swiglu_forward", SWIGLU, {"BLOCK": 1024}),
    (
        "swiglu",
        "swiglu_backward",
        {"gradient": HALF, "gate": HALF, "value": HALF, "of_gate": HALF, "of_value": HALF},
        {"BLOCK": 1024},
    ),
    ("rotary", "rotary_forward", ROTARY, {"DIRECTION": 1, "HEADS": 8, "WIDTH": 128}),
    ("rotary", "rotary_forward", ROTARY, {"DIRECTION": -1, "HEADS": 16, "WIDTH": 64}),
    (
        "norm",
        "add_and_norm_forward",
        NORM | {"inverse_root": "*fp32", "eps": "fp32"},
        {"BLOCK": 4096},
    ),
    ("norm", "add_and_norm_backward", NORM_BACKWARD, {"BLOCK": 4096}),
    ("norm", "add_and_norm_backward", NORM_BACKWARD, {"BLOCK": 8192, "of_weight": None}),
]


@pytest.fixture(scope="module")
def errors() -> dict[str, list[float]]:
    """Return what interpreted.py prints: the errors of each case."""
    script = Path(__file__).with_name("interpreted.py")
    run = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, list[float]] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("kernel", ["swiglu", "rotary", "norm"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_interpreted_kernels_match_their_definitions(
    errors: dict[str, list[float]], kernel: str, dtype: str
) -> None:
    own = {case: found for case, found in errors.items() if case.startswith(f"{dtype} {kernel}")}
    assert len(own) >= 5
    for case, found in own.items():
        assert max(found) <= TOLERANCES[dtype], (case, found)


@pytest.mark.parametrize("model", ["whole model", "adapted model"])
def test_a_model_of_interpreted_kernels_has_the_plain_gradients(
    errors: dict[str, list[float]], model: str
) -> None:
    loss, gradient = errors[model]
    assert loss <= 1e-6 and gradient <= 1e-5


@pytest.mark.parametrize("architecture", [80, 90, 100])
@pytest.mark.parametrize(("module", "kernel", "types", "known"), KERNELS)
def test_kernels_compile_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    module: str,
    kernel: str,
    types: dict[str, str],
    known: dict[str, Any],
    architecture: int,
) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function = getattr(importlib.import_module(f"model.kernels.triton_{module}"), kernel)
    names = function.arg_names
    signature = {name: types.get(name, "i32") for name in names}
    signature |= dict.fromkeys(known, "constexpr")
    # As for tensors and widths of a real model.
    aligned = [name for name, kind in signature.items() if kind == "i32" or kind.startswith("*")]
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in aligned}
    compiled = triton.compile(
        ASTSource(function, signature, known, attributes),
        target=GPUTarget("cuda", architecture, 32),
    )
    assert compiled.metadata.target.arch == architecture
    assert compiled.asm["cubin"].startswith(b"\x7fELF")
    code = compiled.asm["ptx"]
    assert "ld.global.v4" in code and "st.global.v4" in code, "rows move 16 bytes at a time"
