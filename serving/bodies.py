"""The body of a request read strictly: what is not known is an error that names its place."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from chat.strict_json import read_json
from serving.errors import ApiError, refused

_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
# Marks that clients put on any object, for caches that this server does not have.
_MARKS = frozenset(("cache_control",))


class Part(BaseModel):
    """An object of a request; a null for an unknown key is as good as no key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def drop_empty(cls, given: Any) -> Any:
        """Drop the unknown keys that say nothing."""
        if not isinstance(given, dict):
            return given
        known = cls.model_fields
        return {k: v for k, v in given.items() if k in known or not (v is None or k in _MARKS)}


class SentBack(Part):
    """An object of an earlier reply: servers add keys of their own, which are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


Body = TypeVar("Body", bound=Part)


def read_body(
    text: bytes,
    kind: type[Body],
    idle: Collection[str],
    neutral: Mapping[str, Sequence[Any]],
) -> Body:
    """Read a body; ApiError names the place of what cannot be taken.

    Args:
        text: JSON in UTF-8.
        kind: What the body must be.
        idle: Parameters that never change a reply.
        neutral: Values with which these parameters do not change a reply; others are refused.
    """
    try:
        body = read_json(text)
    except ValueError as error:
        raise refused(f"the body is no JSON: {error}", None, "invalid_json") from None
    if not isinstance(body, dict):
        raise refused("the body must be a JSON object", None, "invalid_type")
    for name in neutral.keys() & body.keys():
        value = body[name]
        if value is not None and value not in neutral[name]:
            told = f"{name} is {json.dumps(value)[:80]}, which this server does not support"
            raise refused(f"{told}; leave it out", name, "unsupported_value")
    left = {k: v for k, v in body.items() if k not in idle and k not in neutral}
    try:
        return kind.model_validate(left)
    except ValidationError as error:
        raise _first_problem(error, left) from None
    except RecursionError:
        raise refused("the body is nested too deeply", None) from None


def _first_problem(error: ValidationError, body: Any) -> ApiError:
    """Return the error at the deepest place: of a union, that of the member that was meant."""
    problems = error.errors(include_url=False, include_input=False)
    places = [_place(problem["loc"], problem["type"], body) for problem in problems]
    deepest = max(range(len(places)), key=lambda number: len(places[number]))
    problem, param = problems[deepest], "".join(places[deepest]).removeprefix(".")
    if problem["type"] == "extra_forbidden":
        message = f"unknown parameter {param}: this server does not support it"
    else:
        message = f"{param or 'the body'}: {problem['msg'].removeprefix('Value error, ')}"
    return refused(message, param or None, _CODES.get(problem["type"], "invalid_value"))


def _place(loc: Sequence[int | str], kind: str, body: Any) -> list[str]:
    """Return the steps to a place; `loc` also names the members of unions, which are no steps."""
    steps: list[str] = []
    for number, step in enumerate(loc, start=1):
        try:
            body = body[step]
        except (LookupError, TypeError):
            if not (kind == "missing" and number == len(loc)):
                continue
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return [*steps, ".type"] if kind == "union_tag_invalid" else steps
