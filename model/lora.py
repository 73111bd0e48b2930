"""LoRA: small trained matrices beside frozen linear layers, and their merge.

Shapes: T tokens, I inputs, O outputs, R rank.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LORA_FILE = "lora.json"
ADAPTER_FILE = "adapter.safetensors"
ALL_LINEARS = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")


# What is left out of `lora.json` where it says nothing, so that older versions read it.
OPTIONAL = ("rslora", "ranks", "alphas")


@dataclass(frozen=True)
class LoraConfig:
    """What an adapter is: `targets` are patterns on a layer's full or last name (`wq`, `*.w1`).

    rslora: Whether the scale is alpha / sqrt(rank), as in rank-stabilised LoRA, not alpha / rank.
    ranks, alphas: Such patterns with what layers of that name have instead of `rank` and `alpha`;
        the first that matches is taken. In files they are objects.
    """

    rank: int = 16
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ALL_LINEARS
    rslora: bool = False
    ranks: tuple[tuple[str, int], ...] = ()
    alphas: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, rank in (("rank", self.rank), *self.ranks):
            if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
                raise ValueError(f"{_of('rank', name)} is {rank!r}, wanted a positive whole number")
        for name, alpha in (("alpha", self.alpha), *self.alphas):
            if not isinstance(alpha, int | float) or not 0 < alpha < float("inf"):
                raise ValueError(f"{_of('alpha', name)} is {alpha!r}, wanted a positive number")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}, wanted 0 or more and below 1")
        if isinstance(self.targets, str) or not self.targets:
            raise ValueError(f"targets are {self.targets!r}, wanted a list of layer names")
        if not isinstance(self.rslora, bool):
            raise ValueError(f"rslora is {self.rslora!r}, wanted true or false")

    def rank_of(self, name: str) -> int:
        """Return the rank of the layer of this full name."""
        return next((rank for pattern, rank in self.ranks if is_target(name, pattern)), self.rank)

    def alpha_of(self, name: str) -> float:
        """Return the alpha of the layer of this full name."""
        found = (alpha for pattern, alpha in self.alphas if is_target(name, pattern))
        return next(found, self.alpha)

    def scale_of(self, name: str) -> float:
        """Return the factor on the output of the layer of this full name."""
        return self.alpha_of(name) / scale_divisor(self.rank_of(name), self.rslora)

    def wrap(self, name: str, base: nn.Module) -> "LoraLinear":
        """Return the linear layer of this full name with a new adapter beside it."""
        return LoraLinear(base, self.rank_of(name), self.scale_of(name), self.dropout)

    def record(self) -> dict[str, Any]:
        """Return the object that files hold; what may be left out is, where it says nothing."""
        values = asdict(self) | {"ranks": dict(self.ranks), "alphas": dict(self.alphas)}
        values["targets"] = list(self.targets)
        return {name: value for name, value in values.items() if value or name not in OPTIONAL}

    @staticmethod
    def read(directory: Path | str) -> "LoraConfig":
        """Read the `lora.json` of a checkpoint directory."""
        path = Path(directory) / LORA_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; every LoRA checkpoint of finetune.py holds one"
            )
        try:
            return _from_record(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a LoRA configuration: {error}") from None

    def write(self, directory: Path | str) -> None:
        """Write `lora.json` into a checkpoint directory."""
        text = json.dumps(self.record(), indent=2)
        (Path(directory) / LORA_FILE).write_text(text + "\n", encoding="utf-8")


def scale_divisor(rank: int, rslora: bool) -> float:
    """Return what alpha is divided by to give a layer's scale."""
    return math.sqrt(rank) if rslora else rank


def _from_record(values: Any) -> LoraConfig:
    """Return the configuration of a file's object; a key that is missing has its default."""
    if not isinstance(values, dict):
        raise ValueError(f"found a {type(values).__name__}, wanted an object")
    known = [field.name for field in fields(LoraConfig)]
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"unknown key {unknown[0]!r}, known are {', '.join(known)}")
    values = dict(values)
    if "targets" in values:
        if not isinstance(values["targets"], list):
            raise ValueError(f"targets are {values['targets']!r}, wanted a list of names")
        values["targets"] = tuple(values["targets"])
    for name in values.keys() & {"ranks", "alphas"}:
        if not isinstance(values[name], dict):
            raise ValueError(f"{name} are {values[name]!r}, wanted an object of names and numbers")
        values[name] = tuple(values[name].items())
    return LoraConfig(**values)


def _of(kind: str, name: str) -> str:
    return kind if name == kind else f"{kind} of {name!r}"


def _device_of(module: nn.Module) -> torch.device:
    # A quantised layer may have buffers alone.
    return next(chain(module.parameters(), module.buffers())).device


