"""Compare the calls of a reply with the calls that would be right.

Values are equal by these rules: text to the letter; numbers by value, so that 5 is 5.0, as JSON
has one kind of number; true is not 1; lists in order; objects whatever the order of their keys;
an argument that is left out equals nothing, not even its default. The order of calls does not
count: they are paired so that most calls, then most arguments, are right.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.conversation import Tool, ToolCall
from chat.formats.call_syntax import Reply
from chat.schemas.validation import validate_arguments
from evaluation.scoring.matching import best_pairs


@dataclass(frozen=True)
class ExpectedCall:
    """A call that would be right.

    `accepts` says whether an argument may have a value, `equals` whether it is the very JSON that
    was wanted; both are False for arguments that may not be given. Arguments that are accepted
    but not `required` may be left out.
    """

    name: str
    required: frozenset[str]
    accepts: Callable[[str, Any], bool]
    equals: Callable[[str, Any], bool]


@dataclass(frozen=True)
class Argument:
    """One argument that was wanted or found; `right` only where it is both and the values agree.

    call: The place in the reply of the call it belongs to; None where no call was paired.
    """

    function: str
    name: str
    wanted: bool
    found: bool
    right: bool = False
    call: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What is right about one reply; None where a field does not apply.

    correct: Whether it is right as a whole; for a benchmark, by the rules of its own checker.
    called: Whether it calls tools, or tries to in a way that cannot be read.
    empty: Whether it has no call and no text.
    readable: Whether what looks like a call could be read; None without a call.
    schema_valid: Whether every call that was read names an offered tool and fits its schema.
    names_right: Whether the calls, in any order, are of the functions wanted.
    exact_match: Whether the calls, in any order, are the ones wanted.
    json_equal: Whether the calls are the same JSON in the same order, 5 not being 5.0.
    arguments: Every argument that is wanted or was found, but none of calls that were not read.
    """

    correct: bool
    should_call: bool
    called: bool
    empty: bool = False
    readable: bool | None = None
    schema_valid: bool | None = None
    names_right: bool | None = None
    exact_match: bool | None = None
    json_equal: bool | None = None
    parallel: bool = False
    arguments: tuple[Argument, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def decided_right(self) -> bool:
        """Whether it called a tool where it should, and none where it should not."""
        return self.called == self.should_call

    @property
    def arguments_wanted(self) -> int:
        """How many arguments are wanted."""
        return sum(argument.wanted for argument in self.arguments)

    @property
    def arguments_found(self) -> int:
        """How many arguments the calls have."""
        return sum(argument.found for argument in self.arguments)

    @property
    def arguments_right(self) -> int:
        """How many arguments are as wanted."""
        return sum(argument.right for argument in self.arguments)


def score(
    expected: Sequence[ToolCall | ExpectedCall] | None,
    found: Reply | Sequence[ToolCall],
    tools: Sequence[Tool] = (),
) -> Verdict:
    """Judge a reply; no `expected` calls means that text alone is right, None that any call is.

    Where text is right any text is, but an empty reply is never right.
    """
    reply = found if isinstance(found, Reply) else Reply("", tuple(found))
    calls = reply.tool_calls
    called = bool(calls) or reply.problem is not None
    empty = not called and not reply.content.strip()
    schema_reasons = tuple(_schema_reasons(calls, tools))
    facts: dict[str, Any] = {
        "should_call": expected is None or bool(expected),
        "called": called,
        "empty": empty,
        "readable": reply.problem is None if called else None,
        "schema_valid": not schema_reasons if calls else None,
    }
    unread = (f"not read as a call: {reply.problem}",) if reply.problem else ()
    if not expected:
        wrong: tuple[str, ...]
        if expected is None:
            right, wrong = bool(calls), ("no tool is called",)
        elif empty:
            right, wrong = False, ("the reply is empty",)
        else:
            right = not called
            wrong = tuple(f"calls {call.name}, and no tool is wanted" for call in calls)
        reasons = unread + (() if right else wrong) + schema_reasons
        return Verdict(correct=right, reasons=reasons, **facts)
    wanted_calls = [wanted(call) if isinstance(call, ToolCall) else call for call in expected]
    pairing = _Pairing(wanted_calls, calls)
    return Verdict(
        correct=pairing.exact,
        names_right=pairing.names_right,
        exact_match=pairing.exact,
        json_equal=pairing.json_equal,
        parallel=len(expected) > 1,
        arguments=tuple(pairing.arguments()),
        reasons=unread + tuple(pairing.reasons()) + schema_reasons,
        **facts,
    )


def wanted(call: ToolCall) -> ExpectedCall:
    """Return what accepts exactly this call."""

    def compare(strictly: bool) -> Callable[[str, Any], bool]:
        return lambda name, value: (
            name in call.arguments and same_value(call.arguments[name], value, strictly)
        )

    return ExpectedCall(call.name, frozenset(call.arguments), compare(False), compare(True))


def same_value(one: Any, other: Any, strictly: bool = False) -> bool:
    """Whether two JSON values are equal by the rules above; `strictly`, 5 is not 5.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            same_value(value, other[key], strictly) for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            same_value(*pair, strictly) for pair in zip(one, other, strict=True)
        )
    if _is_number(one) and _is_number(other):
        return bool(one == other) and (not strictly or type(one) is type(other))
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Pairing:
    """Calls beside the wanted ones that suit them best."""

    def __init__(self, expected: Sequence[ExpectedCall], calls: Sequence[ToolCall]) -> None:
        self.expected, self.calls = expected, calls
        # One more exact call outweighs all names, one more name all arguments.
        unit = 1 + sum(len(call.arguments) for call in calls)
        gains = [
            [_gain(wanted_call, call, unit, len(calls)) for call in calls]
            for wanted_call in expected
        ]
        places = [
            (row, column)
            for row, column in best_pairs(gains)
            if expected[row].name == calls[column].name
        ]
        self.pairs = [(expected[row], calls[column]) for row, column in places]
        self.columns = [column for _, column in places]
        rows = {row for row, _ in places}
        self.missing = [call for row, call in enumerate(expected) if row not in rows]
        names = Counter(expected_call.name for expected_call in expected)
        self.names_right = names == Counter(call.name for call in calls)
        self.exact = len(self.pairs) == len(expected) == len(calls) and all(
            _is_exact(*pair) for pair in self.pairs
        )
        self.json_equal = len(expected) == len(calls) and all(
            _is_json_equal(*pair) for pair in zip(expected, calls, strict=True)
        )

    def arguments(self) -> Iterator[Argument]:
        """Yield the arguments of pairs, then of what was wanted or called without a partner."""
        for (wanted_call, call), column in zip(self.pairs, self.columns, strict=True):
            required, right = wanted_call.required, _right(wanted_call, call)
            asked = required | right
            for name in [*call.arguments, *sorted(required - call.arguments.keys())]:
                found = name in call.arguments
                yield Argument(call.name, name, name in asked, found, name in right, column)
        for missing in self.missing:
            for name in sorted(missing.required):
                yield Argument(missing.name, name, True, False)
        paired = set(self.columns)
        for column, call in enumerate(self.calls):
            names = () if column in paired else call.arguments
            yield from (Argument(call.name, name, False, True, call=column) for name in names)

    def reasons(self) -> Iterator[str]:
        """Yield the missing calls, the needless calls and the wrong arguments."""
        expected = Counter(expected_call.name for expected_call in self.expected)
        found = Counter(call.name for call in self.calls)
        for name, count in (expected - found).items():
            yield f"{name} is not called" + (f" {count} times more" if count > 1 else "")
        for name, count in (found - expected).items():
            yield f"{name} is called" + (f" {count} times" if count > 1 else "") + " too often"
        for wanted_call, call in self.pairs:
            for name in sorted(wanted_call.required - call.arguments.keys()):
                yield f"{call.name}: {name} is missing"
            for name, value in call.arguments.items():
                if not wanted_call.accepts(name, value):
                    shown = json.dumps(value, ensure_ascii=False)
                    yield f"{call.name}: {name} may not be {shown}"


def _gain(expected: ExpectedCall, call: ToolCall, unit: int, calls: int) -> int:
    if expected.name != call.name:
        return 0
    exact = unit * (calls + 1) if _is_exact(expected, call) else 0
    return exact + unit + len(_right(expected, call))


def _right(expected: ExpectedCall, call: ToolCall) -> frozenset[str]:
    return frozenset(
        name for name, value in call.arguments.items() if expected.accepts(name, value)
    )


def _is_exact(expected: ExpectedCall, call: ToolCall) -> bool:
    right = _right(expected, call)
    return expected.required <= call.arguments.keys() and len(right) == len(call.arguments)


def _is_json_equal(expected: ExpectedCall, call: ToolCall) -> bool:
    return (
        expected.name == call.name
        and expected.required <= call.arguments.keys()
        and all(expected.equals(name, value) for name, value in call.arguments.items())
    )


def _schema_reasons(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> Iterator[str]:
    offered = {tool.name: tool for tool in tools}
    for call in calls:
        if call.name not in offered:
            yield f"{call.name} is not among the tools"
            continue
        for problem in validate_arguments(offered[call.name], call.arguments):
            yield f"{call.name}{problem.pointer}: {problem.message}"
