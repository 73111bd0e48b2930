"""A step on a base in FP8 beside the same in bfloat16: the bounds it has to keep."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model.fp8 import FP8Linear
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.loss import summed_cross_entropy
from training.objective import batch_loss
from weights.building import Place, quantize_on_arrival
from weights.conversion import convert_from_meta
from weights.directory import load_model

DEMO = Path(__file__).parents[2] / "demo/base"


def adapted(base: Path, place: Place | None) -> Transformer:
    """Return the demo's base in bfloat16 with an adapter that is no longer zero."""
    model = load_model(base, dtype=torch.bfloat16, place=place)
    torch.manual_seed(0)
    add_lora(model, LoraConfig(8))
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            nn.init.normal_(parameter, std=0.01)
    return model


def loss_and_gradients(model: Transformer, batch: Any) -> tuple[float, Tensor]:
    """Return the mean loss of a batch, and all gradients as one tensor."""
    backend: Any = SimpleNamespace(device=torch.device("cpu"), forward=model)
    loss = batch_loss(backend, batch, summed_cross_entropy) / len(batch.targets)
    loss.backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return loss.item(), torch.cat(gradients)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, tuple[float, Tensor]]:
    """Loss and gradients of the demo's base on text of its kind, by how it is stored."""
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    from demo.making.text.stream import FORMAT, Stream

    base = tmp_path_factory.mktemp("demo") / "base"
    convert_from_meta(DEMO, base)
    batch = Stream(FORMAT.load_tokenizer(DEMO), 0, 2048, 0).step(0)
    found = {}
    for kind in (None, "nf4", "fp8"):
        place = kind and quantize_on_arrival("cpu", torch.bfloat16, kind)
        model = adapted(base, place or None)
        assert sum(isinstance(m, FP8Linear) for m in model.modules()) == 42 * (kind == "fp8")
        found[kind] = loss_and_gradients(model, batch)
    return found


def test_loss_in_fp8_is_within_a_hundredth_of_a_nat(
    steps: dict[str | None, tuple[float, Tensor]],
) -> None:
    assert steps["fp8"][0] != steps[None][0]
    assert steps["fp8"][0] == pytest.approx(steps[None][0], abs=0.01)


def test_gradient_in_fp8_has_half_the_error_of_nf4(
    steps: dict[str | None, tuple[float, Tensor]],
) -> None:
    wanted = steps[None][1]
    in_fp8, in_nf4 = ((steps[kind][1] - wanted).norm() for kind in ("fp8", "nf4"))
    assert in_fp8 < in_nf4 / 2
    assert in_fp8 < 0.5 * wanted.norm()
