"""requirements.lock: every package that requirements.txt needs, with the hashes of its files.

pip resolves and fetches; nothing is installed. Which registry it asks is its own configuration's.
"""

import json
import platform
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine.requirements import ROOT, Requirement, normalised, read_requirements

LOCK = ROOT / "requirements.lock"
# Its build, and with it its hash, is chosen for each machine.
LEFT_OUT = "torch"
# Of what pip says where it fails.
_LONGEST = 400

Hashes = dict[Requirement, str]


def lock() -> str:
    """Return the lock file for this Python and this kind of machine."""
    hashes = hashes_in(_report([str(requirement) for requirement in read_requirements()]))
    check_plain_torch(hashes)
    return format_lock(hashes)


def hashes_in(report: dict[str, Any]) -> Hashes:
    """Return the sha256 of each file of a report of pip's; ValueError where it has none."""
    hashes: Hashes = {}
    for item in report["install"]:
        requirement = _requirement(item)
        found = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if not found:
            raise ValueError(
                f"pip knows no sha256 of {requirement}; a newer pip might: "
                "python -m pip install --upgrade pip"
            )
        hashes[requirement] = found
    return hashes


def check_plain_torch(hashes: Hashes) -> None:
    """Raise ValueError where torch's build brings libraries that other machines do not need."""
    brought = sorted(str(found) for found in hashes if found.name.startswith(("nvidia-", "cuda-")))
    if brought:
        raise ValueError(
            f"torch's build brings {brought[0]} and {len(brought) - 1} more, which are for this "
            "machine alone; give pip torch's build for processors: PIP_FIND_LINKS=FOLDER make lock"
        )


def format_lock(hashes: Hashes) -> str:
    """Return the text of a lock file; it names no registry, and torch in a comment only."""
    locked = sorted(requirement for requirement in hashes if requirement.name != LEFT_OUT)
    torch = next(r for r in read_requirements() if r.name == LEFT_OUT)
    python = ".".join(platform.python_version_tuple()[:2])
    head = [
        "# Made by `make lock` from requirements.txt: do not edit. docs/reliability.md says more.",
        f"# For Python {python}, {platform.system()}, {platform.machine()}.",
        f"# {torch} is installed before, in the build for the machine:",
        "# python -m pip install --require-hashes --no-deps -r requirements.lock",
    ]
    entries = [f"{found} \\\n    --hash=sha256:{hashes[found]}" for found in locked]
    return "\n".join([*head, *entries]) + "\n"


def _requirement(item: dict[str, Any]) -> Requirement:
    metadata = item["metadata"]
    # +cpu is the build; the release is what is wanted.
    return Requirement(normalised(metadata["name"]), metadata["version"].partition("+")[0])


def _report(arguments: list[str]) -> dict[str, Any]:
    """Return what pip would install, as it reports it."""
    with TemporaryDirectory() as directory:
        file = Path(directory, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", "--disable-pip-version-check", "--report", str(file)]
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True)
        if ended.returncode:
            said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
            reason = " ".join(said or [ended.stderr])[:_LONGEST]
            raise ValueError(
                f"pip could not resolve requirements.txt: {reason}; "
                "see more with: python -m pip install --dry-run -r requirements.txt"
            )
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return report
