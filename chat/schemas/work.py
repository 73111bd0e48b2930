"""The work limit of one validation, and its caches."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chat.schemas.patterns import TooCostly

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

# Checks allowed per value of a call on average, and values allowed in addition.
CHECKS_A_VALUE = 1000
VALUES_GRANTED = 100
LETTERS_A_CHECK = 64


@dataclass
class Work:
    """One validation: the checks left, and caches of reference errors and of enum choices."""

    left: int
    resolver: Any
    references: dict[tuple[Any, int], "list[ValidationError]"] = field(default_factory=dict)
    choices: dict[int, frozenset[Any]] = field(default_factory=dict)

    def spend(self, checks: int = 1) -> None:
        self.left -= checks
        if self.left < 0:
            raise TooCostly(
                f"checking the arguments takes more than {CHECKS_A_VALUE:,} checks a value"
            )


WORK: ContextVar[Work] = ContextVar("work")


def count_values(value: Any) -> int:
    """Count the values in a value, itself included."""
    if isinstance(value, Mapping):
        return 1 + sum(map(count_values, value.values()))
    return 1 + sum(map(count_values, value)) if isinstance(value, list) else 1


def frozen(value: Any) -> Any:
    """Return a hashable value that is equal for equal JSON values: 1 is 1.0, and true is not 1."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, Mapping):
        return (dict, frozenset((key, frozen(member)) for key, member in value.items()))
    return (list, *map(frozen, value)) if isinstance(value, list) else value