class LoraLinear(nn.Module):
    """A frozen linear layer plus scale * B A x; B starts at zero, so the start is the base.

    A and B keep their own dtype (float32 as masters) and are cast to the input's to compute.
    All its parameters but the base's are the adapter's state. A variant is a class of its own, with
    other parameters, `forward`, `merged` and `summed_magnitudes`.
    """

    def __init__(self, base: nn.Module, rank: int, scale: float, dropout: float = 0.0) -> None:
        super().__init__()
        # Not the weight's shape: partitioned over ranks (ZeRO-3) it has none.
        inputs, outputs = int(base.in_features), int(base.out_features)  # type: ignore[arg-type]
        self.base = base
        self.rank, self.scale = rank, scale
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        like = torch.empty(0, dtype=torch.float32, device=_device_of(base))
        self.lora_a = nn.Parameter(like.new_empty(rank, inputs))
        self.lora_b = nn.Parameter(like.new_zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O]."""
        inner = F.linear(self.dropout(x), self.lora_a.type_as(x))
        return torch.addmm(self.base(x), inner, self.lora_b.type_as(x).t(), alpha=self.scale)

    def merged(self, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the base's weight with the adapter in it, in float32 or wider.

        weight [C, I] holds the C `rows` of the base's that are wanted.
        """
        wide = torch.promote_types(weight.dtype, torch.float32)
        return merge(weight, self.lora_a.detach(), self.lora_b.detach()[rows], self.scale, wide)

    def summed_magnitudes(self, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return of each value of `merged` the sum of the magnitudes that it sums [C, I].

        The error of summing in float32 is a share of it.
        """
        a, b = self.lora_a.detach().abs(), self.lora_b.detach()[rows].abs()
        return merge(weight.abs(), a, b, self.scale)


def add_lora(model: nn.Module, config: LoraConfig) -> list[str]:
    """Wrap every linear layer whose name matches a target, freeze the rest; return the names.

    Raises ValueError for a pattern that matches nothing.
    """
    model.requires_grad_(False)
    names = list(matching_linears(model, config.targets))
    for pattern, value in (*config.ranks, *config.alphas):
        if not any(is_target(name, pattern) for name in names):
            raise ValueError(f"lora gives {value} to {pattern!r}, which matches no adapted layer")
    for name in names:
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, child, config.wrap(name, getattr(owner, child)))
    return names


def matching_linears(model: nn.Module, targets: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the block's linear layers that a target matches, in model order."""
    linears = [
        name
        for name, module in model.named_modules()
        if name.startswith("layers.") and hasattr(module, "in_features")
    ]
    for target in targets:
        if not any(is_target(name, target) for name in linears):
            last = sorted({name.rpartition(".")[2] for name in linears})
            raise ValueError(f"lora target {target!r} matches no linear layer; there are {last}")
    return (name for name in linears if any(is_target(name, target) for target in targets))


def is_target(name: str, target: str) -> bool:
    """Return whether a pattern is for the layer of this full name."""
    return fnmatch(name, target) or fnmatch(name.rpartition(".")[2], target)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the adapter's parameters by name (`layers.0.attention.wq.lora_a`, ...)."""
    return {
        f"{layer}.{name}": parameter.detach()
        for layer, module in model.named_modules()
        if isinstance(module, LoraLinear)
        for name, parameter in module.named_parameters()
        if not name.startswith("base.")
    }


def adapted_layer(
    config: LoraConfig, name: str, shape: Sequence[int], state: Mapping[str, Tensor]
) -> LoraLinear | None:
    """Return the linear layer of this name with its adapter, or None where it has none.

    Its base has the weight's `shape` [O, I] and no values.
    """
    own = {key.removeprefix(f"{name}."): key for key in state if key.startswith(f"{name}.")}
    if not own:
        return None
    with torch.device("meta"):
        layer = config.wrap(name, nn.Linear(shape[1], shape[0], bias=False))
    for attribute, key in own.items():
        setattr(layer, attribute, nn.Parameter(state[key], requires_grad=False))
    return layer


def load_adapter(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy an adapter into a model that `add_lora` prepared; every name must be on both sides."""
    own = adapter_state(model)
    check_adapter(own, state)
    for name, tensor in own.items():
        tensor.copy_(state[name])


def check_adapter(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless `state` has exactly the tensors of a model's `own` adapter."""
    missing, left_over = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or left_over:
        raise ValueError(
            f"{len(missing)} tensors of the adapter are missing (first {missing[:1]}) and "
            f"{len(left_over)} left over (first {left_over[:1]}); is lora.json the one it was "
            "trained with?"
        )
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise ValueError(
                f"{name} has shape {list(state[name].shape)}, wanted {list(tensor.shape)}"
            )


def merge(
    weight: Tensor, a: Tensor, b: Tensor, scale: float, dtype: torch.dtype | None = None
) -> Tensor:
    """Return weight + scale * b a, added in float32 or wider and rounded once.

    weight [O, I], a [R, I], b [O, R]; `dtype` None keeps the weight's.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    delta = (b.to(wide) @ a.to(wide)).mul_(scale)
    return delta.add_(weight).to(dtype or weight.dtype)


def adapter_of(state: Mapping[str, Any], linear: str) -> tuple[Any, Any] | None:
    """Return (a, b) of the linear layer named `linear`, or None when it has no adapter."""
    a, b = state.get(f"{linear}.lora_a"), state.get(f"{linear}.lora_b")
    return None if a is None or b is None else (a, b)
