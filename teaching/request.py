"""What a user asks of scripts/teach.py, and where its files lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.command import shell_quote
from synthesis.mixtures import PLAIN
from teaching.tools import Teachable

# The folder of the training's checkpoints and logs, before the number of the round.
NAME = "taught"
# What each part of the scored prompts is called for people.
PARTS = {
    "taught": "tools of the training data",
    "held_out": "tools that were never trained",
    "own": "your conversations, those that were not trained",
}
MODELS = {"base": "base", "tuned": "fine-tuned", "constrained": "held to the schemas"}


@dataclass(frozen=True)
class Request:
    """What a user asks of scripts/teach.py; its flags say what each does.

    own_scored: Whether any row of `data` was kept from the training, so that it can be scored.
    """

    teachable: Teachable
    model_dir: str
    output: Path
    data: str | None = None
    data_format: str = "auto"
    count: int = 2000
    scored: int = 400
    rounds: int = 1
    general: float = 0.5
    most_tools: int = PLAIN.most_tools
    chat_format: str | None = None
    max_new_tokens: int = 256
    batch_size: int = 32
    seed: int = 3
    settings: Mapping[str, str] = field(default_factory=dict)
    own_scored: bool = True

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are scored."""
        held_out = ("held_out",) if self.teachable.held_out else ()
        return ("taught", *held_out, *(("own",) if self.data and self.own_scored else ()))

    @property
    def general_count(self) -> int:
        """How many conversations with the generator's own tools are trained in each round."""
        return round(self.general * self.count)

    @property
    def values(self) -> tuple[str, str]:
        """Which values are trained, and which are scored."""
        return ("all", "all") if self.teachable.unsplit else ("seen", "unseen")

    def path(self, *names: str) -> str:
        """Return a place under the output directory as it is typed."""
        return shell_quote(self.output.joinpath(*names))


def scores_file(model: str, part: str) -> str:
    """Return where the verdicts on a part of the prompts are written, under the output."""
    return f"scores/{model}-{part}.json"


def adapter_dir(round: int) -> str:
    """Return where the adapter of a round is, under the output."""
    return f"checkpoints/{NAME}-{round}/final"


def next_commands(request: Request) -> tuple[str, ...]:
    """Return the commands that use the tuned model."""
    return (
        f"python chat_completion.py --ckpt_dir {request.path('merged')} --interactive --constrain "
        f"--tools-file {shell_quote(request.teachable.file)}",
        f"python scripts/serve.py --ckpt-dir {request.path('merged')} --port 8000",
    )
