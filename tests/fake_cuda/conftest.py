"""The pretended device, compiled once, and the program that runs cases on it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMPILER = shutil.which("g++") or shutil.which("clang++")

Cases = list[dict[str, Any]]


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def run_cases(
    device_library: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Cases], Cases]]:
    """Return a function that runs cases and returns what was counted in each.

    One process runs them all: importing torch takes as long as some cases.
    """
    # The project first, since folders of tests have the names of its packages.
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    said = tmp_path_factory.mktemp("cases") / "errors"
    with (
        said.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "fake_cuda.dry_run", str(device_library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None

        def counted(case: dict[str, Any]) -> dict[str, Any]:
            print(json.dumps(case), file=process.stdin, flush=True)
            line = process.stdout.readline()
            assert line, said.read_text()[-2000:]
            found: dict[str, Any] = json.loads(line)
            return found

        yield lambda cases: [counted(case) for case in cases]
        process.stdin.close()
        assert process.wait(timeout=60) == 0, said.read_text()[-2000:]
