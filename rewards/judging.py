"""Judge episodes: the scorer's verdict, the parts of the reward, and a user's own function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.formats.call_syntax import Reply
from evaluation.failures import failure_type
from evaluation.items import call_record
from evaluation.results import Judged
from evaluation.scoring.calls import score
from rewards.episodes import Episode
from rewards.function import RewardFunction
from rewards.parts import Said, judge_parts, reward
from rewards.tasks import Task
from rewards.world import Executed


@dataclass(frozen=True)
class Judgement:
    """What an episode earned; `kind` is which of evaluation/failures.py TYPES, None where right."""

    reward: float
    parts: Mapping[str, float]
    kind: str | None


@dataclass(frozen=True)
class Judge:
    """Judges by the parts that have a weight, a user's function among them where there is one."""

    weights: Mapping[str, float]
    function: RewardFunction | None = None

    def __call__(self, episode: Episode) -> Judgement:
        """Judge an episode that has ended; ValueError where the user's function fails."""
        said, kind = _said(episode)
        parts = judge_parts(episode.task.wanted, said)
        if self.function:
            parts["function"] = self.function(attempt_record(episode, parts))
        counting = {name: value for name, value in parts.items() if name in self.weights}
        return Judgement(reward(counting, self.weights), counting, kind)

    def check_function(self, task: Task) -> None:
        """Let the user's function judge a recorded reply, so that its errors come early."""
        if self.function:
            episode = Episode(task, 0, task.item.conversation, calls=[*task.calls], ended="reply")
            self.function(attempt_record(episode, {}))


def _said(episode: Episode) -> tuple[Said, str | None]:
    task, last = episode.task, episode.last
    tools = task.item.conversation.tools
    counting = Reply(last.reply.content, tuple(_counting(episode)), last.reply.problem)
    every = Reply(last.reply.content, tuple(episode.calls), last.reply.problem)
    verdict = score(task.calls, counting, tools)
    fits = verdict if counting.tool_calls == every.tool_calls else score(task.calls, every, tools)
    said = Said(
        verdict,
        fits=bool(fits.schema_valid) and last.reply.problem is None,
        text="" if last.reply.tool_calls else last.reply.content,
        results=tuple((c.name, done.text) for c, done in episode.executed if not done.failed),
        whole=episode.whole,
    )
    return said, failure_type(Judged(task.item, last, verdict).to_record())


def _counting(episode: Episode) -> Sequence[Any]:
    """Return the calls that the scorer compares with those wanted.

    In an episode of several turns a call that failed may be made again: where some call is wanted
    that works, those that failed do not count.
    """
    task = episode.task
    if len(episode.turns) < 2 or not task.wanted.results:
        return episode.calls
    return [call for call, done in episode.executed if not done.failed]


def attempt_record(episode: Episode, parts: Mapping[str, float]) -> dict[str, Any]:
    """Return what a user's function is told of an episode, all of it as JSON has it."""
    item, reply = episode.task.item, episode.last.reply
    said = episode.conversation.messages[len(item.conversation.messages) :]
    return {
        "id": item.id,
        "category": item.category,
        "tools": [tool.to_record() for tool in item.conversation.tools],
        "messages": [message.to_record() for message in item.conversation.messages],
        "said": [message.to_record() for message in said],
        "text": reply.content,
        "calls": [call_record(call) for call in episode.calls],
        "problem": reply.problem,
        "results": [_result_record(call.name, done) for call, done in episode.executed],
        "expected": {
            "calls": [call_record(call) for call in episode.task.calls],
            "text": episode.task.wanted.text,
        },
        "whole": episode.whole,
        "tokens": episode.written,
        "parts": dict(parts),
    }


def _result_record(name: str, done: Executed) -> dict[str, Any]:
    return {"name": name, "result": done.text, "failed": done.failed}
