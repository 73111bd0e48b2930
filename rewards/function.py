"""A user's own reward: one Python function in a file that they name."""

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from console.flags import nearest
from storage.manifest import sha256_of_file

SETTING = "reward.function"
# Larger numbers would not survive sums over replies and tokens in float32.
LARGEST = 1e6


@dataclass(frozen=True)
class RewardFunction:
    """The function, where it stands (FILE.py:NAME), and the sha256 of its file."""

    place: str
    function: Callable[[dict[str, Any]], Any]
    sha256: str

    def __call__(self, attempt: Mapping[str, Any]) -> float:
        """Return what it says of an attempt, which docs/rewards.md describes.

        ValueError names the prompt where it raises, or returns what is no number up to LARGEST.
        """
        about = f"{SETTING} {self.place}, on a reply to {attempt.get('id')!r},"
        try:
            value = self.function(dict(attempt))
        # A user's own function may raise anything.
        except (Exception, SystemExit) as error:
            raise ValueError(
                f"{about} raised {type(error).__name__}: {_one_line(str(error))}; mend the "
                f"function, or leave it out with --{SETTING}=null"
            ) from error
        # Compared before it becomes a float, which an integer may be too large for.
        number: Any = value
        if not isinstance(value, Real) or not -LARGEST <= number <= LARGEST:
            raise ValueError(
                f"{about} returned {_shown(value)}, wanted a number from -{LARGEST:,.0f} to "
                f"{LARGEST:,.0f}; mend the function, or leave it out with --{SETTING}=null"
            )
        return float(value)


def _shown(value: object) -> str:
    """Return the beginning of how Python shows a value, in one line."""
    try:
        return _one_line(repr(value))[:60]
    # Python refuses to write out integers of thousands of digits.
    except ValueError:
        return f"a value of type {type(value).__name__} too long to show"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_function(place: str) -> RewardFunction:
    """Load FILE.py:NAME; the file is executed.

    FileNotFoundError or ValueError names the setting, the file and what is wrong.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(
            f"{SETTING} is {place!r}, wanted FILE.py:NAME, a Python file and a function in it"
        )
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{SETTING}: {path} does not exist; name a Python file")
    if path.suffix != ".py":
        raise ValueError(f"{SETTING}: {path} ends in {path.suffix!r}, wanted .py")
    return RewardFunction(place, _function(path, name), sha256_of_file(path))


def _function(path: Path, name: str) -> Callable[[dict[str, Any]], Any]:
    spec = importlib.util.spec_from_file_location(f"reward_of_user_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{SETTING}: {path} cannot be executed: {type(error).__name__}: {error}"
        ) from error
    names = [key for key, value in vars(module).items() if inspect.isfunction(value)]
    function = getattr(module, name, None)
    if function is None:
        close = nearest(name, names) or names
        hint = f"; it has {', '.join(close)}" if close else ""
        raise ValueError(f"{SETTING}: {path} has no function {name!r}{hint}")
    if not callable(function):
        raise ValueError(f"{SETTING}: {name} of {path} is {function!r:.60}, wanted a function")
    _check_takes_one(path, name, function)
    return function  # type: ignore[no-any-return]


def _check_takes_one(path: Path, name: str, function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind({})
    except TypeError as error:
        raise ValueError(
            f"{SETTING}: {name} of {path} must take one argument, the attempt: {error}"
        ) from None
