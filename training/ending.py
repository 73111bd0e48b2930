"""What a finished run says."""

from console.command import print_next, shell_quote
from training.config import Config
from weights.tokenizer_file import find_tokenizer


def say_what_is_next(config: Config) -> None:
    """Print what to run after training: watch it, then chat with the model or merge the adapter.

    The weights are those of the best step, where one was chosen, and else of the last.
    """
    best = config.run_dir / "best"
    weights = best if best.is_dir() else config.run_dir / "final"
    watch = f"tensorboard --logdir {shell_quote(config.logging.output_dir)}"
    if config.lora is None:
        print_next(
            watch,
            f"python chat_completion.py --ckpt-dir {shell_quote(weights)} "
            f"--tokenizer-path {shell_quote(find_tokenizer(weights))}",
        )
    else:
        print_next(
            watch,
            f"python scripts/convert_lora_weights.py --config-dir {shell_quote(weights)} "
            f"--base-ckpt-path {shell_quote(config.model.checkpoint_dir)} "
            f"--lora-ckpt-path {shell_quote(weights)} "
            f"--output-dir {shell_quote(config.run_dir / 'merged')}",
        )
