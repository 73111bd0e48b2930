"""What a user asks of scripts/teach.py, and where its files lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from chat.formats.known import find_format
from console.command import shell_quote, typed_flags
from console.flags import flag_of
from console.stages import from_root
from synthesis.mixtures import Mixture, find_mixture
from teaching.tools import Teachable

# The folder of the training's checkpoints and logs, before the number of the round.
NAME = "taught"
# What each part of the scored prompts is called for people.
PARTS = {
    "taught": "tools of the training data",
    "held_out": "tools that were never trained",
    "own": "your conversations, those that were not trained",
}
MODELS = {"base": "base", "tuned": "fine-tuned", "constrained": "constrained"}
# What a directory of a model holds, one of them at least: ours, Meta's, Hugging Face's.
_OF_MODELS = ("params.json", "config.json")
# The ending of a file that llama.cpp or Ollama has a whole model in.
GGUF = ".gguf"


@dataclass(frozen=True)
class Flags:
    """The flags of scripts/teach.py, whose help says what each does."""

    model_dir: str
    output_dir: str
    tools_file: str | None = None
    mcp: str | None = None
    data: str | None = None
    format: str | None = None
    rounds: int = 1
    count: int = 2000
    scored: int = 400
    general: float = 0.5
    text_file: str | None = None
    mixture: str = "broad"
    most_tools: int | None = None
    chat_format: str | None = None
    max_new_tokens: int = 256
    batch_size: int = 32
    seed: int = 3
    settings: Mapping[str, str] = field(default_factory=dict)


def check_flags(flags: Flags) -> None:
    """Raise ValueError or FileNotFoundError for a flag that cannot be, or names nothing usable."""
    for name in ("rounds", "count", "scored", "most_tools", "max_new_tokens", "batch_size"):
        if (number := getattr(flags, name)) is not None and number < 1:
            raise ValueError(f"{flag_of(name)} is {number}, wanted a number from 1 up")
    find_mixture(flags.mixture)
    if flags.general < 0:
        raise ValueError(f"--general is {flags.general}, wanted 0 or more")
    _check_model(Path(flags.model_dir))
    if flags.data and not Path(flags.data).is_file():
        raise FileNotFoundError(f"--data {flags.data} does not exist; name a file of rows")
    if flags.text_file and not Path(flags.text_file).is_file():
        raise FileNotFoundError(f"--text-file {flags.text_file} does not exist; name a plain text")
    if flags.chat_format:
        find_format(flags.chat_format)


def _check_model(model: Path) -> None:
    """Raise FileNotFoundError or ValueError for what is no directory and no file of a model."""
    if model.is_file() and model.suffix == GGUF:
        return
    if not model.is_dir():
        raise FileNotFoundError(
            f"--model-dir {model} does not exist; name a directory of weights, or a {GGUF} file "
            "(docs/models.md says where to get them; demo/base is a tiny one)"
        )
    if not any((model / name).is_file() for name in _OF_MODELS):
        raise ValueError(f"--model-dir {model} holds no model: none of {', '.join(_OF_MODELS)}")


@dataclass(frozen=True)
class Request:
    """The flags of scripts/teach.py, with what the tools allow and how paths are typed.

    root: The folder that the commands run in.
    own_scored: Whether any row of `data` was kept from the training, so that it can be scored.
    """

    flags: Flags
    teachable: Teachable
    root: Path
    own_scored: bool = True

    @property
    def directory(self) -> Path:
        """The output directory."""
        return Path(self.flags.output_dir)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are scored."""
        held_out = ("held_out",) if self.teachable.held_out else ()
        return ("taught", *held_out, *(("own",) if self.flags.data and self.own_scored else ()))

    @property
    def mixture(self) -> Mixture:
        """What generated conversations are made of."""
        return find_mixture(self.flags.mixture)

    @property
    def general_count(self) -> int:
        """How many conversations with the generator's own tools are trained in each round."""
        return round(self.flags.general * self.flags.count)

    @property
    def values(self) -> tuple[str, str]:
        """Which values are trained, and which are scored."""
        return ("all", "all") if self.teachable.unsplit else ("seen", "unseen")

    def from_root(self, path: Path | str) -> str:
        """Return a path for commands that run in `root`: relative where it lies inside."""
        return from_root(path, self.root)

    def typed(self, path: Path | str) -> str:
        """Return a path as a command in `root` is given it."""
        return shell_quote(self.from_root(path))

    def path(self, name: str) -> str:
        """Return a place under the output directory as a command in `root` is given it."""
        return self.typed(self.directory / name)


def scores_file(model: str, part: str) -> str:
    """Return where the verdicts on a part of the prompts are written, under the output."""
    return f"scores/{model}-{part}.json"


def adapter_dir(round: int) -> str:
    """Return where the adapter of a round is, under the output."""
    return f"checkpoints/{NAME}-{round}/final"


def larger_command(request: Request) -> str:
    """Return the command of a run like this one with twice the conversations, in a new directory.

    The epochs stay, so it takes twice the steps, too.
    """
    flags, places = request.flags, ("model_dir", "tools_file", "data", "text_file")
    named = {name: getattr(flags, name) for name in places}
    paths = {name: request.from_root(path) for name, path in named.items() if path}
    changed = {
        field.name: value
        for field in fields(flags)
        if field.name != "settings" and (value := getattr(flags, field.name)) != field.default
    }
    output = request.from_root(f"{request.directory}-larger")
    given = {**changed, **paths, "output_dir": output, "count": 2 * flags.count, **flags.settings}
    return f"python scripts/teach.py {typed_flags(given)}"


def next_commands(request: Request) -> tuple[str, ...]:
    """Return the commands that use the tuned model."""
    return (
        f"python chat_completion.py --ckpt-dir {request.path('merged')} --interactive --constrain "
        f"--tools-file {request.typed(request.teachable.file)}",
        f"python scripts/serve.py --ckpt-dir {request.path('merged')} --port 8000",
    )
