"""Open what a run draws its replies from: the prompts, the tools that run, and how they are judged.

Prompts are turns of conversations of the train split alone. A prompt that stands in the validation
split, or among the held-out prompts of validation.generated, never yields a reward.
"""

import hashlib
import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from chat.conversation import Conversation
from chat.formats.format import ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import check_special_tokens
from chat.tokenizers.tokenizer import Tokenizer
from data.cleaning.any_layout import read_any_layout
from data.conversations import content_sha256, fraction
from data.tokenized import TokenizedDataset
from evaluation.items import Item, turn_items
from rewards.episodes import Limits, Player
from rewards.function import read_function
from rewards.judging import Judge
from rewards.rollouts import Grouping, Rollouts
from rewards.tasks import LeftOut, Rules, Task, find_tasks
from rewards.world import World
from storage.manifest import sha256_of_file
from weights.directory import resolve_directory


class RewardSettings(Protocol):
    """The section `reward` of a run; training/reward_section.py says what each means."""

    @property
    def prompts_file(self) -> str: ...
    @property
    def prompts(self) -> int | None: ...
    @property
    def tools_file(self) -> str | None: ...
    @property
    def function(self) -> str | None: ...
    @property
    def weights(self) -> dict[str, float]: ...
    @property
    def group_size(self) -> int: ...
    @property
    def turns(self) -> int: ...
    @property
    def max_new_tokens(self) -> int: ...
    @property
    def episode_tokens(self) -> int | None: ...
    @property
    def temperature(self) -> float: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def scale(self) -> bool: ...


class RunSettings(Protocol):
    """What else of a run's settings decides what is drawn."""

    @property
    def reward(self) -> RewardSettings | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def model(self) -> Any: ...
    @property
    def training(self) -> Any: ...
    @property
    def run_dir(self) -> Path: ...


class HeldOut(Protocol):
    """A sample of held-out prompts; evaluation/during_training.py has one."""

    @property
    def items(self) -> Sequence[Item]: ...


def open_rollouts(
    config: RunSettings,
    train: TokenizedDataset,
    validation: TokenizedDataset,
    sample: HeldOut | None = None,
    tell: Callable[[str], None] = print,
) -> Rollouts | None:
    """Return what a run of these settings draws from, None where they have no section for it.

    `tell` is called with which prompts are taken, and which are left out and why. ValueError or
    FileNotFoundError names the setting and what is wrong with it.
    """
    settings = config.reward
    if settings is None:
        return None
    format, tokenizer = _language(config.model.checkpoint_dir, validation)
    limits = Limits(
        settings.turns,
        settings.max_new_tokens,
        settings.episode_tokens,
        config.training.micro_batch_tokens,
        settings.temperature,
        settings.batch_size,
    )
    rules = Rules(
        format,
        tokenizer,
        World.of(settings.tools_file),
        settings.turns,
        frozenset(settings.weights),
        {origin.sha256 for origin in train.origins()},
        set(_held_out(validation, sample)),
        limits.max_length - limits.max_new_tokens,
    )
    judge = Judge(settings.weights, read_function(settings.function) if settings.function else None)
    tasks = _tasks(settings, config.seed, rules, tell)
    judge.check_function(tasks[0])
    player = partial(
        Player,
        format=format,
        tokenizer=tokenizer,
        world=rules.world,
        limits=limits,
        executes=rules.executes,
    )
    grouping = Grouping(
        prompts=config.training.batch_size,
        size=settings.group_size,
        scale=settings.scale,
        updates=settings.updates,
        seed=config.seed,
    )
    about = {
        "reward.prompts_file": _fingerprint(tasks),
        "reward.tools_file": (settings.tools_file and sha256_of_file(settings.tools_file)) or "",
        "reward.function": judge.function.sha256 if judge.function else "",
    }
    return Rollouts(tasks, grouping, player, judge, config.run_dir, about)


def _tasks(
    settings: RewardSettings, seed: int, rules: Rules, tell: Callable[[str], None]
) -> list[Task]:
    left_out = LeftOut()
    files = [Path(name.strip()).expanduser() for name in settings.prompts_file.split(",")]
    found = find_tasks(_conversations(files, tell), rules, left_out)
    if settings.prompts is None:
        tasks = list(found)
    else:
        tasks = heapq.nsmallest(
            settings.prompts, found, key=lambda task: fraction(f"{seed}/{task.id}")
        )
    if not tasks:
        reasons = "; ".join(left_out.lines()) or "it has no turn of an assistant"
        raise ValueError(
            f"reward.prompts_file: {settings.prompts_file} gives no prompt to reply to: {reasons}"
        )
    calls = sum(task.wanted.calls for task in tasks)
    tell(
        f"reward: {len(tasks):,} prompts of the train split from {settings.prompts_file}, "
        f"{calls:,} that want calls and {len(tasks) - calls:,} that want a text; held-out prompts "
        "never yield a reward"
    )
    for line in left_out.lines():
        tell(f"reward: {line}")
    if settings.function is None and calls in (0, len(tasks)):
        habit = "calling always" if calls else "never calling"
        tell(
            f"warning: reward: all prompts want {'calls' if calls else 'texts'}, so {habit} is "
            "rewarded; add prompts of the other kind"
        )
    return tasks


def _conversations(files: Sequence[Path], tell: Callable[[str], None]) -> Iterator[Conversation]:
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f"reward.prompts_file: {file} does not exist; name the conversations that "
                "data.dataset_dir was built from"
            )
        yield from read_any_layout(file, tell)


def _held_out(validation: TokenizedDataset, sample: HeldOut | None) -> Iterator[str]:
    """Yield the `content_sha256` of all held-out prompts that are known."""
    for origin in validation.origins():
        if origin.conversation is not None:
            for item in turn_items(Conversation.from_record(origin.conversation)):
                yield content_sha256(item.conversation)
    for item in sample.items if sample else ():
        yield content_sha256(item.conversation)


def _language(checkpoint_dir: str, dataset: TokenizedDataset) -> tuple[ChatFormat, Tokenizer]:
    format = find_format(dataset.chat_format)
    tokenizer = format.load_tokenizer(resolve_directory(checkpoint_dir))
    check_special_tokens(format, tokenizer)
    return format, tokenizer


def _fingerprint(tasks: Sequence[Task]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        content = [task.id, task.prompt, task.item.expected, asdict(task.wanted)]
        digest.update(json.dumps(content, default=str).encode())
    return digest.hexdigest()
