"""What a model may say in BFCL's tasks of several turns: the reference calls, and mutations.

The draws are hashes, as in tests/oracles/bfcl_cases.py.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from oracles.bfcl_cases import Dice, other_value

from data.benchmarks.bfcl_turns import TurnTask

MUTATIONS = 5
# Turns of steps of calls; a text is a step without any.
Call = dict[str, dict[str, Any]]
Said = list[list[list[Call] | str]]


def said_in(task: TurnTask) -> Iterator[Said]:
    """Yield the reference and the mutations of it."""
    yield reference(task)
    for number in range(MUTATIONS):
        dice = Dice(f"{task.id}/{number}")
        said = reference(task)
        dice.pick(CHANGES)(task, said, dice)
        yield said


def reference(task: TurnTask) -> Said:
    """Return the right calls of each turn, a step each, and a text at its end."""
    functions = [*task.functions, *(f for added in task.added.values() for f in added)]
    names = {f["name"]: list(f["parameters"]["properties"]) for f in functions}
    return [[*([called(text, names)] for text in turn), "Done."] for turn in task.answers]


def called(text: str, names: Mapping[str, list[str]]) -> Call:
    """Return a call in Python as its name and its arguments."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    by_place = zip(names.get(call.func.id, ()), call.args, strict=False)
    arguments = {name: ast.literal_eval(value) for name, value in by_place}
    arguments |= {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    return {call.func.id: arguments}


def some_step(said: Said, dice: Dice) -> tuple[int, int, list[Call]]:
    """Return the turn, the step and the calls of some step that has calls."""
    steps = [
        (turn, step, calls)
        for turn, all_steps in enumerate(said)
        for step, calls in enumerate(all_steps)
        if not isinstance(calls, str)
    ]
    found: tuple[int, int, list[Call]] = dice.pick(steps)
    return found


def join(task: TurnTask, said: Said, dice: Dice) -> None:
    """Write all calls of each turn as one step, which stays right."""
    for turn in said:
        calls = [call for step in turn if not isinstance(step, str) for call in step]
        turn[:-1] = [calls] if calls else []


def drop(task: TurnTask, said: Said, dice: Dice) -> None:
    turn, step, _ = some_step(said, dice)
    del said[turn][step]


def silence(task: TurnTask, said: Said, dice: Dice) -> None:
    turn, _, _ = some_step(said, dice)
    said[turn] = ["I cannot do that."]


def change(task: TurnTask, said: Said, dice: Dice) -> None:
    _, _, (call,) = some_step(said, dice)
    for arguments in call.values():
        if arguments:
            name = dice.pick(list(arguments))
            arguments[name] = other_value(arguments[name], dice)


def rename(task: TurnTask, said: Said, dice: Dice) -> None:
    turn, step, (call,) = some_step(said, dice)
    ((name, arguments),) = call.items()
    said[turn][step] = [{dice.pick([name + "s", name.upper(), "nothing"]): arguments}]


def add(task: TurnTask, said: Said, dice: Dice) -> None:
    _, _, (call,) = some_step(said, dice)
    next(iter(call.values()))[dice.pick(["verbose", "x"])] = True


def repeat(task: TurnTask, said: Said, dice: Dice) -> None:
    turn, step, calls = some_step(said, dice)
    said[turn].insert(step, deepcopy(calls))


def move(task: TurnTask, said: Said, dice: Dice) -> None:
    """Say a step at the beginning of some turn."""
    turn, step, calls = some_step(said, dice)
    del said[turn][step]
    said[dice.below(len(said))].insert(0, calls)


def look(task: TurnTask, said: Said, dice: Dice) -> None:
    """Call something more in any turn, also in one where nothing can be done."""
    name = dice.pick([f["name"] for f in task.functions])
    said[dice.below(len(said))].insert(0, [{name: {}}])


CHANGES: list[Callable[[TurnTask, Said, Dice], None]] = [
    *(join, drop, silence, change, change, rename, add, repeat, move, look)
]
