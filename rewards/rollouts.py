"""Draw groups of replies by the weights in training, judge them, and say what each one teaches."""

import random
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol

from data.batches import epoch_order
from inference.generate import Completion, Decoding, complete
from model.transformer import Transformer
from rewards.episodes import Draw, Player
from rewards.judging import Judge
from rewards.records import (
    DIRECTORY,
    Record,
    check_about,
    episode_record,
    file_of,
    read_records,
    write_about,
    write_records,
)
from rewards.showing import shown
from rewards.tasks import Task

# Added to a group's standard deviation, as others do: groups that hardly differ teach little.
SPREAD_FLOOR = 1e-4


class Ranks(Protocol):
    """The processes that train together, as far as they are needed here."""

    model: Transformer
    rank: int
    world_size: int

    def on_first_rank(self, work: Any) -> Any:
        """Do `work` on rank 0; return its result, or raise its error, on every rank."""

    def on_every_rank(self, work: Any) -> list[Any]:
        """Do `work` on every rank; return all results, or raise the first error, on every rank."""

    def computing(self) -> AbstractContextManager[None]:
        """Return what to run the model in, so that it computes as it is trained."""


class TrainedReply(NamedTuple):
    """A reply as it was drawn, after the tokens `prompt`, and what it teaches."""

    prompt: list[int]
    tokens: list[int]
    logprobs: list[float]
    advantage: float


@dataclass(frozen=True)
class Drawn:
    """The replies of a draw to train on, and what to report of all; `rows` are prompts' ids."""

    replies: Sequence[TrainedReply]
    groups: int
    figures: Mapping[str, float]
    texts: Mapping[str, str]
    seconds: Mapping[str, float]
    rows: Sequence[str] = ()


@dataclass(frozen=True)
class Grouping:
    """How many prompts a draw takes and how many replies each gets; how these are compared.

    scale: Whether advantages are divided by the standard deviation of their group.
    updates: How many steps are taken on the replies of one draw.
    """

    prompts: int
    size: int
    scale: bool
    updates: int
    seed: int


