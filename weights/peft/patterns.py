"""The shortest names for some of a model's layers: the last part where it says enough.

`wq` means every layer whose name ends so, here as in PEFT; a whole name means that layer alone.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value", int, float)


def name_layers(chosen: Iterable[str], among: Iterable[str]) -> list[str]:
    """Return the patterns that match exactly the `chosen` ones `among` the names of all layers."""
    chosen, everywhere = _by_last_part(chosen), _by_last_part(among)
    return [
        pattern
        for last, names in chosen.items()
        for pattern in ([last] if len(names) == len(everywhere[last]) else names)
    ]


def name_exceptions(values: Mapping[str, Value], usual: Value) -> dict[str, Value]:
    """Return by pattern the values of layers, by name, that are not the usual one."""
    found: dict[str, Value] = {}
    for last, names in _by_last_part(values).items():
        if len({values[name] for name in names}) == 1:
            found[last] = values[names[0]]
        else:
            found |= {name: values[name] for name in names}
    return {pattern: value for pattern, value in found.items() if value != usual}


def _by_last_part(names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition(".")[2], []).append(name)
    return groups
