"""Generate a file of synthetic conversations: seeded, on all cores, the same bytes everywhere."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.progress import track

from chat.conversation import Conversation
from console.output import Console
from data.cleaning.duplicates import SeenConversations
from data.conversations import json_line
from data.parallel import in_order
from storage.atomic import new_file
from synthesis.behaviours import BEHAVIOURS
from synthesis.catalogue import Catalogue, select
from synthesis.custom import read_tools_file
from synthesis.dice import Dice
from synthesis.mixtures import find_mixture
from synthesis.quotas import apportion, read_shares, schedule
from synthesis.scene import VALUES, Scene

# How often a conversation is drawn anew when its user says what another one said.
REDRAWS = 10


@dataclass(frozen=True)
class Selection:
    """The part of the settings that says which tools there are."""

    tools_file: str | None = None
    domains: tuple[str, ...] = ()
    only_tools: tuple[str, ...] = ()
    exclude_tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What a user chooses; the flags of scripts/generate_dataset.py say what each does."""

    count: int = 10_000
    seed: int = 3
    tools_file: str | None = None
    domains: tuple[str, ...] = ()
    only_tools: tuple[str, ...] = ()
    exclude_tools: tuple[str, ...] = ()
    quotas: Mapping[str, Any] = field(default_factory=dict)
    most_tools: int | None = None
    values: str = "all"
    mixture: str = "broad"

    def __post_init__(self) -> None:
        for flag, number in (("--count", self.count), ("--most-tools", self.most_tools)):
            if number is not None and number < 1:
                raise ValueError(f"{flag} is {number}, wanted a number from 1 up")
        if self.values not in VALUES:
            raise ValueError(f"--values is {self.values!r}, wanted one of {', '.join(VALUES)}")
        find_mixture(self.mixture)

    @property
    def selection(self) -> Selection:
        """Which tools there are."""
        return Selection(self.tools_file, self.domains, self.only_tools, self.exclude_tools)


@dataclass(frozen=True)
class Task:
    """One conversation to make; `attempt` counts how often it was drawn before."""

    index: int
    behaviour: str
    attempt: int = 0


@dataclass(frozen=True)
class Made:
    """A made conversation as its line of the file, its user's turns, and their skeletons.

    A line is cheaper to send from one process to another than a conversation.
    """

    task: Task
    line: str
    said: tuple[str, ...]
    skeletons: tuple[str, ...]

    @property
    def conversation(self) -> Conversation:
        """The conversation that the line holds."""
        return Conversation.from_record(json.loads(self.line))


def generate_file(save_file: Path | str, settings: Settings) -> dict[str, int]:
    """Write canonical JSON Lines and return the number of conversations of each behaviour.

    Behaviours that the chosen tools do not allow are left out; ValueError where a quota asks for
    one.
    """
    numbers: dict[str, int] = {}
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with (
        new_file(save_file) as partial_file,
        partial_file.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        for made in track(
            generate(settings), "Generating", settings.count, console=console, disable=hidden
        ):
            stream.write(made.line)
            numbers[made.task.behaviour] = numbers.get(made.task.behaviour, 0) + 1
    return {name: numbers.get(name, 0) for name in BEHAVIOURS}


def generate(settings: Settings, workers: int | None = None) -> Iterator[Made]:
    """Yield the conversations in order; users hardly ever say the same."""
    selection = settings.selection
    possible = possible_behaviours(find_catalogue(selection))
    shares = read_shares(settings.quotas, find_mixture(settings.mixture), possible)
    numbers = apportion(shares, settings.count)
    check_possible(possible, numbers)
    names = list(BEHAVIOURS)
    places = schedule(numbers, settings.seed)
    tasks = (Task(index, names[place]) for index, place in enumerate(places))
    make = partial(
        compose,
        seed=settings.seed,
        selection=selection,
        most_tools=settings.most_tools,
        values=settings.values,
        mixture=settings.mixture,
    )
    with closing(SeenConversations()) as seen:
        for made in in_order(make, tasks, workers=workers):
            while _was_said(made, seen) and made.task.attempt < REDRAWS:
                made = make(replace(made.task, attempt=made.task.attempt + 1))
            yield made


def compose(
    task: Task,
    seed: int,
    selection: Selection,
    most_tools: int | None,
    values: str,
    mixture: str,
) -> Made:
    """Make one conversation; it follows from what is given alone."""
    dice = Dice(seed, task.index, task.behaviour, task.attempt)
    scene = Scene(dice, find_catalogue(selection), most_tools, values, find_mixture(mixture))
    BEHAVIOURS[task.behaviour].play(scene)
    conversation = scene.conversation(f"synthetic-{task.behaviour}-{task.index:06}")
    said = tuple(
        message.content
        for place, message in enumerate(scene.messages)
        if message.role == "user" and place not in scene.common
    )
    return Made(task, json_line(conversation), said, tuple(scene.skeletons))


@cache
def find_catalogue(selection: Selection) -> Catalogue:
    """Return the chosen tools; they are built once in each process."""
    added = read_tools_file(selection.tools_file) if selection.tools_file else ()
    return select(added, selection.domains, selection.only_tools, selection.exclude_tools)


def left_out(settings: Settings) -> tuple[str, ...]:
    """Return the behaviours of the mixture that the chosen tools do not allow."""
    possible = possible_behaviours(find_catalogue(settings.selection))
    shares = find_mixture(settings.mixture).shares
    return tuple(name for name in shares if name not in possible)


def possible_behaviours(catalogue: Catalogue) -> tuple[str, ...]:
    """Return the behaviours that the tools allow."""
    return tuple(name for name in BEHAVIOURS if BEHAVIOURS[name].possible(catalogue))


def check_possible(possible: Collection[str], numbers: Mapping[str, int]) -> None:
    """Raise ValueError when a behaviour is wanted that the tools do not allow."""
    lacking = [name for name, number in numbers.items() if number and name not in possible]
    if lacking:
        wanted = [
            f"{numbers[name]} conversations of {name} are wanted, which takes "
            f"{BEHAVIOURS[name].needs}"
            for name in lacking
        ]
        flags = " ".join(f"--quota.{name}=0" for name in lacking)
        raise ValueError(f"{'; '.join(wanted)}; choose more tools or leave it out with {flags}")


def _was_said(made: Made, seen: SeenConversations) -> bool:
    """Return whether a turn of the user stands in an earlier conversation; note all of them."""
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in made.said]
    # A list, so that every turn is noted.
    return any([seen.first(digest, made.task.index) != made.task.index for digest in digests])
