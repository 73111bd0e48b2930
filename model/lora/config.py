"""What an adapter is, and its file `lora.json`."""

import json
import math
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from storage.json_file import read_json

LORA_FILE = "lora.json"
ADAPTER_FILE = "adapter.safetensors"
ALL_LINEARS = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")
# Adapted where a target is exactly this, and by no pattern.
EMBEDDING, HEAD = "tok_embeddings", "output"


# What is left out of `lora.json` where it says nothing, so that older versions read it.
OPTIONAL = ("rslora", "ranks", "alphas", "dora", "biases", "token_rows")


@dataclass(frozen=True)
class LoraConfig:
    """What an adapter is.

    targets: Which layers are adapted: patterns on their full or last names (`wq`, `*.w1`), which
        mean layers of the blocks, and `output` and `tok_embeddings` where they say just that.
    rank: The width of the adapter's two matrices.
    alpha: What their product is multiplied by, divided by the rank.
    dropout: Which share of the adapter's inputs is left out in training.
    rslora: Whether the scale is alpha / sqrt(rank), as in rank-stabilised LoRA, not alpha / rank.
    ranks: Such patterns with what layers of that name have instead of `rank`; the first that
        matches is taken. In files it is an object.
    alphas: Such patterns with what layers of that name have instead of `alpha`, likewise.
    dora: Whether the adapted weight's rows have trained lengths, as model/lora/dora.py does it.
    biases: Whether the biases of adapted layers are trained too; one of them must have one.
    token_rows: The ids of tokens whose rows of embedding and head are trained themselves.
    """

    rank: int = 16
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ALL_LINEARS
    rslora: bool = False
    ranks: tuple[tuple[str, int], ...] = ()
    alphas: tuple[tuple[str, float], ...] = ()
    dora: bool = False
    biases: bool = False
    token_rows: tuple[int, ...] = ()

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
        for name in ("rslora", "dora", "biases"):
            if not isinstance(value := getattr(self, name), bool):
                raise ValueError(f"{name} is {value!r}, wanted true or false")

        rows = self.token_rows
        if not all(isinstance(row, int) and not isinstance(row, bool) and row >= 0 for row in rows):
            raise ValueError(f"token_rows are {list(rows)}, wanted ids of tokens, 0 or more")
        if len(set(rows)) < len(rows):
            raise ValueError(f"token_rows are {list(rows)}, which names one of them twice")

    def is_target(self, name: str) -> bool:
        """Return whether the layer of this full name is adapted."""
        if name in (EMBEDDING, HEAD):
            return name in self.targets
        return any(is_target(name, target) for target in self.targets)

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

    def record(self) -> dict[str, Any]:
        """Return the object that files hold; what may be left out is, where it says nothing."""
        values = asdict(self) | {"ranks": dict(self.ranks), "alphas": dict(self.alphas)}
        values |= {"targets": list(self.targets), "token_rows": list(self.token_rows)}
        return {name: value for name, value in values.items() if value or name not in OPTIONAL}

    @staticmethod
    def read(directory: Path | str) -> "LoraConfig":
        """Read the `lora.json` of a checkpoint directory."""
        path = Path(directory) / LORA_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; every LoRA checkpoint of finetune.py holds one"
            )
        values = read_json(path)
        try:
            return _from_record(values)
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
    for name, kind in (("targets", "names"), ("token_rows", "ids")):
        if name in values:
            if not isinstance(values[name], list):
                raise ValueError(f"{name} are {values[name]!r}, wanted a list of {kind}")
            values[name] = tuple(values[name])
    for name in values.keys() & {"ranks", "alphas"}:
        if not isinstance(values[name], dict):
            raise ValueError(f"{name} are {values[name]!r}, wanted an object of names and numbers")
        values[name] = tuple(values[name].items())
    return LoraConfig(**values)


def _of(kind: str, name: str) -> str:
    return kind if name == kind else f"{kind} of {name!r}"


def is_target(name: str, target: str) -> bool:
    """Return whether a pattern is for the layer of this full name."""
    return fnmatch(name, target) or fnmatch(name.rpartition(".")[2], target)
