"""Episodes: the model speaks, its calls are executed, it sees the results, until it ends in text.

Only what the model itself wrote is ever trained; results and errors of tools are what it reads.
Every reply is a sequence of its own, after exactly the tokens that the model had read. So a format
may write earlier turns in another way when more follows, and a text need not be read back to the
very tokens that were drawn.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from chat.conversation import Conversation, Message, ToolCall
from chat.formats.call_syntax import Reply
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.rendering import encode_prompt
from chat.tokenizers.tokenizer import Tokenizer
from inference.chat_model import Answer, read_answer, token_limits
from inference.generate import Completion, Decoding
from rewards.tasks import Task
from rewards.world import Executed, World

# Replies to prompts, of which each is drawn with its own source of chance.
Draw = Callable[
    [Sequence[list[int]], Decoding, Callable[[int], random.Random]],
    Iterator[tuple[int, Completion]],
]


@dataclass(frozen=True)
class Limits:
    """What ends an episode, and how replies are drawn.

    turns: How often the model may speak.
    episode_tokens: The most tokens that it may write in all; None for no limit.
    max_length: The most tokens of a prompt with its reply.
    """

    turns: int
    max_new_tokens: int
    episode_tokens: int | None
    max_length: int
    temperature: float
    batch_size: int


class Turn(NamedTuple):
    """A reply as it was drawn, its stop token too, after the tokens `prompt`."""

    prompt: list[int]
    tokens: list[int]
    logprobs: tuple[float, ...]


@dataclass
class Episode:
    """What a model said and did in one task; `copy` numbers those of a task.

    conversation: What it is asked next; with the last reply when it has ended.
    executed: Its calls with what they gave.
    ended: What ended it: "reply", or the limit that cut it off, "tokens", "turns" or "format".
    """

    task: Task
    copy: int
    conversation: Conversation
    turns: list[Turn] = field(default_factory=list)
    executed: list[tuple[ToolCall, Executed]] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    last: Answer = field(default=Answer("", Reply(""), False))
    ended: str = ""

    @property
    def whole(self) -> bool:
        """Whether it came to its end."""
        return self.ended == "reply"

    @property
    def written(self) -> int:
        """How many tokens the model wrote."""
        return sum(len(turn.tokens) for turn in self.turns)


@dataclass(frozen=True)
class Player:
    """Plays episodes of a model that `draw` lets speak.

    executes: Whether calls are executed even where the model speaks but once.
    """

    draw: Draw
    format: ChatFormat
    tokenizer: Tokenizer
    world: World
    limits: Limits
    executes: bool

    def play(self, tasks: Sequence[Task], group_size: int, seed: str) -> list[Episode]:
        """Return `group_size` episodes of each task, in the tasks' order.

        What is drawn depends on `seed`, the prompt, the copy and the turn alone.
        """
        episodes = [
            Episode(task, copy, task.item.conversation)
            for task in tasks
            for copy in range(group_size)
        ]
        asked = [(episode, episode.task.prompt) for episode in episodes]
        turn = 0
        while asked:
            turn += 1
            for episode, answer in self._replies(asked, f"{seed}/{turn}"):
                self._hear(episode, answer)
            asked = [
                (episode, prompt)
                for episode, _ in asked
                if not episode.ended and (prompt := self._next_prompt(episode))
            ]
        return episodes

    def _replies(
        self, asked: Sequence[tuple[Episode, list[int]]], seed: str
    ) -> Iterator[tuple[Episode, Answer]]:
        """Let the model speak in each episode; the turns are kept with their tokens."""
        limits = self.limits
        decoding = Decoding(
            **token_limits(self.format, self.tokenizer),
            max_new_tokens=limits.max_new_tokens,
            max_length=limits.max_length,
            batch_size=limits.batch_size,
            temperature=limits.temperature,
            keep_logprobs=True,
        )

        def chance(place: int) -> random.Random:
            episode = asked[place][0]
            return random.Random(f"{seed}/{episode.task.prompt_sha256}/{episode.copy}")

        for place, reply in self.draw([prompt for _, prompt in asked], decoding, chance):
            episode, prompt = asked[place]
            tokens = reply.tokens + ([] if reply.stop is None else [reply.stop])
            episode.turns.append(Turn(prompt, tokens, reply.logprobs))
            whole = reply.stop is not None
            yield episode, read_answer(reply.tokens, whole, self.tokenizer, self.format)

    def _hear(self, episode: Episode, answer: Answer) -> None:
        """Take a reply: execute its calls, and end the episode where nothing follows."""
        reply, limits = answer.reply, self.limits
        episode.last = answer
        episode.calls += reply.tool_calls
        said = [Message("assistant", reply.content, reply.tool_calls)]
        offered = episode.task.item.conversation.tools
        for call in reply.tool_calls if self.executes and answer.whole else ():
            result = self.world.execute(call, offered)
            episode.executed.append((call, result))
            said.append(Message("tool", result.text, name=call.name, tool_call_id=call.id))
        before = episode.conversation
        episode.conversation = replace(before, messages=(*before.messages, *said))
        if not answer.whole:
            episode.ended = "tokens"
        elif limits.turns == 1 or not reply.tool_calls:
            episode.ended = "reply"
        elif len(episode.turns) == limits.turns:
            episode.ended = "turns"
        elif limits.episode_tokens is not None and episode.written >= limits.episode_tokens:
            episode.ended = "tokens"

    def _next_prompt(self, episode: Episode) -> list[int]:
        """Return what the model reads next; empty where it cannot be written or leaves no room."""
        try:
            prompt = encode_prompt(episode.conversation, self.format, self.tokenizer)
        except CannotWrite:
            episode.ended = "format"
            return []
        if len(prompt) + self.limits.max_new_tokens > self.limits.max_length:
            episode.ended = "tokens"
            return []
        return prompt
