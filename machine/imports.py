"""Whether each package that the project wants can be imported: trials."""

from functools import partial
from importlib import import_module
from importlib.metadata import packages_distributions

from machine.features import is_found, packages_used
from machine.packages import REINSTALL
from machine.requirements import normalised, read_requirements
from machine.trial import Trial


def _import(name: str) -> str:
    import_module(name)
    return ""


def _wanted() -> list[str]:
    """Return the modules of requirements.txt's packages that some file imports and that are here.

    DeepSpeed has its own trial, which comes with what it starts.
    """
    wanted = {name for name, _ in read_requirements()} - {"deepspeed"}
    owners = packages_distributions()
    return [
        name
        for name in sorted(packages_used())
        if wanted & set(map(normalised, owners.get(name, []))) and is_found(name)
    ]


TRIALS = {name: Trial(partial(_import, name), REINSTALL) for name in _wanted()}
