"""Training an adapter on a base in NF4 (QLoRA), as finetune.py does it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from console.flags import UsageError
from model.nf4 import NF4Linear, dequantize, quantize
from model.quantized import NF4_KINDS, QUANTIZATIONS
from training.backends import NativeBackend
from training.config import Config, read_config
from training.setup import build_model
from weights.adapter import base_quantization
from weights.building import is_linear_weight

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]
CPU = torch.device("cpu")


def train_rows(config: Config) -> list[tuple[float, float]]:
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "train"]
    return [(row["loss"], row["gradient_norm"]) for row in rows]


def dequantize_base(directory: Path, double: bool) -> None:
    """Round the linear layers of a base to what NF4 has of them."""
    file = directory / "consolidated.safetensors"
    state = load_file(file)
    for name, weight in state.items():
        if is_linear_weight(name):
            packed = quantize(weight, double)
            state[name] = dequantize(packed, tuple(weight.shape), torch.float32)
    save_file(state, file)


@pytest.mark.parametrize(
    ("quantization", "dora"), [*((kind, False) for kind in NF4_KINDS), ("nf4_double", True)]
)
def test_qlora_equals_lora_on_the_dequantized_base(
    settings: Settings, train_run: Train, quantization: str, dora: bool
) -> None:
    lora = {"rank": 4, "alpha": 8, "dropout": 0.2, "dora": dora}
    config = settings(name="qlora", model__quantization=quantization, lora=lora)
    found = dict(train_run(config).trained_state())
    dequantize_base(Path(config.model.checkpoint_dir), quantization == "nf4_double")
    plain = settings(name="lora", lora=lora)
    wanted = dict(train_run(plain).trained_state())
    assert train_rows(config) == train_rows(plain)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("quantization", "policy"),
    [("nf4_double", "selective"), ("nf4_double", "full"), ("fp8", "full")],
)
def test_recomputation_changes_nothing_on_a_quantized_base(
    settings: Settings, train_run: Train, quantization: str, policy: str
) -> None:
    quantized = {"model__quantization": quantization, "training__max_steps": 2}
    kept = settings(name="kept", **quantized)
    again = settings(name="again", training__activation_checkpointing=policy, **quantized)
    train_run(kept)
    train_run(again)
    assert train_rows(again) == train_rows(kept)


@pytest.mark.parametrize(
    "dtype",
    ["float16", *(pytest.param(d, marks=pytest.mark.long) for d in ("float32", "bfloat16"))],
)
def test_resuming_qlora_continues_bit_for_bit(
    settings: Settings, train_run: Train, dtype: str
) -> None:
    def config(name: str, steps: int) -> Config:
        return settings(
            name=name,
            model__quantization="nf4_double",
            model__dtype=dtype,
            lora={"rank": 4, "alpha": 8, "dropout": 0.2},
            schedule={"learning_rate": 1e-2, "total_steps": 6},
            training__max_steps=steps,
        )

    wanted = dict(train_run(config("whole", 6)).trained_state())
    train_run(config("half", 4))
    found = dict(train_run(config("half", 6), resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert train_rows(config("half", 6)) == train_rows(config("whole", 6))


@pytest.mark.parametrize("quantization", [None, *QUANTIZATIONS])
def test_every_checkpoint_records_how_its_base_was_stored(
    settings: Settings, train_run: Train, quantization: str | None
) -> None:
    config = settings(model__quantization=quantization, training__max_steps=2)
    train_run(config)
    for name in ("step-000002", "best", "final"):
        assert base_quantization(config.run_dir / name) == quantization


def test_resuming_with_another_quantization_is_refused(
    settings: Settings, train_run: Train
) -> None:
    train_run(settings(model__quantization="nf4", training__max_steps=2))
    with pytest.raises(ValueError, match=r'model.quantization = "nf4", this run has null'):
        train_run(settings(), resume=True)


def test_a_base_without_adapter_is_not_quantized(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(settings(lora=None).model_dump_json())
    with pytest.raises(UsageError, match=r"model.quantization is 'nf4'.*give --lora.rank=16"):
        read_config(file, {"model.quantization": "nf4", "lora": None})
    with pytest.raises(ValueError, match=r"lora: is null, which trains all weights"):
        read_config(file, {"model.quantization": "nf4"})
    assert read_config(file, {"model.quantization": "nf4", "lora.rank": 16}).lora is not None


@contextmanager
def linear_weights_made() -> Iterator[list[torch.Size]]:
    """Yield the shapes of the weights that linear layers are given while it is open."""
    made: list[torch.Size] = []
    plain = nn.Module.__setattr__

    def note(module: nn.Module, name: str, value: Any) -> None:
        if isinstance(value, Tensor) and name == "weight" and value.device.type != "meta":
            made.append(value.shape)
        plain(module, name, value)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nn.Module, "__setattr__", note)
        yield made


def test_the_base_of_qlora_is_never_whole(settings: Settings) -> None:
    config = settings(model__quantization="nf4_double")
    with linear_weights_made() as made:
        model = build_model(config, CPU, torch.bfloat16)
    packed = [module for module in model.modules() if isinstance(module, NF4Linear)]
    assert len(packed) == 7 * model.config.n_layers
    whole = {(module.out_features, module.in_features) for module in packed}
    assert made and not whole & set(map(tuple, made))
    assert model.tok_embeddings.weight.dtype == torch.bfloat16
