"""PEFT on Transformers computes with an adapter what this project does, out and in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from native_directories import write_adapter
from peft_adapters import (
    LORAS,
    Base,
    adapted_model,
    logits_of,
    train_with_peft,
    transformers_model,
)
from safetensors.torch import load_file

from weights.adapter import read_adapter
from weights.directory import load_model, open_weights
from weights.hugging_face.names import to_hugging_face
from weights.merge import merge_checkpoint
from weights.merge_base import open_base
from weights.peft.conversion import export_adapter, import_adapter
from weights.peft.settings import PeftSettings, is_named

# PEFT asks a Transformers model for a property that Transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

Bases = Callable[[str], Base]
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "phi4")
QUICK = {("llama", "by layer"), ("qwen2", "some"), ("phi3", "by layer")}
EXPORTS = [
    pytest.param(family, lora, marks=() if (family, lora) in QUICK else pytest.mark.long)
    for family in FAMILIES
    for lora in LORAS
]
TRAINED = [
    pytest.param(family, marks=() if family in ("llama", "phi3") else pytest.mark.long)
    for family in FAMILIES
]


@pytest.mark.parametrize(("family", "lora"), EXPORTS)
def test_peft_computes_and_merges_what_was_exported(
    family: str, lora: str, base_of: Bases, tmp_path: Path
) -> None:
    from peft import PeftModel

    base = base_of(family)
    write_adapter(tmp_path / "lora", base.config, LORAS[lora], size=0.3)
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    model = PeftModel.from_pretrained(transformers_model(base), tmp_path / "peft").eval()
    ours = logits_of(adapted_model(base, tmp_path / "lora"))
    torch.testing.assert_close(logits_of(model), ours, atol=1e-5, rtol=0)
    assert (ours - logits_of(load_model(base.native))).abs().max() > 0.1

    adapter = read_adapter(tmp_path / "lora")
    merge_checkpoint(open_base(base.native, adapter), adapter, tmp_path / "merged")
    theirs = model.merge_and_unload().state_dict()
    for name, tensor in to_hugging_face(base.config, open_weights(tmp_path / "merged")):
        torch.testing.assert_close(theirs[name], tensor, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", TRAINED)
def test_an_adapter_that_peft_trained_computes_the_same_here(
    family: str, base_of: Bases, tmp_path: Path
) -> None:
    base = base_of(family)
    model = train_with_peft(
        base,
        tmp_path / "peft",
        r=4,
        lora_alpha=6,
        use_rslora=True,
        target_modules="all-linear",
        rank_pattern={"o_proj": 2, r"layers\.0\.mlp\.down_proj": 5},
        alpha_pattern={"down_proj": 3, "model.layers.1.self_attn.o_proj": 9},
    )
    import_adapter(tmp_path / "peft", base.native, tmp_path / "lora")
    ours = logits_of(adapted_model(base, tmp_path / "lora"))
    torch.testing.assert_close(ours, logits_of(model), atol=1e-5, rtol=0)
    assert (ours - logits_of(load_model(base.native))).abs().max() > 0.1


def test_what_peft_saved_comes_out_again_bit_for_bit(base_of: Bases, tmp_path: Path) -> None:
    base = base_of("llama")
    pattern = r".*\.layers\.1\..*\.(q_proj|up_proj)"
    train_with_peft(base, tmp_path / "peft", r=4, lora_dropout=0.1, target_modules=pattern)
    import_adapter(tmp_path / "peft", base.native, tmp_path / "lora")
    export_adapter(tmp_path / "lora", tmp_path / "again")
    before, after = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("peft", "again")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    settings = json.loads((tmp_path / "again" / "adapter_config.json").read_text())
    assert settings["lora_dropout"] == 0.1
    assert settings["target_modules"] == [
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.up_proj",
    ]


NAMES = [
    f"model.layers.{layer}.{part}"
    for layer in (0, 1, 10, 11)
    for part in ("self_attn.q_proj", "self_attn.qkv_proj", "mlp.up_proj", "mlp.gate_up_proj")
]


def settings_with(
    patterns: dict[str, int] | None = None,
    targets: tuple[str, ...] | str = (),
    layers: tuple[int, ...] | None = None,
) -> PeftSettings:
    return PeftSettings(8, 8.0, 0.0, False, targets, (), layers, patterns or {}, {})


@pytest.mark.parametrize(
    "patterns",
    [
        {"q_proj": 1, "up_proj": 2},
        {"layers.1.self_attn.q_proj": 1, "q_proj": 2},
        {"^model.layers.1.mlp.up_proj": 1, r"layers\.1\d\..*": 3},
        {"up_proj|q_proj": 1, "roj": 4},
    ],
)
def test_patterns_match_as_in_peft(patterns: dict[str, int]) -> None:
    from peft.utils.other import get_pattern_key

    for name in NAMES:
        wanted = patterns.get(get_pattern_key(patterns.keys(), name), 8)
        assert settings_with(patterns).rank_of(name) == wanted, name


@pytest.mark.parametrize(
    ("targets", "layers"),
    [
        (("q_proj",), None),
        (("up_proj", "model.layers.0.self_attn.qkv_proj"), (1, 11)),
        (r".*\.layers\.1\d\..*\.(q_proj|up_proj)", None),
        ("up_proj", None),
    ],
)
def test_targets_are_those_of_peft(
    targets: tuple[str, ...] | str, layers: tuple[int, ...] | None
) -> None:
    import peft
    from peft.tuners.tuners_utils import check_target_module_exists

    theirs = peft.LoraConfig(
        target_modules=targets if isinstance(targets, str) else list(targets),
        layers_to_transform=layers and list(layers),
    )
    ours = settings_with(targets=targets, layers=layers)
    for name in NAMES:
        assert ours.is_target(name) == bool(check_target_module_exists(theirs, name)), name


def test_a_name_is_matched_from_a_dot_on() -> None:
    assert is_named("model.layers.0.mlp.up_proj", ("up_proj",))
    assert not is_named("model.layers.0.mlp.gate_up_proj", ("up_proj",))
