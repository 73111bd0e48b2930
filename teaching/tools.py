"""The tools to be taught: read from a file, completed for the generator, some of them held out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chat.schemas.tools_file import tool_records
from chat.strict_json import read_json
from storage.atomic import new_file
from storage.json_file import write_json
from synthesis.catalogue import Catalogue
from synthesis.custom import DOMAIN, read_tools_file
from synthesis.dice import Dice
from synthesis.generation import Selection, find_catalogue, possible_behaviours
from synthesis.mixtures import Mixture
from synthesis.quotas import read_shares
from synthesis.scene import Scene
from teaching.completion import complete_records

# Of so many tools one is held out; fewer than four are all taught.
HELD_OUT_OF, FEWEST = 5, 4
# Shares of the scored prompts; the mixture has what is left. Each prompt shows one behaviour.
SCORED = {
    "missing_argument": 0.25,
    "no_suitable_tool": 0.17,
    "small_talk": 0.08,
    "several_requests": 0.0,
}
COMPLETED_FILE = "tools.json"


@dataclass(frozen=True)
class Teachable:
    """A file that the generator takes, and what of it is taught.

    held_out: Tools of which no conversation is ever trained.
    unsplit: Parameters that have too few values to hold some of them out.
    """

    file: str
    taught: tuple[str, ...]
    held_out: tuple[str, ...]
    unsplit: tuple[str, ...]

    def selection(self, held_out: bool = False) -> Selection:
        """Return the tools of a part for the generator: those that are taught, or held out."""
        names = self.held_out if held_out else self.taught
        return Selection(self.file, (DOMAIN,), names if self.held_out else ())


def completed_file(tools_file: Path, output: Path) -> Path:
    """Return the file to generate from: a Python file itself, of JSON a copy under `output`."""
    return tools_file if tools_file.suffix == ".py" else output / COMPLETED_FILE


def complete_file(tools_file: Path, output: Path) -> Path:
    """Write the copy with examples and results that `completed_file` names; return that file.

    ValueError or FileNotFoundError names the file and what is wrong.
    """
    if not tools_file.is_file():
        raise FileNotFoundError(
            f"--tools-file {tools_file} does not exist; name a .json or .py file of tools"
        )
    if tools_file.suffix == ".py":
        return tools_file
    try:
        records = tool_records(read_json(tools_file.read_text(encoding="utf-8-sig")))
        completed = complete_records(records)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--tools-file {tools_file}: {error}") from error
    file = completed_file(tools_file, output)
    with new_file(file) as partial:
        write_json(partial, completed)
    return file


def read_teachable(file: str) -> Teachable:
    """Return what a file's tools allow; ValueError names the tool and what it lacks."""
    names = sorted(tool.name for domain in read_tools_file(file) for tool in domain.tools)
    held_out = _held_out(names)
    taught = tuple(name for name in names if name not in held_out)
    catalogue = find_catalogue(Selection(file, (DOMAIN,)))
    return Teachable(file, taught, held_out, _unsplit(catalogue))


def _held_out(names: list[str]) -> tuple[str, ...]:
    """Return a fifth of the names, chosen by their hashes, so that others do not depend on them."""
    if len(names) < FEWEST:
        return ()
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return tuple(sorted(ranked[: max(1, len(names) // HELD_OUT_OF)]))


def _unsplit(catalogue: Catalogue) -> tuple[str, ...]:
    found = []
    for tool in catalogue.tools:
        for parameter in tool.parameters:
            for values in ("seen", "unseen"):
                scene = Scene(Dice(tool.name, parameter.name), catalogue, values=values)
                try:
                    scene.draw(parameter, {})
                except ValueError:
                    found.append(f"{tool.name}.{parameter.name}")
    return tuple(dict.fromkeys(found))


def possible_shares(
    teachable: Teachable, mixture: Mixture, held_out: bool = False
) -> dict[str, float]:
    """Return the shares of the behaviours that the tools allow, as a mixture has them."""
    possible = possible_behaviours(find_catalogue(teachable.selection(held_out)))
    return read_shares({}, mixture, possible)


def scored_quotas(teachable: Teachable, held_out: bool = False) -> dict[str, float]:
    """Return the shares of what asks first and what calls nothing, of which figures need enough."""
    possible = possible_behaviours(find_catalogue(teachable.selection(held_out)))
    return {name: share for name, share in SCORED.items() if name in possible}


def quota_flags(shares: Mapping[str, float]) -> str:
    """Return shares that together make one as the flags of scripts/generate_dataset.py."""
    rounded = {name: round(share, 3) for name, share in shares.items()}
    # What rounding took or gave goes to the largest, so that the sum is one.
    largest = max(rounded, key=lambda name: rounded[name])
    rounded[largest] = round(rounded[largest] + 1 - sum(rounded.values()), 3)
    return " ".join(f"--quota.{name}={share:g}" for name, share in rounded.items())
