"""Calls for BFCL's tasks: the reference answers, and seeded mutations of them.

The draws are hashes, so that every version of Python makes the same cases.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from chat.conversation import ToolCall
from data.benchmarks.bfcl_tasks import Task, read_tasks
from evaluation.scoring.bfcl import is_right

HERE = Path(__file__).parent
# The categories that have answers, and lie in the folder of real data.
SHARED = ("simple_python", "multiple", "parallel", "live_simple", "live_parallel")
SHARED += ("simple_javascript",)
# Written here: Java, and what the files above do not declare.
OWN = ("simple_java", "parallel_multiple", "live_multiple")
MUTATIONS = {"simple_javascript": 20, "live_parallel": 20, **dict.fromkeys(OWN, 60)}

Calls = list[dict[str, dict[str, Any]]]


def tasks_of(category: str, folder: Path) -> list[Task]:
    """Read the tasks of a category from its two files."""
    if category in OWN:
        return read_tasks(HERE / f"{category}.jsonl", HERE / f"{category}.answers.jsonl")
    name = f"BFCL_v4_{category}.json"
    return read_tasks(folder / name, folder / "possible_answer" / name)


def cases_of(task: Task) -> Iterator[Calls]:
    """Yield the reference answer and the mutations of a task."""
    yield reference(task, Dice(task.id), first=True)
    for number in range(MUTATIONS.get(task.category, 7)):
        yield mutated(task, Dice(f"{task.id}/{number}"))


def ours(task: Task, calls: Calls) -> str:
    """Return our own verdict: 1 or 0; what raises in the official checker is wrong here."""
    found = [ToolCall(name, arguments) for call in calls for name, arguments in call.items()]
    return "1" if is_right(task, found) else "0"


class Dice:
    """Draws that follow from a text."""

    def __init__(self, seed: str) -> None:
        self.seed, self.drawn = seed, 0

    def below(self, count: int) -> int:
        self.drawn += 1
        digest = hashlib.sha256(f"{self.seed} {self.drawn}".encode()).digest()
        return int.from_bytes(digest[:6], "big") % count

    def pick(self, values: Sequence[Any]) -> Any:
        return values[self.below(len(values))]


def reference(task: Task, dice: Dice, first: bool = False) -> Calls:
    """Make calls of accepted values: of each the first one, or any, with "" left out."""
    calls: Calls = []
    for name, accepted in task.answers:
        properties = next((f for f in task.functions if f["name"] == name), task.functions[0])
        arguments = {}
        for parameter, options in accepted.items():
            chosen = [option for option in options if option != ""] or [""]
            if "" in options and (chosen == [""] or (not first and dice.below(2))):
                continue
            declared = properties["parameters"]["properties"].get(parameter, {})
            value = settled(chosen[0] if first else dice.pick(chosen))
            arguments[parameter] = written(value, declared, task.language, dice)
        calls.append({name: arguments})
    return calls


def settled(option: Any) -> Any:
    """Take the first accepted value of each key of an object."""
    if isinstance(option, list):
        return [settled(value) for value in option]
    if not isinstance(option, dict):
        return deepcopy(option)
    return {
        key: settled(next((item for item in values if item != ""), ""))
        for key, values in option.items()
        if isinstance(values, list) and (values != [""])
    }


def written(value: Any, declared: Any, language: str, dice: Dice) -> Any:
    """Write a value as source text of Java or JavaScript, in one of the ways there are."""
    if language == "java":
        return java(value, declared.get("type"), dice)
    if language == "javascript":
        return javascript(value, declared.get("type"), dice)
    return value


def java(value: Any, kind: str | None, dice: Dice) -> str:
    if isinstance(value, list):
        inner = ", ".join(java_literal(item, dice) for item in value)
        adds = " ".join(f"add({java_literal(item, dice)});" for item in value)
        if kind == "Array":
            return dice.pick([f"new Object[]{{{inner}}}", f"new int[] {{ {inner} }}"])
        return dice.pick(
            [
                f"new ArrayList<>(Arrays.asList({inner}))",
                f"new ArrayList<String>() {{{{ {adds} }}}}",
            ]
        )
    if isinstance(value, dict):
        puts = " ".join(f'put("{k}", {java_literal(v, dice)});' for k, v in value.items())
        return dice.pick(
            [f"new HashMap<>() {{{{ {puts} }}}}", f"new HashMap<String, Object>() {{ {{{puts}}} }}"]
        )
    if isinstance(value, bool):
        return str(value).lower()
    if kind == "long":
        return f"{value}L"
    return f"{value}f" if kind == "float" else str(value)


def java_literal(value: Any, dice: Dice) -> str:
    if isinstance(value, str):
        return dice.pick([f'"{value}"', f'"{value}"', f"'{value}'", value])
    return str(value).lower() if isinstance(value, bool) else f"{value}{dice.pick(['', '', 'L'])}"


def javascript(value: Any, kind: str | None, dice: Dice) -> str:
    if isinstance(value, list):
        inner = ", ".join(javascript_literal(item, dice) for item in value)
        return dice.pick([f"[{inner}]", f"[ {inner} ]", f"new Array({inner})", f"[\n{inner}]"])
    if isinstance(value, dict):
        quote = dice.pick(["", '"', "'"])
        inner = ", ".join(
            f"{quote}{key}{quote}: {javascript_literal(value, dice)}"
            for key, value in value.items()
        )
        return dice.pick([f"{{{inner}}}", f"{{ {inner} }}"])
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and kind == "String":
        return dice.pick([value, f'"{value}"', f"'{value}'"])
    return f"{value}n" if kind == "Bigint" else str(value)


def javascript_literal(value: Any, dice: Dice) -> str:
    if isinstance(value, str):
        return dice.pick([f"'{value}'", f'"{value}"', value])
    return javascript(value, None, dice)


def mutated(task: Task, dice: Dice) -> Calls:
    """Change calls of accepted values in one place; one in eight stays right."""
    calls = reference(task, dice)
    change = dice.pick([same, rename, drop, add, change_value, change_value, change_value, count])
    change(task, calls, dice)
    return calls


def same(task: Task, calls: Calls, dice: Dice) -> None:
    """Only the order of the calls and of their arguments may change."""
    if dice.below(2):
        calls.reverse()
    for call in calls:
        for name, arguments in call.items():
            call[name] = dict(reversed(arguments.items()))


def rename(task: Task, calls: Calls, dice: Dice) -> None:
    at = dice.below(len(calls))
    ((name, arguments),) = calls[at].items()
    others = [function["name"] for function in task.functions]
    new = dice.pick([name.upper(), name + "s", name.replace(".", "_"), *others])
    calls[at] = {new: arguments}


def drop(task: Task, calls: Calls, dice: Dice) -> None:
    arguments = some(calls, dice)
    if arguments:
        del arguments[dice.pick(list(arguments))]


def add(task: Task, calls: Calls, dice: Dice) -> None:
    at = dice.below(len(calls))
    ((name, arguments),) = calls[at].items()
    function = next((f for f in task.functions if f["name"] == name), task.functions[0])
    names = [*function["parameters"]["properties"], "verbose", "Unit"]
    arguments[dice.pick(names)] = dice.pick(["", "x", 0, 1.5, True, None, [], {}, ["x"], {"a": 1}])


def change_value(task: Task, calls: Calls, dice: Dice) -> None:
    arguments = some(calls, dice)
    if arguments:
        name = dice.pick(list(arguments))
        arguments[name] = other_value(arguments[name], dice)


def count(task: Task, calls: Calls, dice: Dice) -> None:
    at = dice.below(len(calls))
    kind = dice.below(4)
    if kind == 0:
        calls.append(deepcopy(calls[at]))
    elif kind == 1:
        del calls[at]
    elif kind == 2:
        calls.reverse()
    else:
        calls[at] = deepcopy(calls[dice.below(len(calls))])


def some(calls: Calls, dice: Dice) -> dict[str, Any]:
    return next(iter(dice.pick(calls).values()))


def other_value(value: Any, dice: Dice) -> Any:
    """Return another value that is near: of another type, spelling, order or size."""
    if dice.below(6) == 0:
        return dice.pick(["", 0, 1, 0.0, True, False, None, [], {}, "true", [[]], [{}], [None]])
    if isinstance(value, bool):
        return dice.pick([not value, int(value), str(value), str(value).lower()])
    if isinstance(value, int | float):
        return dice.pick([value + 1, -value, float(value), int(value), str(value), [value], value])
    if isinstance(value, str):
        return other_text(value, dice)
    if isinstance(value, list):
        return other_list(value, dice)
    if isinstance(value, dict):
        return other_object(value, dice)
    return dice.pick(["None", "null", 0, value])


def other_text(value: str, dice: Dice) -> Any:
    spelling = (
        value.upper,
        value.title,
        lambda: f" {value} ",
        lambda: value.replace(" ", ""),
        lambda: value.replace(" ", "  "),
        lambda: value.replace(", ", ","),
        lambda: value.replace("-", "_").replace(".", "^"),
        lambda: value.replace("'", '"'),
        lambda: value.replace('"', "'"),
        lambda: value + ".",
        lambda: value + "\n",
        lambda: f'"{value}"',
        lambda: f"'{value}'",
        lambda: value + "!",
        lambda: value[:-1],
        lambda: [value],
        lambda: {"value": value},
        lambda: value + dice.pick("fFlLn"),
        lambda: value.rstrip("fFlLn"),
        lambda: value.replace("(", "( ").replace(")", " )"),
        lambda: value.replace("[", "[[").replace("]", "]]"),
        lambda: value.replace("{{", "{").replace("}}", "}"),
        lambda: value.replace("new ", "new  "),
        lambda: value.replace(",", ",\n"),
        lambda: value.replace(":", " : "),
    )
    return dice.pick(spelling)()


def other_list(value: list[Any], dice: Dice) -> Any:
    some = dice.below(len(value)) if value else 0
    changed = deepcopy(value)
    if value:
        changed[some] = other_value(value[some], dice)
    return dice.pick(
        [
            changed,
            changed,
            value[::-1],
            value[:-1],
            [*value, *value[:1]],
            [float(item) if type(item) is int else item for item in value],
            [int(item) if type(item) is float else item for item in value],
            [str(item) for item in value],
            [value],
            json.dumps(value),
            tuple_text(value),
        ]
    )


def tuple_text(value: list[Any]) -> str:
    return "(" + ", ".join(map(str, value)) + ")"


def other_object(value: dict[str, Any], dice: Dice) -> Any:
    changed = deepcopy(value)
    if value:
        key = dice.pick(list(value))
        changed[key] = other_value(value[key], dice)
    return dice.pick(
        [
            changed,
            changed,
            dict(reversed(value.items())),
            dict(list(value.items())[:-1]),
            {**value, "extra": 1},
            {key.upper(): item for key, item in value.items()},
            [value],
            {"value": value},
            json.dumps(value),
        ]
    )
