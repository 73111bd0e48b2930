"""Play tasks of several turns: the model calls, the services answer, until it has no more calls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from chat.conversation import Message, ToolCall, to_json
from chat.schemas.validation import read_tool
from evaluation.items import Item, call_record
from evaluation.scoring.bfcl_turns import BfclPackage, PlayedReply
from inference.chat_model import Answer, SkippedItem

Answers = Iterator[tuple[int, Answer | SkippedItem]]
# So many times as many tasks are under way as are asked at once: their services take memory, and
# at the end of a round, when its last replies are long, others wait.
_ROUNDS = 4


def answers_with_turns(
    items: Sequence[Item], ask: Callable[[Sequence[Item]], Answers], at_once: int
) -> Answers:
    """Yield (index, answer) of all items: those of one reply first, then tasks of several turns.

    `ask` yields (index, reply) of the items it is given, `at_once` of them at a time. The tasks
    under way are asked together, again and again; when some have ended, others begin.
    """
    single = [index for index, item in enumerate(items) if item.task is None]
    if single:
        for place, answer in ask([items[index] for index in single]):
            yield single[place], answer
    tasks = [index for index, item in enumerate(items) if item.task is not None]
    if tasks:
        for place, answer in _played(
            [items[index] for index in tasks], ask, at_once, BfclPackage()
        ):
            yield tasks[place], answer


def _played(
    items: Sequence[Item],
    ask: Callable[[Sequence[Item]], Answers],
    at_once: int,
    package: BfclPackage,
) -> Answers:
    waiting = iter(enumerate(items))
    plays: dict[int, Play] = {}
    while True:
        begun = islice(waiting, _ROUNDS * at_once - len(plays))
        plays |= {index: Play(item, package) for index, item in begun}
        if not plays:
            return
        order = list(plays)
        for place, answer in ask([plays[index].item for index in order]):
            play = plays[order[place]]
            if play.hear(answer):
                del plays[order[place]]
                yield order[place], play.result()


class Play:
    """One task under way; `item` holds what the model is asked next."""

    def __init__(self, item: Item, package: BfclPackage) -> None:
        assert item.task is not None, "only tasks of several turns are played"
        self.item, self.task, self.package = item, item.task, package
        self.services = package.begin(self.task)
        self.turns: list[list[tuple[ToolCall, ...] | str]] = [[]]
        self.stopped = ""
        self.whole = True
        self.skipped: SkippedItem | None = None

    def hear(self, answer: Answer | SkippedItem) -> bool:
        """Take an answer to `item`; return whether the task has ended."""
        if isinstance(answer, SkippedItem):
            if self.turns == [[]]:
                self.skipped = answer
            self.stopped = f"the conversation cannot go on: {answer.reason}"
            return True
        calls, content = answer.reply.tool_calls, answer.reply.content
        self.whole = self.whole and answer.whole
        said = [Message("assistant", content, calls)]
        self.turns[-1].append(calls or content)
        if not calls:
            return self._end_turn(said)
        results = self.services.call(calls)
        for call, result in zip(calls, results, strict=True):
            said.append(Message("tool", result, name=call.name, tool_call_id=call.id))
        self._go_on(said)
        if sum(not isinstance(step, str) for step in self.turns[-1]) > self.package.most_steps:
            self.stopped = f"turn {len(self.turns)} has more than {self.package.most_steps} steps"
        return bool(self.stopped)

    def result(self) -> Answer | SkippedItem:
        """Return all that was said as one answer, and forget the services."""
        self.services.close()
        return self.skipped or read_played(self.turns, self.stopped, self.whole)

    def _end_turn(self, said: list[Message]) -> bool:
        turn = len(self.turns)
        if turn == len(self.task.turns):
            return True
        self.turns.append([])
        added = self.task.added.get(turn, ())
        if added:
            said.append(Message("user", self.package.more_functions))
        self._go_on([*said, *self.task.turns[turn]])
        tools = (*self.item.conversation.tools, *map(read_tool, added))
        self.item = replace(self.item, conversation=replace(self.item.conversation, tools=tools))
        return False

    def _go_on(self, messages: Sequence[Message]) -> None:
        asked = self.item.conversation
        asked = replace(asked, messages=(*asked.messages, *messages))
        self.item = replace(self.item, conversation=asked)


def read_played(
    turns: Sequence[Sequence[tuple[ToolCall, ...] | str]], stopped: str = "", whole: bool = True
) -> Answer:
    """Return what was said in a task as an answer, whose text is JSON of turns and steps."""
    record = [[_step_record(step) for step in turn] for turn in turns]
    calls = [call for turn in turns for step in turn if not isinstance(step, str) for call in step]
    text = to_json(record)
    reply = PlayedReply(text, tuple(calls), None, tuple(map(tuple, turns)), stopped)
    return Answer(text, reply, whole)


def _step_record(step: tuple[ToolCall, ...] | str) -> str | list[Mapping[str, Any]]:
    return step if isinstance(step, str) else [call_record(call) for call in step]
