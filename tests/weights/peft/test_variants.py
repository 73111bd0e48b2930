"""DoRA and trained biases: PEFT computes, trains and merges what this project does, out and in."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from native_directories import write_adapter
from peft_adapters import (
    TOKENS,
    Base,
    adapted_model,
    logits_of,
    train_with_peft,
    transformers_model,
)
from torch import Tensor, nn

from model.attention import Documents
from model.lora.adapter import adapter_state
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.loss import summed_cross_entropy
from weights.adapter import read_adapter
from weights.directory import load_model, open_weights
from weights.hugging_face.names import to_hugging_face
from weights.merge import merge_checkpoint
from weights.merge_base import open_base
from weights.peft.conversion import export_adapter, import_adapter
from weights.peft.layers import EMBED_TOKENS, to_peft
from weights.peft.token_rows import token_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    # PEFT saves the base's embedding beside an adapter of it, and says so.
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
]

Bases = Callable[[str], Base]
TARGETS = TOKENS.roll(-1)
DORA = LoraConfig(rank=4, alpha=12.0, dora=True)
BIASES = LoraConfig(rank=4, alpha=12.0, targets=("wq", "wv", "w2"), biases=True)
ENDS = LoraConfig(rank=4, alpha=12.0, dropout=0.3, targets=("wq", "output", "tok_embeddings"))
ROWS = LoraConfig(rank=4, alpha=12.0, targets=("wq", "w2"), token_rows=(383, 5, 7))
VARIANTS = {
    "rows": ("llama", ROWS),
    "tied rows": ("qwen2", ROWS),
    "head and embedding": ("llama", ENDS),
    "dora": ("llama", DORA),
    "dora, rslora and dropout": ("llama", LoraConfig(4, 12.0, 0.3, rslora=True, dora=True)),
    "dora and biases": ("qwen2", LoraConfig(4, 12.0, 0.3, dora=True, biases=True)),
    "biases": ("qwen2", BIASES),
}
# Hugging Face fuses layers of phi3.
TRAVELLERS = {**VARIANTS, "dora, fused": ("phi3", DORA)}


# The sample of `make test`.
SAMPLE = ("tied rows", "head and embedding", "dora and biases")


def sampled(variants: Iterable[str]) -> list[Any]:
    """Return the sample of some variants, and the rest for `make test-all`."""
    marks = {name: () if name in SAMPLE else pytest.mark.long for name in variants}
    return [pytest.param(name, marks=mark) for name, mark in marks.items()]


def write_both(base: Base, lora: LoraConfig, folder: Path, size: float = 0.3) -> None:
    """Write an adapter like a trained one, as `lora` here and as `peft` in PEFT's layout."""
    write_adapter(folder / "lora", base.config, lora, size)
    export_adapter(folder / "lora", folder / "peft")


def peft_model(base: Base, adapter: Path, trainable: bool = False) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(transformers_model(base), adapter, is_trainable=trainable)


@pytest.mark.parametrize("variant", sampled(VARIANTS))
def test_five_steps_of_training_agree_with_peft(
    variant: str, base_of: Bases, tmp_path: Path
) -> None:
    family, lora = VARIANTS[variant]
    base = base_of(family)
    # A large adapter makes the tiny model chaotic: LoRA itself drifts from PEFT's by 1e-5 then.
    write_both(base, lora, tmp_path, size=0.05)
    ours, theirs = (
        adapted_model(base, tmp_path / "lora").train(),
        peft_model(base, tmp_path / "peft", trainable=True).train(),
    )
    optimizers = [
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.02, momentum=0.9)
        for model in (ours, theirs)
    ]
    for _ in range(5):
        torch.manual_seed(1)
        loss_of(ours).backward()
        torch.manual_seed(1)
        logits = theirs(input_ids=TOKENS[None]).logits[0]
        nn.functional.cross_entropy(logits, TARGETS).backward()
        compared = 0
        for mine, reference in matched(base, lora, ours, theirs):
            torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)
            compared += 1
        assert compared == 2 * len(adapter_state(ours))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def loss_of(model: Transformer) -> Tensor:
    """Return the loss as training computes it, without the logits, at all positions."""
    positions, head = torch.arange(len(TOKENS)), partial(summed_cross_entropy, targets=TARGETS)
    context = Documents([0, len(TOKENS)])
    return model(TOKENS, positions, context, positions, head) / len(TOKENS)


