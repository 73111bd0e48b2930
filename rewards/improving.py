"""Rounds of rejection sampling, each step a command of this project: scripts/improve.py."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console import outcomes
from console.command import shell_quote, typed_flags
from console.flags import flag_of, listed
from console.journey import Stage
from console.stages import finetune, from_root, merge, plan
from inference.chat_choice import format_flags
from inference.loading import Source
from rewards.held_out import check_places, validation_of
from rewards.rounds_shown import sampled_line, score_line, scores_file
from weights.chat_record import read_chat_record

NAME = "improved"
# Settings of the training that the steps give; a user's own would lead them astray.
GIVEN_SETTINGS = (
    *("model.checkpoint_dir", "model.adapter_dir", "data.dataset_dir"),
    *("checkpoint.output_dir", "logging.output_dir"),
)


@dataclass(frozen=True)
class Flags:
    """The flags of scripts/improve.py, whose help says what each does."""

    ckpt_dir: str
    dataset_file: str
    held_out_file: str
    output_dir: str
    lora_ckpt_path: str | None = None
    never_from: str | None = None
    rounds: int = 2
    limit: int | None = None
    replies: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    constrain: bool = False
    most_kept: int = 2
    keep_easy: bool = False
    replay: float = 1.0
    val_ratio: float = 0.1
    config_file: str = "configs/teach.json"
    chat_format: str | None = None
    max_new_tokens: int = 256
    batch_size: int = 64
    seed: int = 3
    settings: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> dict[str, Path]:
        """Return the files of the user's that the run reads, by their flags."""
        found = {flag_of("held_out_file"): Path(self.held_out_file)}
        for file in listed(self.dataset_file):
            found[f"{flag_of('dataset_file')} {file}"] = Path(file)
        return found | {flag_of("config_file"): Path(self.config_file)}


def check_flags(flags: Flags) -> None:
    """Raise ValueError or FileNotFoundError for a flag that cannot be, or names nothing usable."""
    for name in ("rounds", "limit", "replies", "most_kept", "max_new_tokens", "batch_size"):
        if (number := getattr(flags, name)) is not None and number < 1:
            raise ValueError(f"{flag_of(name)} is {number}, wanted a number from 1 up")
    if flags.replay < 0:
        raise ValueError(f"--replay is {flags.replay}, wanted 0 or more")
    if flags.temperature <= 0:
        raise ValueError(f"--temperature is {flags.temperature}, wanted more than 0")
    if not 0 < flags.val_ratio < 1:
        raise ValueError(f"--val-ratio is {flags.val_ratio}, wanted more than 0 and less than 1")
    for flag, file in flags.files().items():
        if not file.is_file():
            raise FileNotFoundError(f"{flag.split()[0]} {file} does not exist; name a file")
    if Path(flags.held_out_file) in map(Path, listed(flags.dataset_file)):
        raise ValueError(
            f"--held-out-file {flags.held_out_file} is also a --dataset-file: what is scored must "
            "not be learnt from; name another file"
        )
    check_places(listed(flags.never_from))
    Source(flags.ckpt_dir, flags.lora_ckpt_path, chat_format=flags.chat_format).format()


