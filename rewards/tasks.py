"""The tasks of training by rewards: prompts of the train split, and what is wanted of replies."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple

from chat.conversation import Conversation, Message, ToolCall
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.rendering import encode_prompt
from chat.schemas.validation import validate_arguments
from chat.tokenizers.tokenizer import Tokenizer
from data.conversations import content_sha256
from evaluation.items import Item, turn_items
from rewards.parts import Wanted, parts_of
from rewards.world import World


@dataclass(frozen=True)
class Task:
    """A prompt, its tokens, and what is wanted of the reply, or of an episode that begins there.

    calls: The calls that are wanted; of an episode those that work, where some do.
    """

    item: Item
    tokens: "array[int]"
    calls: tuple[ToolCall, ...]
    wanted: Wanted

    @property
    def id(self) -> str:
        """The id of the conversation with the number of the message."""
        return self.item.id

    @cached_property
    def prompt_sha256(self) -> str:
        """The sha256 of the prompt's tokens."""
        return hashlib.sha256(" ".join(map(str, self.tokens)).encode()).hexdigest()

    @property
    def prompt(self) -> list[int]:
        """The tokens up to where the assistant speaks."""
        return self.tokens.tolist()


@dataclass(frozen=True)
class Rules:
    """What a prompt must keep to become a task.

    turns: How often the model may speak; above 1, an episode begins where a user spoke.
    parts: The parts with a weight.
    trained: The sha256s of the conversations of the train split.
    held_out: The `content_sha256` of prompts that must never yield a reward.
    room: The most tokens that a prompt may have.
    """

    format: ChatFormat
    tokenizer: Tokenizer
    world: World
    turns: int
    parts: Set[str]
    trained: Collection[str]
    held_out: Collection[str]
    room: int

    @property
    def executes(self) -> bool:
        """Whether calls are executed: for the model to see the results, or to judge them."""
        return self.turns > 1 or "reached" in self.parts


@dataclass
class LeftOut:
    """How many prompts were left out, by the reason; and the first of each, with its detail."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        """Count a prompt, or a conversation as one."""
        self.counts[reason] += 1
        self.first.setdefault(reason, where)

    def lines(self) -> Iterator[str]:
        """Yield a line for each reason, the most frequent first."""
        for reason, count in self.counts.most_common():
            yield f"{count:,} left out, {reason} (the first: {self.first[reason]})"


class Refusal(NamedTuple):
    """Why a prompt is no task, in general and in particular."""

    reason: str
    detail: str = ""


TOO_LONG = "too long for training.micro_batch_tokens with reward.max_new_tokens after them"


def find_tasks(
    conversations: Iterable[Conversation], rules: Rules, left_out: LeftOut
) -> Iterator[Task]:
    """Yield the tasks of conversations; what is none is counted in `left_out`."""
    for conversation in conversations:
        if conversation.sha256 not in rules.trained:
            left_out.add("not of the train split", conversation.id)
            continue
        for item in turn_items(conversation):
            if rules.turns > 1 and item.conversation.messages[-1].role != "user":
                continue  # its episode begins earlier
            found = _task(conversation, item, rules)
            if isinstance(found, Task):
                yield found
                continue
            left_out.add(found.reason, ": ".join(filter(None, [item.id, found.detail])))
            if found.reason == TOO_LONG:
                break  # later ones are longer


def recorded_messages(conversation: Conversation, item: Item, turns: int) -> tuple[Message, ...]:
    """Return what was recorded of an item's reply, or of the episode that begins with it.

    That ends before a user speaks again.
    """
    start = len(item.conversation.messages)
    if turns == 1:
        return conversation.messages[start : start + 1]
    rest = conversation.messages[start:]
    return tuple(takewhile(lambda message: message.role in ("assistant", "tool"), rest))


def _task(conversation: Conversation, item: Item, rules: Rules) -> Task | Refusal:
    try:
        prompt = encode_prompt(item.conversation, rules.format, rules.tokenizer)
    except CannotWrite as error:
        return Refusal(f"not to be written in the chat format {rules.format.name}", str(error))
    if len(prompt) > rules.room:
        return Refusal(TOO_LONG, f"{len(prompt):,} tokens of at most {rules.room:,}")
    if content_sha256(item.conversation) in rules.held_out:
        return Refusal("held out: they stand in validation too")
    if rules.executes and not rules.world.runs(item.conversation.tools):
        return Refusal("with tools that do not run; name a file with --reward.tools_file")
    recorded = recorded_messages(conversation, item, rules.turns)
    calls = tuple(call for message in recorded for call in message.tool_calls)
    if problem := _misfit(calls, item):
        return Refusal("with a recorded call that fits no tool", problem)
    results = None
    if rules.executes:
        done = [(call, rules.world.execute(call, item.conversation.tools)) for call in calls]
        worked = [(call, result) for call, result in done if not result.failed]
        results = tuple((call.name, result.text) for call, result in worked)
        if rules.turns > 1:  # a call that failed was made again with other arguments
            calls = tuple(call for call, _ in worked) or calls
    last = recorded[-1]
    text = "" if last.tool_calls or last.role != "assistant" else last.content
    wanted = Wanted(bool(calls), text, results)
    if not rules.parts & {*parts_of(wanted), "function"}:
        return Refusal("as no part of the reward with a weight judges them")
    return Task(item, array("I", prompt), calls, wanted)


def _misfit(calls: Sequence[ToolCall], item: Item) -> str:
    """Return why a recorded call is none of the tools offered; empty where all are."""
    offered = {tool.name: tool for tool in item.conversation.tools}
    for call in calls:
        if call.name not in offered:
            return f"{call.name} is not among the tools"
        for problem in validate_arguments(offered[call.name], call.arguments):
            return f"{call.name}{problem.pointer}: {problem.message}"
    return ""
