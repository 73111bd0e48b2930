"""What a finished run says."""

from collections.abc import Mapping, Sequence
from typing import Any

from console.command import print_next, shell_quote
from training.config import Config
from training.metrics_file import METRICS_FILE, logged
from training.report import warn
from weights.tokenizer_file import find_tokenizer

# Fewer steps than these teach a model hardly anything.
FEW_STEPS = 20
# The figures of replies that are 0 where no call is right, or no text; the first that is logged.
_LEARNT = ("balanced", "exact_match")


def say_what_is_next(config: Config) -> None:
    """Print what to run after training: watch it, then chat with the model or merge the adapter.

    The weights are those of the best step, where one was chosen, and else of the last. A run that
    can hardly have learnt anything is told first.
    """
    if told := little_learnt(config, logged(config.log_dir / METRICS_FILE)):
        warn(told)
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


def little_learnt(config: Config, records: Sequence[Mapping[str, Any]]) -> str:
    """Return why a run's log says that it learnt little, and what to change; empty where it did.

    Its steps are few, or the last replies that were generated have no right call, or no right text.
    """
    found, training = [], config.training
    steps = max((record["step"] for record in records), default=0)
    if steps < FEW_STEPS:
        found.append(f"took {steps} step{'s' * (steps != 1)}, which teach hardly anything")
    replied = [record for record in records if any(name in record for name in _LEARNT)]
    if replied:
        name = next(name for name in _LEARNT if name in replied[-1])
        if replied[-1][name] == 0:
            found.append(f"ended with {name} 0 in its last validation")
    if not found:
        return ""
    limits = ("epochs", "max_steps", "max_tokens")
    named = [f"--training.{name}" for name in limits if getattr(training, name) is not None]
    return (
        f"this run {', and '.join(found)}; raise {' and '.join(named)}, lower "
        f"--training.batch_size ({training.batch_size}), or try another --schedule.learning_rate "
        f"({config.schedule.learning_rate:g})"
    )