@dataclass(frozen=True)
class Rollouts:
    """The draws of a run, kept in its directory.

    play: Makes the player of episodes in which something lets the model speak.
    about: What all draws follow from, by the settings that name it.
    """

    tasks: Sequence[Task]
    grouping: Grouping
    play: Callable[[Draw], Player]
    judge: Judge
    run_dir: Path
    about: Mapping[str, str]

    @property
    def draws_per_epoch(self) -> int:
        """The draws that ask every prompt once."""
        return -(-len(self.tasks) // self.grouping.prompts)

    @property
    def updates(self) -> int:
        """How many steps are taken on the replies of one draw."""
        return self.grouping.updates

    @property
    def steps_per_epoch(self) -> int:
        """The steps in which every prompt is asked once."""
        return self.draws_per_epoch * self.updates

    def begin(self, backend: Ranks, resumed: bool) -> None:
        """Forget the draws of an earlier run of this name, or go on with those of this one."""

        def prepare() -> None:
            if resumed:
                check_about(self.run_dir, self.about)
            else:
                shutil.rmtree(self.run_dir / DIRECTORY, ignore_errors=True)
                write_about(self.run_dir, self.about)

        backend.on_first_rank(prepare)

    def __call__(self, backend: Ranks, number: int) -> Drawn:
        """Return draw `number`, counted from 0: as it was kept, or drawn now."""
        tasks, file = self._tasks(number), file_of(self.run_dir, number)
        count = len(tasks) * self.grouping.size
        seconds: Mapping[str, float] = {}
        records: list[Record] | None = backend.on_first_rank(lambda: read_records(file, count))
        if records is None:
            records, seconds = self._draw(backend, tasks, number)
            backend.on_first_rank(lambda: write_records(file, records))
        return self._drawn(tasks, records, seconds)

    def _tasks(self, number: int) -> list[Task]:
        """Return the prompts of a draw; every epoch has them in another order."""
        epoch, place = divmod(number, self.draws_per_epoch)
        order = epoch_order(len(self.tasks), self.grouping.seed, epoch)
        size = self.grouping.prompts
        return [self.tasks[index] for index in order[place * size : (place + 1) * size]]

    def _draw(
        self, backend: Ranks, tasks: Sequence[Task], number: int
    ) -> tuple[list[Record], dict[str, float]]:
        """Let the ranks play a share of the tasks each; return all episodes, and their seconds.

        Ranks take prompts of about one length each; what is drawn does not depend on their number.
        """
        order = sorted(range(len(tasks)), key=lambda place: -len(tasks[place].tokens))
        shares = [order[rank :: backend.world_size] for rank in range(backend.world_size)]
        mine = [tasks[place] for place in shares[backend.rank]]
        outcomes = backend.on_every_rank(lambda: self._play(backend, mine, number))
        size, records = self.grouping.size, dict[int, list[Record]]()
        for share, (played, _) in zip(shares, outcomes, strict=True):
            for turn, place in enumerate(share):
                records[place] = played[turn * size : (turn + 1) * size]
        everything = [record for place in range(len(tasks)) for record in records[place]]
        return everything, outcomes[backend.rank][1]

    def _play(
        self, backend: Ranks, tasks: Sequence[Task], number: int
    ) -> tuple[list[Record], dict[str, float]]:
        start = time.perf_counter()
        player = self.play(_speaking(backend))
        with backend.computing():
            episodes = player.play(tasks, self.grouping.size, f"{self.grouping.seed}/{number}")
        played = time.perf_counter()
        records: list[Record] = [
            episode_record(episode, self.judge(episode)) for episode in episodes
        ]
        judged = time.perf_counter() - played
        return records, {"generation": played - start, "judging": judged}

    def _drawn(
        self, tasks: Sequence[Task], records: Sequence[Record], seconds: Mapping[str, float]
    ) -> Drawn:
        size, replies, level = self.grouping.size, list[TrainedReply](), 0
        for place, task in enumerate(tasks):
            group = records[place * size : (place + 1) * size]
            found = advantages([record["reward"] for record in group], self.grouping.scale)
            level += found is None
            for record, advantage in zip(group, found or (), strict=False):
                replies += _trained(task, record, advantage)
        figures = {**figures_of(tasks, records, size), "groups_without_spread": level / len(tasks)}
        if "generation" in seconds:
            figures["replies_per_second"] = len(records) / seconds["generation"]
        texts, rows = shown(tasks, records, size), [task.id for task in tasks]
        return Drawn(replies, len(tasks), figures, texts, seconds, rows)


def advantages(rewards: Sequence[float], scale: bool) -> list[float] | None:
    """Return how much each reward of a group is above their mean; None where all are equal.

    With `scale`, in standard deviations of the group.
    """
    if max(rewards) - min(rewards) < 1e-9:
        return None
    mean, unit = fmean(rewards), stdev(rewards) + SPREAD_FLOOR if scale else 1.0
    return [(reward - mean) / unit for reward in rewards]


def figures_of(tasks: Sequence[Task], records: Sequence[Record], size: int) -> dict[str, float]:
    """Return the means over all replies: rewards, by kind of prompt and part, lengths, entropy.

    The mean of minus the log-probability of what was drawn estimates the entropy of a token,
    without bias.
    """
    found = defaultdict[str, list[float]](list)
    for place, record in enumerate(records):
        found["reward"].append(record["reward"])
        found[f"reward_of/{tasks[place // size].item.category}"].append(record["reward"])
        for part, value in record["parts"].items():
            found[f"part/{part}"].append(value)
        found["right"].append(float(record["mistake"] is None))
        found["cut_off"].append(float(record["ended"] != "reply"))
        found["turns"].append(len(record["turns"]))
        found["reply_tokens"].append(sum(len(turn["tokens"]) for turn in record["turns"]))
        for turn in record["turns"]:
            found["entropy"] += (-logprob for logprob in turn["logprobs"])
    return {name: fmean(values) for name, values in found.items()}


def _trained(task: Task, record: Record, advantage: float) -> Iterator[TrainedReply]:
    """Yield the turns of an episode: each is trained after what the model had read."""
    for turn in record["turns"]:
        prompt = turn.get("prompt") or task.prompt
        yield TrainedReply(prompt, turn["tokens"], turn["logprobs"], advantage)


def _speaking(backend: Ranks) -> Draw:
    """Return what lets the model in training speak."""

    def draw(
        prompts: Sequence[list[int]], decoding: Decoding, chance: Callable[[int], random.Random]
    ) -> Iterator[tuple[int, Completion]]:
        return complete(backend.model, prompts, decoding, draws=chance)

    return draw
