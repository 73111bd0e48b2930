"""Rounds of rejection sampling in one command: draw replies, keep right ones, train on them.

python scripts/improve.py --ckpt-dir D --dataset-file F --held-out-file G --output-dir O
python scripts/improve.py --ckpt-dir D --lora-ckpt-path A --dataset-file F --held-out-file G \
    --output-dir O --rounds 3 --replies 8 --temperature 0.7 --schedule.learning_rate=1e-4

Every step is a command of this project and is printed as it runs. Each round trains the adapter of
the round before further; the last is merged. What is held out is scored at the start and the end
alone, and no prompt of it is replied to. The same command goes on where an earlier one stopped.
docs/rejection-sampling.md tells more.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from console.command import print_next, run
from console.flags import UsageError, unknown_flag
from console.journey import closing_table
from console.output import Console

ROOT = Path(__file__).resolve().parents[1]
STATE_FILE = "improve.json"


def main(
    ckpt_dir: str,
    dataset_file: str,
    held_out_file: str,
    output_dir: str,
    lora_ckpt_path: str | None = None,
    never_from: str | None = None,
    rounds: int = 2,
    limit: int | None = None,
    replies: int = 4,
    temperature: float = 1.0,
    top_p: float = 1.0,
    constrain: bool = False,
    most_kept: int = 2,
    keep_easy: bool = False,
    replay: float = 1.0,
    val_ratio: float = 0.1,
    config_file: str = "configs/teach.json",
    chat_format: str | None = None,
    max_new_tokens: int = 256,
    batch_size: int = 64,
    seed: int = 3,
    **overrides: object,
) -> None:
    """Train a model on its own right replies, several times over.

    What is trained:
        ckpt_dir: A native model directory: a base, or a merged model.
        lora_ckpt_path: A LoRA checkpoint on ckpt_dir to begin with; it is trained further.
        output_dir: The directory to write to; an unfinished run of the same flags there goes on.
        chat_format: How conversations are written; by default as the weights were trained, or
            llama3.
        config_file: JSON file of settings for the training; see configs/.
        **overrides: Any setting of the training, as --section.key=value.

    Prompts:
        dataset_file: Training conversations, several files with commas between; each assistant's
            turn after a user or a tool is a prompt.
        held_out_file: Conversations that are scored at the start and at the end, never used as
            prompts and never replayed.
        never_from: What else is held out, as in scripts/sample_replies.py.
        limit: Use only so many prompts in a round, other ones in each.

    Rounds:
        rounds: How often to draw replies and train on them.
        val_ratio: The share of these rows, by their prompts, that validate the training of a round.
        seed: Another number draws other replies.

    Replies:
        replies: How many replies are drawn to each prompt.
        temperature: Higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        constrain: Make every call that is drawn valid by the schemas of the tools offered.
        max_new_tokens: The most tokens of a reply.
        batch_size: How many replies are under way at once.

    What is kept:
        most_kept: How many right replies of a prompt are kept at most, of those that differ.
        keep_easy: Keep replies also to prompts whose replies are all right.
        replay: How many training conversations are trained as they stand for each kept reply.
    """
    asked = dict(locals())
    from rewards.improving import Flags, Improvement, check_flags
    from rewards.rounds_shown import tables
    from teaching.journal import begin_journal, read_journal

    settings = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in asked.pop("overrides").items()
    }
    flags = Flags(**asked, settings=settings)
    check_settings(config_file, overrides)
    check_flags(flags)
    state_file = Path(output_dir) / STATE_FILE
    given = {name: value for name, value in asdict(flags).items() if name != "output_dir"}
    journal = read_journal(state_file, given)
    if journal is None:
        journal = begin_journal(state_file, given, flags.files())
    else:
        journal.check_unchanged(flags.files())
    improvement = Improvement(flags, ROOT)
    done = list(journal.run(improvement.steps(), ROOT, improvement.count_steps()))
    console = Console()
    console.rule("what came out")
    console.print(closing_table(done))
    for table in tables(Path(output_dir), rounds):
        console.print(table)
    print_next(improvement.next_command())


def check_settings(config_file: str, overrides: Mapping[str, object]) -> None:
    """Raise UsageError for a setting that the training would refuse, or that the steps give."""
    from rewards.improving import GIVEN_SETTINGS
    from training.config import read_config

    for name in overrides:
        if "." not in name:
            raise unknown_flag(name, inspect.signature(main).parameters)
        if name in GIVEN_SETTINGS:
            raise UsageError(f"--{name} is set by the steps themselves; leave it out")
    read_config(config_file, overrides)


if __name__ == "__main__":
    run(main)
