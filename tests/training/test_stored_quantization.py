"""Training from a base that was quantised beforehand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import TINY

from model.attention import Documents
from model.nf4 import NF4Linear
from storage.manifest import write_manifest
from training.backends import NativeBackend
from training.config import Config
from training.setup import build_model, open_splits
from training.zero.placing import PackedNF4Linear, place_on_arrival
from weights.adapter import read_adapter
from weights.building import quantize_on_arrival
from weights.directory import load_model, weights_sha256
from weights.nf4.conversion import quantize_directory

Settings = Callable[..., Config]


@pytest.fixture
def stored(settings: Settings, tmp_path: Path) -> Path:
    """The tiny base in NF4."""
    write_manifest(Path(settings().model.checkpoint_dir), "native model")
    quantize_directory(settings().model.checkpoint_dir, tmp_path / "nf4")
    return tmp_path / "nf4"


@pytest.mark.parametrize("setting", [None, "nf4"])
def test_another_setting_than_what_is_stored_is_refused(
    setting: str | None, settings: Settings, stored: Path
) -> None:
    config = settings(model__checkpoint_dir=str(stored), model__quantization=setting)
    with pytest.raises(ValueError, match=r"add --model\.quantization=nf4_double, or name"):
        open_splits(config)


def test_stored_base_computes_as_one_quantized_on_arrival(settings: Settings, stored: Path) -> None:
    base = settings().model.checkpoint_dir
    config = settings(model__checkpoint_dir=str(stored), model__quantization="nf4_double")
    cpu = torch.device("cpu")
    found = build_model(config, cpu, torch.float32)
    wanted = load_model(base, place=quantize_on_arrival(cpu, torch.float32, "nf4_double"))
    assert sum(isinstance(module, NF4Linear) for module in found.modules()) == 7 * TINY.n_layers
    tokens, places = torch.arange(30), torch.arange(30)
    with torch.no_grad():
        logits = [model(tokens, places, Documents([0, 30])) for model in (found, wanted)]
    # B of a new adapter is zero.
    assert torch.equal(*logits)


def test_run_on_a_stored_base_trains_the_same_adapter_for_either(
    settings: Settings, stored: Path, train_run: Callable[..., NativeBackend]
) -> None:
    base = Path(settings().model.checkpoint_dir)
    adapters = []
    for name, directory in (("stored", stored), ("arriving", base)):
        config = settings(
            name=name, model__checkpoint_dir=str(directory), model__quantization="nf4_double"
        )
        train_run(config)
        adapters.append(read_adapter(config.run_dir / "final"))
    adapter, other = adapters
    for name, tensor in adapter.state.items():
        assert torch.equal(tensor, other.state[name])
        assert tensor.any()
    assert adapter.quantization == other.quantization == "nf4_double"
    for directory in (base, stored):
        assert adapter.base_sha256 == weights_sha256(directory) is not None
        adapter.check(TINY, directory)


def test_zero_keeps_a_stored_weight_as_one_quantized_on_arrival(
    settings: Settings, stored: Path
) -> None:
    place = place_on_arrival(
        {"zero_optimization": {"stage": 2}}, torch.device("cpu"), torch.float32, "nf4_double"
    )
    found, wanted = (
        load_model(path, place=place) for path in (stored, settings().model.checkpoint_dir)
    )
    assert sum(isinstance(module, PackedNF4Linear) for module in found.modules()) == 14
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
