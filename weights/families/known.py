"""The families that can be read and written, by the name that `params.json` has."""

from model.config import LongRope, ModelConfig, RopeScaling
from weights.families.family import Family
from weights.families.llama import LLAMA
from weights.families.mistral import MISTRAL
from weights.families.phi3 import PHI3
from weights.families.qwen2 import QWEN2
from weights.families.qwen3 import QWEN3

FAMILIES: dict[str, Family] = {
    family.name: family for family in (LLAMA, MISTRAL, QWEN2, QWEN3, PHI3)
}


def family_of(config: ModelConfig) -> Family:
    """Return the row of a model's family; ValueError where the model is none of it."""
    if config.family not in FAMILIES:
        raise ValueError(f"family is {config.family!r}, wanted one of {', '.join(FAMILIES)}")
    family = FAMILIES[config.family]
    for name in ("qkv_bias", "qk_norm"):
        if getattr(config, name) != getattr(family, name):
            raise ValueError(
                f"{name} is {getattr(config, name)}, and models of the family {family.name} have "
                f"{getattr(family, name)}; take params.json from the same model"
            )
    if config.sliding_window is not None and not family.window:
        raise ValueError(
            f"sliding_window is {config.sliding_window}, and models of the family {family.name} "
            f"have none; is it one of {', '.join(f.name for f in FAMILIES.values() if f.window)}?"
        )
    if config.rotary_dim not in (None, config.head_dim) and not family.partial_rotary:
        raise ValueError(
            f"rotary_dim is {config.rotary_dim} of {config.head_dim}, and models of the family "
            f"{family.name} rotate whole heads; take params.json from the same model"
        )
    kinds = {type(None): "default", RopeScaling: "llama3", LongRope: "longrope"}
    if (kind := kinds[type(config.rope_scaling)]) not in family.rope_kinds:
        raise ValueError(
            f"the rope scaling is {kind}, and the family {family.name} has "
            f"{', '.join(family.rope_kinds)}; take params.json from the same model"
        )
    return family
