"""What a constrained token costs by its schema, beside that of plain JSON in the same run."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from chat.conversation import Tool
from chat.formats.format import ChatFormat
from chat.formats.rendering import parse_reply, stop_ids
from chat.tokenizers.tokenizer import Tokenizer
from inference.constrain.constraint import constraint_for

PLAIN = "plain text"
_TEXT = {"type": "string"}
# Values of one argument, each of a kind that was slow or was cut off before.
SCHEMAS: dict[str, Mapping[str, Any]] = {
    PLAIN: _TEXT,
    "anything": {},
    "three digits": {**_TEXT, "pattern": "[0-9]{3}"},
    "phone": {**_TEXT, "pattern": r"\d{3}-\d{4}"},
    "an ending": {**_TEXT, "pattern": r"\.csv$"},
    "a word": {**_TEXT, "pattern": "SELECT"},
    "alternatives": {**_TEXT, "pattern": "(a|b)"},
    "two words": {**_TEXT, "pattern": "foo.*bar"},
    "anchored": {**_TEXT, "pattern": r"^[A-Z]{2}\d{4}$"},
    "repeated groups": {**_TEXT, "pattern": "^(a{1,50}b){1,50}$"},
    "a gap": {**_TEXT, "pattern": "a.{12}b"},
    "two patterns": {**_TEXT, "allOf": [{"pattern": "[0-9]{2}"}, {"pattern": "[A-Z]{2}"}]},
    "pattern and lengths": {**_TEXT, "pattern": "[0-9]{3}", "minLength": 12, "maxLength": 20},
    "fifty patterns": {
        "type": "object",
        "properties": {f"p{i}": {**_TEXT, "pattern": f"[a-z]{i}[0-9]"} for i in range(50)},
    },
    "duration": {**_TEXT, "format": "duration"},
    "date-time": {**_TEXT, "format": "date-time"},
    "email": {**_TEXT, "format": "email"},
    "multiple of 100": {"type": "integer", "multipleOf": 100},
    "multiple of 7,919": {"type": "integer", "multipleOf": 7919},
    "enum of 2,000": {"enum": [f"value number {i}" for i in range(2000)]},
    "200 properties": {
        "type": "object",
        "properties": {f"p{i}": {"type": "integer"} for i in range(200)},
    },
    "any of 50 objects": {
        "anyOf": [
            {"type": "object", "properties": {f"k{i}": _TEXT}, "required": [f"k{i}"]}
            for i in range(50)
        ]
    },
    "too long for its room": {**_TEXT, "minLength": 500},
    "too wide a pattern": {**_TEXT, "pattern": "^(.{0,30}a){0,30}$"},
}


@dataclass
class SchemaCost:
    """What replies under one schema cost; `plain_seconds` are those of plain text in between."""

    schema: str
    replies: int = 0
    whole: int = 0
    tokens: int = 0
    token_seconds: float = 0.0
    plain_seconds: float = 0.0
    ratio: float = 0.0
    refused: str = ""


def schema_costs(
    tokenizer: Tokenizer, format: ChatFormat, replies: int = 5, room: int = 80
) -> list[SchemaCost]:
    """Time replies of at most `room` random tokens under each schema, plain text in turn with it.

    Seconds are CPU time of a token's mask, its application and the search for an end.
    """
    found = []
    for name, schema in SCHEMAS.items():
        cost, own, plain = SchemaCost(name), list[float](), list[float]()
        try:
            for seed in range(replies):
                plain += _reply(SCHEMAS[PLAIN], tokenizer, format, seed, room)[0]
                seconds, text = _reply(schema, tokenizer, format, seed, room)
                own += seconds
                cost.replies += 1
                reply = parse_reply(text or "", format)
                cost.whole += bool(reply.tool_calls) and reply.problem is None
        except ValueError as error:
            cost.refused = str(error)
        else:
            cost.tokens = len(own)
            cost.token_seconds, cost.plain_seconds = sum(own) / len(own), sum(plain) / len(plain)
            cost.ratio = cost.token_seconds / cost.plain_seconds
        found.append(cost)
    return found


def _reply(
    schema: Mapping[str, Any], tokenizer: Tokenizer, format: ChatFormat, seed: int, room: int
) -> tuple[list[float], str | None]:
    """Return the seconds of each token of a random reply, and its text, None where it is cut."""
    parameters = {"type": "object", "properties": {"v": schema}, "required": ["v"]}
    constraint = constraint_for([Tool("f", "", parameters)], format, tokenizer, True, room)
    draws, stops = random.Random(seed), stop_ids(format, tokenizer)
    seconds: list[float] = []
    said: list[int] = []
    while room > 0 and (not said or said[-1] not in stops):
        generator = torch.Generator().manual_seed(draws.randrange(1 << 30))
        logits = torch.randn(tokenizer.vocab_size, generator=generator)
        start = time.process_time()
        constraint.restrict(logits, room)
        while not constraint.accept(token := int(logits.argmax()), room - 1):
            logits[token] = float("-inf")
            constraint.restrict(logits, room)
        seconds.append(time.process_time() - start)
        said.append(token)
        room -= 1
    return seconds, tokenizer.decode(said[:-1]) if said[-1] in stops else None


def format_costs(costs: Sequence[SchemaCost]) -> str:
    """Return the costs as the rows of a table in Markdown."""
    lines = ["| schema | whole replies | a token, CPU | beside plain text |", "|---|---|---|---|"]
    for cost in costs:
        figures = f"{cost.whole} of {cost.replies} | {cost.token_seconds * 1e3:.2f} ms | "
        shown = "refused | | |" if cost.refused else f"{figures}{cost.ratio:.1f}x |"
        lines.append(f"| {cost.schema} | {shown}")
    return "\n".join(lines)
