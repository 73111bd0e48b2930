"""The keywords of numbers, in the forms that llguidance keeps.

What it gets wrong is said in another way: an excluded whole number, such as 0, came out where less
than one lies between the bounds, and below 0 came -0; multiples of a whole number ended nowhere,
and large bounds had no grammar.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from chat.schemas.flat_parameters import JSON_TYPES, json_types
from inference.constrain.references import Place
from inference.constrain.refusal import NotEnforced

NUMBER_KEYWORDS = frozenset(
    ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
)
# Numbers that are not whole stay within these bounds; beyond, llguidance has no grammar for them.
LARGEST = 10**15
# How far from an excluded bound the next number is, beside numbers of its size.
_STEP = Decimal("1e-9")
# So many multiples of a fraction between two bounds are listed one by one.
MOST_LISTED = 1000


def read_numbers(place: Place) -> dict[str, Any]:
    """Return the keywords of a schema's numbers, and its type where that becomes narrower.

    Raises NotEnforced where they cannot be kept.
    """
    schema = place.schema
    if not NUMBER_KEYWORDS & schema.keys():
        return {}
    try:
        return _read(schema)
    except _Unkept as error:
        raise NotEnforced(f"{place.pointer}/{error.keyword}", error.problem) from None


class _Unkept(ValueError):
    def __init__(self, keyword: str, problem: str) -> None:
        super().__init__(keyword, problem)
        self.keyword, self.problem = keyword, problem


def _read(schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds = json_types(schema.get("type")) or sorted(JSON_TYPES)
    limits = {key: Decimal(str(schema[key])) for key in NUMBER_KEYWORDS & schema.keys()}
    for keyword, limit in limits.items():
        if not limit.is_finite():
            raise _Unkept(keyword, "is too large for a number of JSON")
    step = limits.pop("multipleOf", None)
    if step is None and "number" in kinds:
        return _bounded(limits)
    if step is None:
        return _multiples(limits, Decimal(1))
    if step.as_integer_ratio()[1] == 1 or "number" not in kinds:
        # A multiple of p/q that is whole is one of p.
        whole = Decimal(step.as_integer_ratio()[0])
        narrowed = ["integer" if kind == "number" else kind for kind in kinds]
        return {**_multiples(limits, whole), "type": sorted(set(narrowed))}
    if _is_exact(step):
        return _multiples(limits, step)
    return _listed(limits, step, [*kinds, *({"enum", "const"} & schema.keys())])


def _bounded(limits: Mapping[str, Decimal]) -> dict[str, Any]:
    """Return bounds that llguidance keeps for any number."""
    found = dict(limits)
    low = found.get("exclusiveMinimum", found.get("minimum"))
    high = found.get("exclusiveMaximum", found.get("maximum"))
    width = high - low if low is not None and high is not None else None
    if width is not None and width <= 0 and not {"minimum", "maximum"} <= found.keys():
        raise _Unkept(sorted(limits)[0], "leaves no number")
    for excluded, included, sign in (
        ("exclusiveMinimum", "minimum", 1),
        ("exclusiveMaximum", "maximum", -1),
    ):
        bound = found.get(excluded)
        narrow = width is not None and width < 1
        if bound is not None and _is_whole(bound) and (narrow or (sign < 0 and bound == 0)):
            step = _STEP.scaleb(bound.adjusted() if bound else 0)
            inner = bound + sign * (step if width is None else min(step, width / 1000))
            _limit(found, included, inner, max if sign > 0 else min)
            del found[excluded]
    for keyword, limit in found.items():
        found[keyword] = max(-Decimal(LARGEST), min(Decimal(LARGEST), limit))
        if found[keyword] != limit and (limit > 0) == ("inimum" in keyword):
            raise _Unkept(keyword, f"is {float(limit):g}, and {LARGEST:g} is the most")
    return {keyword: _plain(limit) for keyword, limit in found.items()}


def _limit(found: dict[str, Decimal], keyword: str, limit: Decimal, choose: Any) -> None:
    found[keyword] = choose(found.get(keyword, limit), limit)


def _multiples(limits: Mapping[str, Decimal], step: Decimal) -> dict[str, Any]:
    """Return the first and the last multiple as the bounds, and what they are multiples of."""
    found = _ends(limits, step)
    if {"minimum", "maximum"} <= found.keys() and found["minimum"] > found["maximum"]:
        raise _Unkept(sorted(limits)[-1], "leaves no number")
    bounds = {keyword: _plain(count * step) for keyword, count in found.items()}
    return bounds if step == 1 else {**bounds, "multipleOf": _plain(step)}


def _ends(limits: Mapping[str, Decimal], step: Decimal) -> dict[str, int]:
    """Return how many steps the first and the last multiple within the limits have."""
    low, high = list[int](), list[int]()
    for keyword, limit in limits.items():
        if keyword == "minimum":
            low.append(math.ceil(limit / step))
        elif keyword == "exclusiveMinimum":
            low.append(math.floor(limit / step) + 1)
        elif keyword == "maximum":
            high.append(math.floor(limit / step))
        else:
            high.append(math.ceil(limit / step) - 1)
    return {**({"minimum": max(low)} if low else {}), **({"maximum": min(high)} if high else {})}


def _listed(limits: Mapping[str, Decimal], step: Decimal, kinds: list[str]) -> dict[str, Any]:
    """Return the multiples of a fraction as a list, where bounds leave few and no other values."""
    ends = _ends(limits, step)
    first, last = ends.get("minimum", 0), ends.get("maximum", 0)
    if len(ends) < 2 or last - first >= MOST_LISTED or set(kinds) - {"number", "integer", "null"}:
        told = f"is {float(step):g}, and only whole numbers, halves, quarters and so on are"
        raise _Unkept("multipleOf", f"{told} enforced, or few multiples between two bounds")
    # As jsonschema divides: in floats 0.07 is no multiple of 0.01.
    values = [_plain(count * step) for count in range(first, last + 1)]
    fitting = [value for value in values if (value / float(step)).is_integer()]
    return {"enum": [*fitting, *([None] if "null" in kinds else [])]}


def _is_exact(step: Decimal) -> bool:
    """Whether multiples of a fraction are exact in floats: one of 2, 4, 8 and so on."""
    below = step.as_integer_ratio()[1]
    return below & (below - 1) == 0


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _plain(number: Decimal) -> int | float:
    """Return a number as JSON writes it."""
    return int(number) if _is_whole(number) and abs(number) < 2**63 else float(number)
