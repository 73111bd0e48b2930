"""Join the parts of DeepSpeed's checkpoint into one directory, as `best` and `final` are.

    python scripts/consolidate_checkpoint.py --checkpoint-dir checkpoints/NAME --output-dir D

Nothing of it is needed to go on from a run: every checkpoint holds its weights gathered too.
"""

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from training.report import warn
from training.zero.consolidation import Consolidated, consolidate_checkpoint
from weights.directory import WEIGHTS_FILE
from weights.tokenizer_file import find_tokenizer


def main(checkpoint_dir: str, output_dir: str, tag: str | None = None) -> None:
    """Write the trained weights of a checkpoint, joined from DeepSpeed's shards and checked.

    Args:
        checkpoint_dir: A run's directory, whose `latest` is taken, or one checkpoint in it.
        output_dir: The directory to write; an earlier consolidation there is replaced.
        tag: Another checkpoint of the run than the latest, such as step-000200.
    """
    done = consolidate_checkpoint(checkpoint_dir, output_dir, tag, warn)
    gathered = done.step / done.file.name
    if done.shards:
        compared = f"bit for bit {gathered}" if done.compared else f"{gathered} is damaged or gone"
        origin = f"joined from the shards of {done.shards} ranks; {compared}"
    else:
        origin = f"copied from {gathered}: nothing in that checkpoint is sharded"
    print(f"{done.file}: {done.tensors} tensors, {decimal(done.bytes)}, {origin}")
    _say_what_is_next(done)


def _say_what_is_next(done: Consolidated) -> None:
    directory = done.file.parent
    if done.file.name == WEIGHTS_FILE:
        print_next(
            f"python chat_completion.py --ckpt-dir {shell_quote(directory)} "
            f"--tokenizer-path {shell_quote(find_tokenizer(directory))}{missing_flag(directory)}"
        )
    else:
        print_next(
            f"python scripts/convert_lora_weights.py --config-dir {shell_quote(directory)} "
            f"--base-ckpt-path {shell_quote(done.base)} --lora-ckpt-path {shell_quote(directory)} "
            "--output-dir D"
        )


if __name__ == "__main__":
    run(main)
