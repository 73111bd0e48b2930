"""LoRA: small trained matrices beside frozen linear layers, and their merge.

Shapes: T tokens, I inputs, O outputs, R rank.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LORA_FILE = "lora.json"
ADAPTER_FILE = "adapter.safetensors"
ALL_LINEARS = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")


@dataclass(frozen=True)
class LoraConfig:
    """What an adapter is: `targets` are patterns on a layer's full or last name (`wq`, `*.w1`)."""

    rank: int = 16
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ALL_LINEARS

    def __post_init__(self) -> None:
        if not isinstance(self.rank, int) or isinstance(self.rank, bool) or self.rank < 1:
            raise ValueError(f"rank is {self.rank!r}, wanted a positive whole number")
        if not isinstance(self.alpha, int | float) or not 0 < self.alpha < float("inf"):
            raise ValueError(f"alpha is {self.alpha!r}, wanted a positive number")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}, wanted 0 or more and below 1")
        if isinstance(self.targets, str) or not self.targets:
            raise ValueError(f"targets are {self.targets!r}, wanted a list of layer names")

    @property
    def scale(self) -> float:
        """The factor on the adapter's output: alpha / rank."""
        return self.alpha / self.rank

    @staticmethod
    def read(directory: Path | str) -> "LoraConfig":
        """Read the `lora.json` of a checkpoint directory."""
        path = Path(directory) / LORA_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; every LoRA checkpoint of finetune.py holds one"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            known = [field.name for field in fields(LoraConfig)]
            if not isinstance(values, dict) or set(values) != set(known):
                raise ValueError(f"found {list(values)}, wanted the keys {known}")
            if not isinstance(values["targets"], list):
                raise ValueError(f"targets are {values['targets']!r}, wanted a list of names")
            return LoraConfig(**{**values, "targets": tuple(values["targets"])})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a LoRA configuration: {error}") from None

    def write(self, directory: Path | str) -> None:
        """Write `lora.json` into a checkpoint directory."""
        text = json.dumps({**asdict(self), "targets": list(self.targets)}, indent=2)
        (Path(directory) / LORA_FILE).write_text(text + "\n", encoding="utf-8")


class LoraLinear(nn.Module):
    """A frozen linear layer plus scale * B A x; B starts at zero, so the start is the base.

    A and B keep their own dtype (float32 as masters) and are cast to the input's to compute.
    """

    def __init__(self, base: nn.Module, config: LoraConfig) -> None:
        super().__init__()
        # Not the weight's shape: partitioned over ranks (ZeRO-3) it has none.
        inputs, outputs = int(base.in_features), int(base.out_features)  # type: ignore[arg-type]
        self.base = base
        self.scale = config.scale
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        like = torch.empty(0, dtype=torch.float32, device=next(base.parameters()).device)
        self.lora_a = nn.Parameter(like.new_empty(config.rank, inputs))
        self.lora_b = nn.Parameter(like.new_zeros(outputs, config.rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] to [T, O]."""
        inner = F.linear(self.dropout(x), self.lora_a.type_as(x))
        return torch.addmm(self.base(x), inner, self.lora_b.type_as(x).t(), alpha=self.scale)


def add_lora(model: nn.Module, config: LoraConfig) -> list[str]:
    """Wrap every linear layer whose name matches a target, freeze the rest; return the names.

    Raises ValueError for a pattern that matches nothing.
    """
    model.requires_grad_(False)
    names = list(matching_linears(model, config.targets))
    for name in names:
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, child, LoraLinear(getattr(owner, child), config))
    return names


def matching_linears(model: nn.Module, targets: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the block's linear layers that a target matches, in model order."""
    linears = [
        name
        for name, module in model.named_modules()
        if name.startswith("layers.") and hasattr(module, "in_features")
    ]
    for target in targets:
        if not any(_matches(name, target) for name in linears):
            last = sorted({name.rpartition(".")[2] for name in linears})
            raise ValueError(f"lora target {target!r} matches no linear layer; there are {last}")
    return (name for name in linears if any(_matches(name, target) for target in targets))


def _matches(name: str, target: str) -> bool:
    return fnmatch(name, target) or fnmatch(name.rpartition(".")[2], target)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the adapter's parameters by name (`layers.0.attention.wq.lora_a`, ...)."""
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if name.endswith((".lora_a", ".lora_b"))
    }


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
