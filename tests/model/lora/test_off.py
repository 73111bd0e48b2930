"""An adapter that is off: the model computes as its base, and afterwards as before."""

import pytest
import torch
from tiny_models import FAMILY_SHAPES, LLAMA3_SHAPES, TINY, random_model

from model.config import ModelConfig
from model.lora.adapter import adapter_off, adapter_state, add_lora
from model.lora.config import LoraConfig

from .test_layers import fill, logits_of

ENDS = ("tok_embeddings", "output", "wq")
KINDS = {
    "plain": (TINY, LoraConfig(dropout=0.5)),
    "dora": (TINY, LoraConfig(dora=True)),
    "biases": (FAMILY_SHAPES["qwen2"], LoraConfig(biases=True)),
    "ends": (TINY, LoraConfig(targets=ENDS)),
    "rows": (TINY, LoraConfig(token_rows=(3, 7))),
    "tied rows": (LLAMA3_SHAPES["llama3_2"], LoraConfig(token_rows=(3, 7))),
}


@pytest.mark.parametrize("shape, config", KINDS.values(), ids=KINDS)
def test_an_adapter_that_is_off_leaves_the_base(shape: ModelConfig, config: LoraConfig) -> None:
    plain, model = random_model(shape), random_model(shape)
    add_lora(model, config)
    fill(model)
    before, names = logits_of(model.eval()), list(adapter_state(model))
    with torch.no_grad(), adapter_off(model.train()):
        off = logits_of(model)
    assert torch.equal(off, logits_of(plain)) and not torch.equal(off, before)
    assert torch.equal(logits_of(model.eval()), before) and list(adapter_state(model)) == names


def test_an_error_while_it_is_off_leaves_the_adapter_on() -> None:
    model = random_model(TINY)
    add_lora(model, LoraConfig())
    names = list(adapter_state(model))
    with pytest.raises(KeyError), adapter_off(model):
        raise KeyError
    assert list(adapter_state(model)) == names


def test_a_model_without_an_adapter_cannot_switch_it_off() -> None:
    with (
        pytest.raises(ValueError, match="no adapter that could be off"),
        adapter_off(random_model(TINY)),
    ):
        pass
