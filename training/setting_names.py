"""The dotted names of settings, such as `training.batch_size`, and flags that name none."""

from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import BaseModel

from console.flags import unknown_flag

# What finetune.py and ds_finetune.py take beside settings.
COMMAND_FLAGS = ("config_file", "resume", "new_schedule", "fit_anyway")


def setting_names(section: type[BaseModel]) -> dict[str, bool]:
    """Return the name of every setting and section, and whether it may hold any key."""
    return dict(_names(section, ""))


def check_setting(name: str, section: type[BaseModel]) -> None:
    """Raise UsageError for a flag that names no setting, with the nearest ones that there are."""
    known = setting_names(section)
    if name not in known and not any(free and overlap(name, key) for key, free in known.items()):
        raise unknown_flag(name, [*COMMAND_FLAGS, *known])


def overlap(one: str, other: str) -> bool:
    """Return whether two dotted names are the same, or one is inside the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _names(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    for name, field in section.__pydantic_fields__.items():
        kinds = (field.annotation, *get_args(field.annotation))
        yield prefix + name, any(get_origin(kind) is dict for kind in kinds)
        for kind in kinds:
            # Of a model and of a dataclass alike.
            if hasattr(kind, "__pydantic_fields__"):
                yield from _names(kind, f"{prefix}{name}.")
