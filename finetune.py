"""Fine-tune on one device: read the settings, load the model, train, say what to run next."""

from typing import TYPE_CHECKING

from console.command import print_next, run, typed

if TYPE_CHECKING:
    from training.config import Config


def main(
    config_file: str = "configs/finetune.json", resume: bool = False, **overrides: object
) -> None:
    """Fine-tune a Llama for tool calls on one GPU, or on the CPU.

    Args:
        config_file: JSON file of settings; see configs/ and training/config.py.
        resume: Continue the run of this name from its newest whole checkpoint.
        **overrides: Any setting, as --section.key=value (for example --training.epochs=1).
    """
    import torch

    from training.backends import NativeBackend
    from training.config import read_config
    from training.setup import (
        build_model,
        find_device,
        open_checkpoints,
        open_splits,
        train,
    )

    config = read_config(config_file, overrides)
    device, dtype = find_device(config.model.device), getattr(torch, config.model.dtype)
    splits = open_splits(config)
    checkpoints = open_checkpoints(config, resume)
    torch.manual_seed(config.seed)
    model = build_model(config, device, dtype)
    backend = NativeBackend(model, config.optimizer, device, dtype)
    train(config, splits, checkpoints, backend, resume)
    _say_what_is_next(config)


def _say_what_is_next(config: "Config") -> None:
    final = config.run_dir / "final"
    watch = f"tensorboard --logdir {typed(config.logging.output_dir)}"
    if config.lora is None:
        print_next(
            watch,
            f"python chat_completion.py --ckpt_dir {typed(final)} "
            f"--tokenizer_path {typed(final / 'tokenizer.model')}",
        )
    else:
        print_next(
            watch,
            f"python scripts/convert_lora_weights.py --config-dir {typed(final)} "
            f"--base-ckpt-path {typed(config.model.checkpoint_dir)} "
            f"--lora-ckpt-path {typed(final)} "
            f"--output-dir {typed(config.run_dir / 'merged')}",
        )


if __name__ == "__main__":
    run(main)
