"""Let a model with random weights make 1,000 constrained calls, and check every one of them.

    python benchmarks/constrained.py --bfcl-file F --tokenizer-file T
    python benchmarks/constrained.py --schemas-only [--tokenizer-file T]

The call is forced open, over the tools of the first 200 rows of a BFCL file in turn. An independent
validator, jsonschema, judges each finished call; replies that a limit cut off are counted apart,
and schemas with a keyword that is not enforced are listed. The cost of constraining a token is
measured over the demo's vocabulary and over that of `tokenizer_file`, also by kind of schema,
beside that of plain text (`benchmarks/constrained_schemas.py`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.progress import track

from benchmarks.about_run import about_run
from benchmarks.constrained_schemas import SchemaCost, format_costs, schema_costs
from benchmarks.ours import random_base
from benchmarks.sizes import TINY
from chat.conversation import Tool
from chat.formats.format import ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import parse_reply
from chat.schemas.validation import read_tool
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from console.command import run
from console.output import Console
from inference.chat_model import token_limits
from inference.constrain.constraint import CallConstraint, constraint_for
from inference.generate import Completion, Decoding, complete
from model.config import ModelConfig
from storage.json_file import write_json

DEMO_TOKENIZER = Path(__file__).parents[1] / "demo" / "base" / "tokenizer.model"
SCHEMAS = 200


@dataclass
class Outcome:
    """What became of the replies at one vocabulary, and the seconds that each token cost."""

    vocabulary: int
    temperature: float
    replies: int = 0
    valid: int = 0
    calls: int = 0
    tokens: int = 0
    cut_off: int = 0
    invalid: list[str] = field(default_factory=list)
    refused_schemas: list[str] = field(default_factory=list)
    median_seconds: float = 0.0
    p99_seconds: float = 0.0


def main(
    bfcl_file: str | None = None,
    tokenizer_file: str | None = None,
    schemas_only: bool = False,
    generations: int = 1000,
    large_generations: int = 40,
    max_new_tokens: int = 256,
    chat_format: str = "llama3",
    json_file: str | None = None,
) -> None:
    """Generate with the call forced open and count what is valid.

    Args:
        bfcl_file: BFCL_v4_simple_python.json.
        tokenizer_file: Llama 3's tokenizer.model, for the cost at 128,256 tokens.
        schemas_only: Only compare the cost by kind of schema; both files may be left out.
        generations: How many replies over the vocabulary of the demo, half of them greedy.
        large_generations: How many replies over the other vocabulary.
        max_new_tokens: The most tokens of a reply.
        chat_format: Whose tool syntax is spoken.
        json_file: Also write the figures there.
    """
    torch.set_num_threads(1)
    format = find_format(chat_format)
    if not schemas_only and not (bfcl_file and tokenizer_file):
        raise ValueError("--bfcl-file and --tokenizer-file are wanted, or --schemas-only")
    costs = dict[int, list[SchemaCost]]()
    files = [DEMO_TOKENIZER, *map(Path, [tokenizer_file] if tokenizer_file else [])]
    for file in files:
        tokenizer = load_tokenizer(file)
        costs[tokenizer.vocab_size] = schema_costs(tokenizer, format)
        table = format_costs(costs[tokenizer.vocab_size])
        Console().print(f"{tokenizer.vocab_size:,} tokens\n{table}", soft_wrap=True)
    found = list[Outcome]()
    if bfcl_file and tokenizer_file and not schemas_only:
        sizes = generations, large_generations, max_new_tokens
        found = generate_and_check_all(Path(bfcl_file), tokenizer_file, format, *sizes)
    for outcome in found:
        Console().print(_line(outcome), soft_wrap=True)
    if json_file is not None:
        record = {
            **about_run(),
            "max_new_tokens": max_new_tokens,
            "schemas": {size: [asdict(cost) for cost in made] for size, made in costs.items()},
            "runs": [asdict(outcome) for outcome in found],
        }
        write_json(Path(json_file), record)


def generate_and_check_all(
    bfcl_file: Path,
    tokenizer_file: str,
    format: ChatFormat,
    generations: int,
    large_generations: int,
    max_new_tokens: int,
) -> list[Outcome]:
    """Let random models call the tools of a BFCL file over both vocabularies."""
    lines = bfcl_file.read_text(encoding="utf-8").splitlines()[:SCHEMAS]
    tools = [[read_tool(load) for load in json.loads(line)["function"]] for line in lines]
    demo, large = load_tokenizer(DEMO_TOKENIZER), load_tokenizer(tokenizer_file)
    parts = [(demo, generations // 2, 1.0), (demo, generations // 2, 0.0)]
    parts.append((large, large_generations, 0.0))
    return [
        generate_and_check(
            [tools[index % len(tools)] for index in range(count)],
            tokenizer,
            format,
            Decoding(
                **token_limits(format, tokenizer),
                max_new_tokens=max_new_tokens,
                batch_size=32,
                temperature=temperature,
            ),
        )
        for tokenizer, count, temperature in parts
    ]


def generate_and_check(
    tools: Sequence[Sequence[Tool]], tokenizer: Tokenizer, format: ChatFormat, decoding: Decoding
) -> Outcome:
    """Let a random model make one reply for each set of tools; check and time them all."""
    outcome = Outcome(tokenizer.vocab_size, decoding.temperature)
    model = random_base(
        ModelConfig(**{**TINY.__dict__, "vocab_size": tokenizer.vocab_size}), torch.device("cpu")
    )
    made: dict[int, CallConstraint] = {}
    for index, offered in enumerate(tools):
        try:
            made[index] = constraint_for(offered, format, tokenizer, forced=True)
        except ValueError as error:
            outcome.refused_schemas.append(str(error))
    rows = list(made)
    prompts = [[row % tokenizer.vocab_size, 3, 5] for row in rows]
    replies = complete(model, prompts, decoding, constraint=lambda place: made[rows[place]])
    console = Console(stderr=True)
    for place, completion in track(
        replies,
        f"{tokenizer.vocab_size:,} tokens",
        len(rows),
        console=console,
        disable=not console.is_terminal,
    ):
        _check(completion, tools[rows[place]], tokenizer, format, outcome)
    seconds = sorted(second for constraint in made.values() for second in constraint.seconds)
    outcome.median_seconds, outcome.p99_seconds = (
        median(seconds),
        seconds[int(0.99 * len(seconds))],
    )
    return outcome


def _check(
    completion: Completion,
    tools: Sequence[Tool],
    tokenizer: Tokenizer,
    format: ChatFormat,
    outcome: Outcome,
) -> None:
    outcome.replies += 1
    outcome.tokens += len(completion.tokens)
    if completion.stop is None:
        outcome.cut_off += 1
        return
    text = tokenizer.decode(completion.tokens)
    reply = parse_reply(text, format)
    outcome.calls += len(reply.tool_calls)
    problem = reply.problem or ("" if reply.tool_calls and not reply.content else "no call")
    for call in reply.tool_calls:
        problem = problem or _problem(call.name, dict(call.arguments), tools)
    if problem:
        outcome.invalid.append(f"{problem}: {text}")
    else:
        outcome.valid += 1


def _problem(name: str, arguments: dict[str, Any], tools: Sequence[Tool]) -> str:
    from jsonschema import Draft202012Validator

    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        return f"{name} is not offered"
    errors = Draft202012Validator(dict(tool.parameters)).iter_errors(arguments)
    return next((error.message for error in errors), "")


def _line(outcome: Outcome) -> str:
    how = "greedy" if outcome.temperature == 0 else f"temperature {outcome.temperature}"
    return (
        f"{outcome.vocabulary:,} tokens, {how}: {outcome.replies} replies with {outcome.calls} "
        f"calls, {outcome.valid} valid, {len(outcome.invalid)} invalid, {outcome.cut_off} cut off, "
        f"{len(set(outcome.refused_schemas))} schemas refused; {outcome.median_seconds * 1e3:.3f} "
        f"ms a token at the median, {outcome.p99_seconds * 1e3:.3f} at the 99th percentile"
    )


if __name__ == "__main__":
    run(main)
