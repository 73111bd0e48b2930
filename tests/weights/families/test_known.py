"""The rows of families: their defaults are Transformers', and a model must agree with its row."""

from dataclasses import replace

import pytest
from hugging_face_models import MODELS
from tiny_models import FAMILY_SHAPES, LONG_ROPE, TINY

from model.config import ModelConfig, RopeScaling
from weights.families.family import Family
from weights.families.known import FAMILIES, family_of
from weights.hugging_face.config import params_from_config

CONFIGS = {config.model_type: config for config, _, _ in MODELS.values()}
SIZES = {
    "hidden_size": 512,
    "num_hidden_layers": 30,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 320,
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_defaults_are_those_of_transformers_configuration(family: Family) -> None:
    switched_on = {"use_sliding_window": True} if family.window_is_switched else {}
    theirs = CONFIGS[family.model_type](**switched_on)
    assert {name: getattr(theirs, name) for name in family.defaults} == dict(family.defaults)


def config_of(name: str, **changes: object) -> ModelConfig:
    given = {"model_type": FAMILIES[name].model_type, **SIZES, **changes}
    return ModelConfig.from_params(params_from_config(given, "here"))


@pytest.mark.parametrize(
    ("name", "changes", "field", "value"),
    [
        ("mistral", {}, "sliding_window", 4096),
        ("mistral", {"sliding_window": None}, "sliding_window", None),
        ("qwen2", {}, "sliding_window", None),
        ("qwen2", {"use_sliding_window": True, "num_hidden_layers": 28}, "sliding_window", None),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 0}, "sliding_window", 4096),
        ("qwen3", {}, "head_dim", 128),
        ("phi3", {}, "norm_eps", 1e-5),
        ("llama", {}, "norm_eps", 1e-6),
        ("llama", {}, "rope_theta", 10000.0),
    ],
)
def test_what_config_leaves_open_is_the_familys_default(
    name: str, changes: dict[str, object], field: str, value: object
) -> None:
    assert getattr(config_of(name, **changes), field) == value


def test_window_of_the_last_two_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="max_window_layers is 28 of 30"):
        config_of("qwen2", use_sliding_window=True)


@pytest.mark.parametrize("shape", [TINY, *FAMILY_SHAPES.values(), LONG_ROPE])
def test_models_of_a_family_agree_with_its_row(shape: ModelConfig) -> None:
    assert family_of(shape).name == shape.family


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "gpt2"}, "family is 'gpt2', wanted one of llama, mistral"),
        ({"qkv_bias": True}, "qkv_bias is True, and models of the family llama have False"),
        ({"family": "qwen3"}, "qk_norm is False, and models of the family qwen3 have True"),
        ({"sliding_window": 8}, "sliding_window is 8, and models of the family llama have none"),
        ({"rotary_dim": 8}, "rotary_dim is 8 of 16, and models of the family llama rotate whole"),
        (
            {"family": "mistral", "rope_scaling": RopeScaling(8.0)},
            "the rope scaling is llama3, and the family mistral has default",
        ),
    ],
)
def test_model_that_contradicts_its_row_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        family_of(replace(TINY, **changes))
