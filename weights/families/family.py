"""What one family of models is: a row of facts, and the rows of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Weight:
    """One tensor: both names, the shape in named sizes, and what each side does with the rows.

    Tensors with one Hugging Face name are fused there: they lie below one another in the order of
    their rows. `axis` is where Meta's shards cut the tensor; None means that every shard holds it
    whole. `rotary_heads` names the head count of a tensor whose rows come in rotary pairs: Meta
    keeps the two of a pair side by side, Hugging Face half of what is rotated of a head apart.
    """

    name: str
    hugging_face: str
    shape: tuple[str, ...]
    axis: int | None = None
    rotary_heads: str | None = None


@dataclass(frozen=True)
class Family:
    """A family of models whose mathematics `model/` has.

    name: What `params.json` calls it.
    architecture, model_type: What Hugging Face's `config.json` calls it.
    in_each_layer: The weights of one layer, in the order of the model's parameters.
    chat_format: How its models are spoken to where nothing else is known; a name in chat/formats.
    qkv_bias, qk_norm: As in `ModelConfig`.
    window: Whether its models may have a sliding window.
    window_is_switched: Whether `config.json` says with a flag, and layer by layer, who has one.
    partial_rotary: Whether only a part of each head may be rotated.
    rope_kinds: The rope scalings that its models may have, by Hugging Face's `rope_type`.
    in_meta_format: Whether Meta's format can hold its weights.
    defaults: What `config.json` means where it does not say it, by its own names: the values of
        Transformers' configuration class as far as they are not everybody's.
    """

    name: str
    architecture: str
    model_type: str
    in_each_layer: tuple[Weight, ...]
    chat_format: str
    qkv_bias: bool = False
    qk_norm: bool = False
    window: bool = False
    window_is_switched: bool = False
    partial_rotary: bool = False
    rope_kinds: tuple[str, ...] = ("default",)
    in_meta_format: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
