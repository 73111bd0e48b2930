"""All checks of this machine, part by part."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from machine.features import check_features
from machine.findings import Finding, findings_of
from machine.packages import check_packages, check_python
from machine.trial import run_trials

Check = Callable[[], Iterable[Finding]]
# Each part is checked when it is asked for, so that a report grows as it is found.
PARTS: dict[str, list[tuple[str, Check]]] = {
    "Versions": [("python", check_python), ("requirements.txt", check_packages)],
    "Imports": [("imports", partial(run_trials, "machine.imports", "imports"))],
    "Devices": [("devices", partial(run_trials, "machine.devices", "devices"))],
    "Kernels": [("kernels", partial(run_trials, "machine.kernels", "kernels"))],
    "DeepSpeed": [("deepspeed", partial(run_trials, "machine.launching", "deepspeed"))],
    "Features": [("features", check_features)],
}


def examine(
    parts: dict[str, list[tuple[str, Check]]] = PARTS,
) -> Iterator[tuple[str, list[Finding]]]:
    """Yield each part's title and what its checks found."""
    for title, checks in parts.items():
        found = [findings_of(name, check) for name, check in checks]
        yield title, [finding for findings in found for finding in findings]
