"""A user's own reward: one Python function in a file that they name."""

import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from console.flags import nearest
from storage.manifest import sha256_of_file

SETTING = "reward.function"


@dataclass(frozen=True)
class RewardFunction:
    """The function, where it stands (FILE.py:NAME), and the sha256 of its file."""

    place: str
    function: Callable[[dict[str, Any]], Any]
    sha256: str

    def __call__(self, attempt: Mapping[str, Any]) -> float:
        """Return what it says of an attempt, which docs/rewards.md describes.

        ValueError names the prompt where it raises, or returns what is no finite number.
        """
        about = f"{SETTING} {self.place}, on a reply to {attempt.get('id')!r},"
        try:
            value = self.function(dict(attempt))
        # A user's own function may raise anything.
        except (Exception, SystemExit) as error:
            raise ValueError(
                f"{about} raised {type(error).__name__}: {error}; mend the function, or leave it "
                f"out with --{SETTING}=null"
            ) from error
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(
                f"{about} returned {value!r:.60}, wanted a finite number; mend the function, or "
                f"leave it out with --{SETTING}=null"
            )
        return float(value)


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
