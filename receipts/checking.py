"""Check a receipt against the files at hand, part by part and file by file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from receipts.gathering import gather
from receipts.places import Places
from receipts.record import Part, Receipt
from storage.manifest import sha256_of_file
from training.made_with import code_record, environment_record

# What a receipt says of a part beside the hashes of its files.
_FACTS = {
    "checkpoint": ("name", "step", "seed", "base_sha256", "settings", "made_with"),
    "dataset": ("data",),
    "merged": ("merge",),
    "results": ("scores",),
}


@dataclass(frozen=True)
class Finding:
    """What was found of one part.

    state: ok; differs or missing, which `todo` makes right; note for what makes no file wrong.
    """

    part: str
    state: Literal["ok", "differs", "missing", "note"]
    detail: str
    todo: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the files are not those of the receipt."""
        return self.state in ("differs", "missing")


def check(receipt: Receipt, places: Places) -> Iterator[Finding]:
    """Yield what is found of each part: of its files first, then of what the receipt says of it."""
    wrong = False
    for name, part in receipt.files.items():
        findings = list(_check_files(name, part, _place(name, part, places)))
        wrong = wrong or any(finding.is_wrong for finding in findings)
        yield from findings
    if not wrong:
        yield from _check_facts(receipt, places)
    if receipt.made_with:
        yield from _check_made_with(receipt.made_with[-1])


def _place(name: str, part: Part, places: Places) -> Path:
    """Return where a part is looked for: where it is now, or where it was."""
    if name in ("checkpoint", "base", "dataset", "merged"):
        return Path(getattr(places, name))
    folders = [file.parent for file in places.results if file.name in part.files]
    return folders[0] if folders else Path(part.directory)


def _check_files(name: str, part: Part, directory: Path) -> Iterator[Finding]:
    if not directory.is_dir():
        yield Finding(name, "missing", f"{directory} is missing", part.made_by)
        return
    problems = 0
    for file, wanted in part.files.items():
        path = directory / file
        if not path.is_file():
            yield Finding(name, "missing", f"{path} is missing", part.made_by)
        elif (found := sha256_of_file(path)) != wanted:
            detail = f"{path} has the sha256 {found[:12]}, wanted {wanted[:12]}"
            yield Finding(name, "differs", detail, part.made_by)
        else:
            continue
        problems += 1
    if not problems:
        yield Finding(name, "ok", f"{len(part.files)} files in {directory}")


def _check_facts(receipt: Receipt, places: Places) -> Iterator[Finding]:
    """Yield where the receipt says something else than its own files, which are unchanged."""
    now = gather(places, receipt.files)
    for part, names in _FACTS.items():
        for name in names if part in receipt.files and part in now.files else ():
            if getattr(receipt, name) != getattr(now, name):
                detail = f"the receipt's {name} is not what the files of {part} say"
                yield Finding(part, "differs", detail, "write the receipt anew, without --verify")


def _check_made_with(record: dict[str, Any]) -> Iterator[Finding]:
    """Yield how this code and these packages differ from what made the checkpoint."""
    code, now = record["code"], code_record()
    if code["sha256"] == now["sha256"]:
        yield Finding("code", "ok", f"sources {now['sha256'][:12]}")
    else:
        detail = f"sources {now['sha256'][:12]} here, {code['sha256'][:12]} made the checkpoint"
        known = code["commit"] and not code["changed"]
        yield Finding("code", "note", detail, f"git checkout {code['commit']}" if known else "")
    environment = environment_record()
    if environment["python"] != record["environment"]["python"]:
        detail = f"Python {environment['python']} here, {record['environment']['python']} then"
        yield Finding("environment", "note", detail)
    for name, wanted in record["environment"]["packages"].items():
        found = environment["packages"].get(name)
        if found != wanted:
            # A build such as +cpu is chosen for the machine.
            todo = f"python -m pip install {name}=={wanted.partition('+')[0]}" if wanted else ""
            detail = f"{name} {found or 'is not installed'} here, {wanted or 'not installed'} then"
            yield Finding("environment", "note", detail, todo)
