"""Which kernels a model computes with, and where Triton's are refused."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from tiny_models import TINY, random_model

from model.attention import Documents
from model.kernels import choice
from model.kernels.choice import PLAIN, find_kernels, use_kernels

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_triton_kernels_are_refused_on_the_cpu() -> None:
    with pytest.raises(ValueError, match=r"the device is cpu; add --training.kernels=plain"):
        find_kernels("triton", CPU)


def test_triton_kernels_are_refused_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"triton is not installed; .* --training.kernels=plain"):
        find_kernels("triton", CUDA)


def test_every_layer_takes_the_chosen_kernels() -> None:
    called = []
    model = random_model(TINY)
    counting = PLAIN._make(
        lambda *given, kernel=kernel, name=name: called.append(name) or kernel(*given)
        for name, kernel in PLAIN._asdict().items()
    )
    use_kernels(model, counting)
    tokens = torch.arange(4)
    model(tokens, tokens, Documents([0, 4]))
    assert sorted(called) == sorted(PLAIN._fields * TINY.n_layers)


@pytest.mark.skipif(find_spec("triton") is None, reason="nothing to import")
def test_plain_kernels_leave_triton_unimported() -> None:
    code = (
        "import sys, torch, model.transformer; from model.kernels.choice import find_kernels; "
        "find_kernels('plain', torch.device('cuda')); sys.exit('triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