@dataclass(frozen=True)
class Improvement:
    """A run of several rounds, with how its paths are typed.

    root: The folder that the commands run in.
    """

    flags: Flags
    root: Path

    @property
    def directory(self) -> Path:
        """The output directory."""
        return Path(self.flags.output_dir)

    def typed(self, path: Path | str) -> str:
        """Return a path as a command in `root` is given it: relative where it lies inside."""
        return shell_quote(from_root(path, self.root))

    def path(self, name: str) -> str:
        """Return a place under the output directory as a command in `root` is given it."""
        return self.typed(self.directory / name)

    def count_steps(self) -> int:
        """Return how many steps there are."""
        # A score at the start, a configuration, the merge, and a score at the end.
        return 3 * self.flags.rounds + 4

    def steps(self) -> Iterator[Stage]:
        """Yield the steps in order."""
        yield self._scored("start")
        for round in range(1, self.flags.rounds + 1):
            yield self._sampled(round)
            yield self._built(round)
            if round == 1:
                yield plan(
                    self.typed(self.flags.config_file),
                    self.typed(self.flags.ckpt_dir),
                    self.path("dataset-1"),
                    self.typed(self.directory),
                    self.flags.settings,
                )
            yield self._finetuned(round)
        adapter = self.path(adapter_dir(self.flags.rounds))
        yield merge(self.typed(self.flags.ckpt_dir), adapter, self.path("merged"))
        yield self._scored("end")

    def _scored(self, when: str) -> Stage:
        flags, file = self.flags, scores_file(when)
        model = self.path("merged") if when == "end" else self._speaker(1)
        return Stage(
            f"score what is held out at the {when}",
            f"scripts/evaluate.py --ckpt-dir {model} --dataset-file "
            f"{self.typed(flags.held_out_file)} --max-new-tokens {flags.max_new_tokens} "
            f"--batch-size {flags.batch_size} --output-file {self.path(file)}"
            + (self._format() if when == "start" else ""),
            lambda root: score_line(root / file),
        )

    def _sampled(self, round: int) -> Stage:
        flags = self.flags
        files = ",".join(from_root(file, self.root) for file in listed(flags.dataset_file))
        drawn = {
            "limit": flags.limit,
            "replies": flags.replies,
            "temperature": flags.temperature,
            "top_p": flags.top_p if flags.top_p < 1 else None,
            "seed": flags.seed + round,
            "max_new_tokens": flags.max_new_tokens,
            "batch_size": flags.batch_size,
            "most_kept": flags.most_kept,
            "replay": flags.replay,
        }
        switches = " --constrain" * flags.constrain + " --skip-easy" * (not flags.keep_easy)
        return Stage(
            f"round {round}: draw replies and judge them",
            f"scripts/sample_replies.py --ckpt-dir {self._speaker(round)} --dataset-file "
            f"{shell_quote(files)} --never-from {shell_quote(','.join(self._never_from()))} "
            "--named-only "
            f"{typed_flags(drawn)}{switches}{self._format() if round == 1 else ''} "
            f"--save-file {self.path(f'round-{round}.jsonl')}",
            lambda root: sampled_line(root / f"round-{round}.report.json"),
        )

    def _never_from(self) -> list[str]:
        """Return what is held out: what is scored, what is named, what the start validated on."""
        source = Source(self.flags.ckpt_dir, self.flags.lora_ckpt_path)
        validation = validation_of(source.weights_directory(), lambda line: None)
        named = [self.flags.held_out_file, *listed(self.flags.never_from)]
        places = [*map(Path, named), *validation]
        return list(dict.fromkeys(from_root(place, self.root) for place in places))

    def _built(self, round: int) -> Stage:
        # A prompt that validates in one round does so in all: its place follows from its content.
        dataset = f"dataset-{round}"
        return Stage(
            f"round {round}: tokens and training mask",
            f"scripts/build_dataset.py --source-file {self.path(f'round-{round}.jsonl')} "
            f"--tokenizer-file {self.typed(self.flags.ckpt_dir)} --save-dir {self.path(dataset)} "
            f"--split-by prompt --val-ratio {self.flags.val_ratio} --skip-overlong"
            + self._trained_format(),
            lambda root: outcomes.built(root / dataset),
        )

    def _finetuned(self, round: int) -> Stage:
        """Return the stage that trains the adapter of the round before further."""
        given = {"data.dataset_dir": self.path(f"dataset-{round}")}
        if before := self._adapter(round):
            given["model.adapter_dir"] = before
        directory = self.typed(self.directory)
        return finetune(f"round {round}: fine-tune", f"{NAME}-{round}", directory, given)

    def _speaker(self, round: int) -> str:
        """Return the flags, after --ckpt-dir, of the model that a round begins with."""
        adapter = self._adapter(round)
        more = f" --lora-ckpt-path {adapter}" if adapter else ""
        return self.typed(self.flags.ckpt_dir) + more

    def _adapter(self, round: int) -> str | None:
        """Return the adapter that a round begins with, as it is typed; None for a base alone."""
        if round > 1:
            return self.path(adapter_dir(round - 1))
        given = self.flags.lora_ckpt_path
        return None if given is None else self.typed(given)

    def _format(self) -> str:
        given = self.flags.chat_format
        return f" --chat-format {shell_quote(given)}" if given else ""

    def _trained_format(self) -> str:
        """Return the flags with which a dataset is built in the format of the start's weights."""
        source = Source(
            self.flags.ckpt_dir, self.flags.lora_ckpt_path, chat_format=self.flags.chat_format
        )
        record = read_chat_record(Path(self.flags.ckpt_dir))
        flags = format_flags(source.format().name, record, source.proposed_format())
        named = {name: value for name, value in flags.items() if value is not True}
        anyway = " --chat-format-anyway" if "chat_format_anyway" in flags else ""
        return f" {typed_flags(named)}{anyway}".rstrip()

    def next_command(self) -> str:
        """Return the command that speaks to what came out."""
        return f"python chat_completion.py --ckpt-dir {self.path('merged')} --interactive"


def adapter_dir(round: int) -> str:
    """Return where the adapter of a round is, under the output."""
    return f"checkpoints/{NAME}-{round}/final"
