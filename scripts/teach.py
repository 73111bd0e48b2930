"""From your tools to a model that calls them: every step a command, and one page at the end.

    python scripts/teach.py --tools-file my_tools.json --model-dir D --output-dir D

Conversations are written from the tools' schemas, some tools and values are held out, the base is
scored, fine-tuned and scored again, merged and exported. The same command goes on where an earlier
one stopped. docs/teach.md tells more.
"""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path

from console.command import print_next, run
from console.flags import UsageError, check_idle_flags, unknown_flag
from console.journey import closing_table
from console.output import Console
from synthesis.mixtures import MixtureName

ROOT = Path(__file__).resolve().parents[1]


def main(
    model_dir: str,
    output_dir: str,
    tools_file: str | None = None,
    mcp: str | None = None,
    data: str | None = None,
    format: str | None = None,
    rounds: int = 1,
    count: int = 2000,
    scored: int = 400,
    general: float = 0.5,
    text_file: str | None = None,
    mixture: MixtureName = "broad",
    most_tools: int | None = None,
    chat_format: str | None = None,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    seed: int = 3,
    **overrides: object,
) -> None:
    """Teach a model your tools, and say on one page what it can do that it could not before.

    What is taught:
        tools_file: Your tools: an MCP server's answer to tools/list, OpenAI's list, or a Python
            file of functions, which is executed: name only one that you trust.
        mcp: Instead, the command of an MCP server, which is asked once for its tools over stdio;
            it is executed. Needs the package mcp.
        data: Your own conversations, trained beside the generated ones; a tenth is scored.
        format: Their layout; by default it is told by their content.

    The model:
        model_dir: The model to start from: a native directory, Meta's shards, Hugging Face's, or a
            .gguf file.
        output_dir: The directory to write to; an unfinished run of the same flags there goes on.
        chat_format: How conversations are written; by default as the model was trained, or llama3.

    Conversations:
        count: How many conversations to generate for each round.
        scored: How many conversations of each kind to score.
        general: How many conversations with the generator's own tools are trained for each with
            yours, so that the model learns to read tools; 0 for none.
        mixture: What is generated: broad; short, for small models and a CPU: few tools, no system
            texts; or plain, as short, with fewer kinds of questions.
        most_tools: The most tools that a conversation offers; by default as the mixture has it.
        seed: Another number generates other conversations.

    Training:
        rounds: How often to train; from the second time on more of what failed is generated.
        **overrides: Any setting of the training, as --section.key=value.

    Scoring:
        text_file: A plain text in UTF-8: the page says how much worse the model predicts it
            afterwards, that is what it forgot.
        max_new_tokens: The most tokens of a scored reply.
        batch_size: How many prompts are answered at once.
    """
    asked = dict(locals())
    if bool(tools_file) == bool(mcp):
        raise UsageError("name one of --tools-file and --mcp")
    check_idle_flags(asked, {"format": "data"})
    check_settings(overrides)
    from teaching.request import Flags
    from teaching.run import open_run

    settings = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in asked.pop("overrides").items()
    }
    taught = open_run(Flags(**asked, settings=settings), ROOT)
    done = list(taught.go())
    console = Console()
    console.rule("what came out")
    console.print(closing_table(done))
    for line in taught.lines():
        console.print(line, soft_wrap=True)
    print_next(*taught.next_commands())


def check_settings(overrides: Mapping[str, object]) -> None:
    """Raise UsageError for a setting that the training would refuse, or that the steps give."""
    from teaching.steps import CONFIG, GIVEN_SETTINGS
    from training.config import read_config

    for name in overrides:
        if "." not in name:
            raise unknown_flag(name, inspect.signature(main).parameters)
        if name in GIVEN_SETTINGS:
            raise UsageError(f"--{name} is set by the steps themselves; leave it out")
    read_config(ROOT / CONFIG, overrides)


if __name__ == "__main__":
    run(main)
