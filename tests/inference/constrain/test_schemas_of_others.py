"""Schemas that pydantic and MCP servers write are enforced, or refused by the keyword's path."""

from pathlib import Path
from typing import Any

import pytest
import torch
from speaking_model import TOKENIZER

from chat.conversation import Tool, ToolCall
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, stop_ids
from chat.tokenizers.tokenizer import load_tokenizer
from inference.constrain.constraint import constraint_for

jsonschema = pytest.importorskip("jsonschema")
pytest.importorskip("hypothesis")
pytest.importorskip("pydantic")

from mcp_schemas import mcp_schemas  # noqa: E402
from pydantic_models import dumped_schemas  # noqa: E402

DEMO = load_tokenizer(TOKENIZER)
LLAMA3 = FORMATS["llama3"]
STOPS = stop_ids(LLAMA3, DEMO)
ROOM = 400
# What closes something is likelier than the rest, so that replies are short.
CLOSING = torch.tensor([4.0 * any(b in text for b in b'"}]') for text in DEMO.token_texts()])


def random_call(schema: dict[str, Any], seed: int) -> tuple[ToolCall, ...]:
    """The calls of a reply by random logits; the constraint must end it within its room."""
    generator = torch.Generator().manual_seed(seed)
    constraint = constraint_for([Tool("f", "", schema)], LLAMA3, DEMO, forced=True)
    tokens: list[int] = []
    for room in range(ROOM, 0, -1):
        accepted = False
        while not accepted:
            logits = 2 * torch.randn(DEMO.vocab_size, generator=generator) + CLOSING
            constraint.restrict(logits, room)
            token = int(logits.argmax())
            accepted = constraint.accept(token, room - 1)
        if token in STOPS:
            return parse_reply(DEMO.decode(tokens), LLAMA3).tool_calls
        tokens.append(token)
    raise AssertionError(f"{schema} is cut off: {DEMO.decode(tokens)[-300:]}")


def check(schemas: list[dict[str, Any]], replies: int) -> float:
    """Check the calls for each schema; return the share of schemas that are enforced."""
    enforced = 0
    for schema in schemas:
        try:
            constraint_for([Tool("f", "", schema)], LLAMA3, DEMO, forced=True)
        except ValueError as error:
            assert str(error).startswith("tool f cannot be constrained: /"), error
            continue
        enforced += 1
        kind = jsonschema.Draft202012Validator
        validator = kind(schema, format_checker=jsonschema.FormatChecker())
        for seed in range(replies):
            calls = random_call(schema, seed)
            assert calls
            for call in calls:
                problems = [error.message for error in validator.iter_errors(dict(call.arguments))]
                assert not problems, (schema, call.arguments)
    return enforced / len(schemas)


def test_schemas_that_pydantic_dumps_are_enforced() -> None:
    assert check(dumped_schemas(30), 1) >= 0.75


def test_schemas_of_mcp_servers_are_enforced(shared: Path) -> None:
    assert check(mcp_schemas(shared)[::10], 1) >= 0.75


@pytest.mark.long
def test_all_schemas_that_pydantic_dumps_are_enforced() -> None:
    assert check(dumped_schemas(300), 20) >= 0.95


@pytest.mark.long
def test_all_schemas_of_mcp_servers_are_enforced(shared: Path) -> None:
    schemas = mcp_schemas(shared)
    assert len(schemas) == 200
    assert check(schemas, 20) >= 0.95
