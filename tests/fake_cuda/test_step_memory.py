"""The formula of a step's bytes beside the step itself, on a pretended CUDA device."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_cuda.dry_run import LORA

from model.shapes import SHAPES
from training.planning.memory import (
    FLOAT32,
    POLICIES,
    Method,
    activation_bytes,
    frozen_bytes,
    trained_parameters,
)

HERE = Path(__file__).parent
COMPILER = shutil.which("g++") or shutil.which("clang++")
TOLERANCE = 0.03
SHORT = [("1b", "qv", "selective"), ("1b", "all", "none"), ("1b", "full", "full")]
LONG = [
    (size, method, policy)
    for size in ("1b", "8b")
    for method in LORA
    if method != "nf4"
    for policy in POLICIES
]

QLORA = [("1b", "nf4", "selective"), ("8b", "nf4", "none"), ("8b", "nf4", "full")]
# Without its kernel a weight takes several times its bytes while it is dequantised.
kernels = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes")


@pytest.fixture(scope="module")
def device_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the pretended device."""
    if COMPILER is None:
        pytest.skip("there is no C++ compiler to build the pretended device with")
    library = tmp_path_factory.mktemp("device") / "device.so"
    home = Path(torch.__file__).parent
    includes = [f"-I{home}/include", f"-I{home}/include/torch/csrc/api/include"]
    links = [f"-L{home}/lib", f"-Wl,-rpath,{home}/lib", "-ltorch_cpu", "-lc10"]
    source = HERE / "device_guard.cpp"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-std=c++20", *includes, str(source)]
    subprocess.run([*command, "-o", str(library), *links], check=True)
    return library


def measured(library: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    command = [sys.executable, str(HERE / "dry_run.py"), str(library), json.dumps(cases)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1])
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines()]


def by_formula(case: dict[str, Any]) -> int:
    lora = LORA[case["method"]]
    quantization = "nf4_double" if case["method"] == "nf4" else None
    method = Method(SHAPES[case["size"]], lora, autocast=lora is None, quantization=quantization)
    state = 4 * FLOAT32 * trained_parameters(method)
    activations = (
        activation_bytes(method, case["policy"], tokens, trained)
        for tokens, trained in case["micro_batches"]
    )
    return frozen_bytes(method) + state + max(activations)


@pytest.mark.parametrize(
    "chosen",
    [
        SHORT,
        pytest.param(LONG, marks=pytest.mark.long),
        pytest.param(QLORA, marks=[pytest.mark.long, kernels]),
    ],
    ids=["short", "long", "qlora"],
)
def test_formula_is_within_three_percent_of_the_step(
    device_library: Path, chosen: list[tuple[str, str, str]]
) -> None:
    names = ("size", "method", "policy")
    cases = [dict(zip(names, case, strict=True), tokens=4096) for case in chosen]
    for case in measured(device_library, cases):
        assert by_formula(case) == pytest.approx(case["peak"], rel=TOLERANCE), case