def matched(
    base: Base, lora: LoraConfig, ours: Transformer, theirs: Any
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield our parameters with PEFT's, and our gradients with PEFT's."""
    kinds: list[Callable[[Tensor], Tensor]] = [lambda p: p.detach(), lambda p: p.grad]  # type: ignore[list-item, return-value]
    for kind in kinds:
        state = {name: kind(ours.get_parameter(name)) for name in adapter_state(ours)}
        for name, rows in token_rows(base.config, state).items():
            yield rows, kind(theirs.get_parameter(f"{name}.default"))
        for module, layer in to_peft(base.config, lora, state).items():
            adapted = theirs.get_submodule(f"base_model.model.{module}")
            if module == EMBED_TOKENS:
                yield layer.b.t(), kind(adapted.lora_embedding_A["default"])
                yield layer.a.t(), kind(adapted.lora_embedding_B["default"])
                continue
            yield layer.a, kind(adapted.lora_A["default"].weight)
            yield layer.b, kind(adapted.lora_B["default"].weight)
            if lora.dora:
                wanted = adapted.lora_magnitude_vector["default"].weight
                yield layer.vectors["lora_magnitude"], kind(wanted)
            if "lora_bias" in layer.vectors:
                yield layer.vectors["lora_bias"], kind(adapted.base_layer.bias)


@pytest.mark.parametrize("variant", sampled(TRAVELLERS))
def test_peft_computes_and_merges_what_was_exported(
    variant: str, base_of: Bases, tmp_path: Path
) -> None:
    family, lora = TRAVELLERS[variant]
    base = base_of(family)
    write_both(base, lora, tmp_path)
    model = peft_model(base, tmp_path / "peft").eval()
    ours = logits_of(adapted_model(base, tmp_path / "lora"))
    torch.testing.assert_close(logits_of(model), ours, atol=1e-5, rtol=0)
    assert (ours - logits_of(load_model(base.native))).abs().max() > 0.1

    adapter = read_adapter(tmp_path / "lora")
    done = merge_checkpoint(open_base(base.native, adapter), adapter, tmp_path / "merged")
    wanted = sum(name.endswith(("lora_bias", "token_rows")) for name in adapter.state)
    assert done.proof.replaced == wanted
    theirs = model.merge_and_unload().state_dict()
    for name, tensor in to_hugging_face(base.config, open_weights(tmp_path / "merged")):
        torch.testing.assert_close(theirs[name], tensor, atol=2e-6, rtol=0)
    torch.testing.assert_close(logits_of(load_model(tmp_path / "merged")), ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", TRAVELLERS)
def test_a_variant_comes_back_bit_for_bit(variant: str, base_of: Bases, tmp_path: Path) -> None:
    family, lora = TRAVELLERS[variant]
    base = base_of(family)
    write_both(base, lora, tmp_path)
    import_adapter(tmp_path / "peft", base.native, tmp_path / "back")
    back, state = read_adapter(tmp_path / "back"), read_adapter(tmp_path / "lora").state
    for switch in ("dora", "biases", "token_rows"):
        assert getattr(back.lora, switch) == getattr(lora, switch)
    assert back.state.keys() == state.keys()
    assert all(torch.equal(back.state[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", {"use_dora": True, "use_rslora": True, "target_modules": "all-linear"}),
        ("llama", {"target_modules": ["v_proj", "lm_head", "embed_tokens"]}),
        ("qwen2", {"trainable_token_indices": [3, 9], "target_modules": ["q_proj"]}),
        ("qwen2", {"bias": "lora_only", "target_modules": ["q_proj", "up_proj"]}),
        ("qwen2", {"bias": "all", "target_modules": ["q_proj", "k_proj", "v_proj"]}),
    ],
)
def test_what_peft_trained_computes_the_same_here(
    family: str, settings: dict[str, Any], base_of: Bases, tmp_path: Path
) -> None:
    base = base_of(family)
    model = train_with_peft(base, tmp_path / "peft", r=4, lora_alpha=6, **settings)
    import_adapter(tmp_path / "peft", base.native, tmp_path / "lora")
    ours = logits_of(adapted_model(base, tmp_path / "lora"))
    torch.testing.assert_close(ours, logits_of(model), atol=1e-5, rtol=0)


def test_biases_of_layers_without_adapter_are_named(base_of: Bases, tmp_path: Path) -> None:
    base = base_of("qwen2")
    train_with_peft(base, tmp_path / "peft", r=4, bias="all", target_modules=["q_proj"])
    with pytest.raises(ValueError, match=r"4 left over \(first .*k_proj\.bias'"):
        import_adapter(tmp_path / "peft", base.native, tmp_path / "lora")


def test_dora_of_some_fused_layers_cannot_be_write_both(base_of: Bases, tmp_path: Path) -> None:
    lora = LoraConfig(rank=4, targets=("wq", "wv"), dora=True)
    with pytest.raises(ValueError, match=r"attention\.wk has no adapter, and .*qkv_proj\.weight"):
        write_both(base_of("phi3"), lora, tmp_path)


def test_rows_of_the_embedding_alone_cannot_be_imported(base_of: Bases, tmp_path: Path) -> None:
    base = base_of("llama")
    settings = {"trainable_token_indices": [3, 9], "target_modules": ["q_proj"]}
    train_with_peft(base, tmp_path / "peft", r=4, **settings)
    with pytest.raises(ValueError, match="wanted the same ids for embed_tokens and lm_head"):
        import_adapter(tmp_path / "peft", base.native, tmp_path / "lora")
