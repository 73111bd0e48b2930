"""ZeRO-3 on a device that is not the host: where weights lie, and where they are gathered."""

import json
import subprocess
import sys
from typing import Any

import pytest
from launches import ROOT, environment
from tiny_runs import settings_in

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "partitioned": ("float32", {"stage3_param_persistence_threshold": 0}),
    "bfloat16": ("bfloat16", {"stage3_param_persistence_threshold": 0}),
    # The norms alone, one by one: a gather of a single weight takes another way than of several.
    "persistent": ("float32", {"stage3_param_persistence_threshold": 100}),
    "offloaded": (
        "float32",
        {"stage3_param_persistence_threshold": 0, "offload_param": {"device": "cpu"}},
    ),
    "quantized": ("bfloat16", {"stage3_param_persistence_threshold": 0}),
}

Devices = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Devices:
    """The device of everything in every case, with torch's `meta` in place of a GPU."""
    workspace = tmp_path_factory.mktemp("devices")
    make = settings_in(workspace)
    cases, output = workspace / "cases", workspace / "out"
    cases.mkdir()
    output.mkdir()
    for name, (dtype, zero) in CASES.items():
        section = {"zero_optimization": {"stage": 3, **zero}}
        quantization = "nf4_double" if name == "quantized" else None
        config = make(
            name=name,
            model__dtype=dtype,
            model__quantization=quantization,
            deepspeed_config=section,
        )
        (cases / f"{name}.json").write_text(config.model_dump_json())
    script = "tests/training/zero/device_cases.py"
    command = [sys.executable, script, f"--cases={cases}", f"--output-dir={output}"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {name: json.loads((output / f"{name}.json").read_text()) for name in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_partitioned_weight_belongs_to_the_device(devices: Devices, case: str) -> None:
    assert set(devices[case]["weights"].values()) == {"meta"}
    assert set(devices[case]["adapter"].values()) == {"meta"}, "it follows the weight it is beside"


@pytest.mark.parametrize("case", CASES)
def test_a_rank_keeps_its_part_on_the_device_unless_offloaded(devices: Devices, case: str) -> None:
    where = "cpu" if case == "offloaded" else "meta"
    assert set(devices[case]["parts"].values()) == {where}


@pytest.mark.parametrize("case", CASES)
def test_the_forward_finds_every_weight_on_the_device(devices: Devices, case: str) -> None:
    gathered = devices[case]["gathered"]
    on_the_host = [name for name, device in gathered.items() if device != "meta"]
    assert on_the_host == []
    assert devices[case]["error"] is None
    assert gathered.keys() == devices[case]["weights"].keys()
