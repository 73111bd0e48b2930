"""Fine-tune on one device: read the settings, load the model, train, say what to run next.

    python finetune.py --config-file configs/finetune.json --model.checkpoint_dir=D \\
        --data.dataset_dir=D --name=N
    python finetune.py --config-file configs/finetune.json --name=N --resume
"""

from functools import partial

from console.command import run
from training.config import Config
from training.setting_table import help_groups

CONFIG = "configs/finetune.json"


def main(
    config_file: str = CONFIG,
    resume: bool = False,
    new_schedule: bool = False,
    fit_anyway: bool = False,
    **overrides: object,
) -> None:
    """Fine-tune a Llama for tool calls on one GPU, or on the CPU.

    Args:
        config_file: JSON file of settings, like those in configs/.
        resume: Continue the run of this name from its newest whole checkpoint.
        new_schedule: Go on with other settings of the schedule than the run that is resumed had.
        fit_anyway: Start although the formula says that the GPU's memory is too small.
        **overrides: Any setting below, for example --training.epochs=1.
    """
    from training.allocator import let_segments_grow

    let_segments_grow()
    import torch

    from evaluation.sample import open_sample
    from rewards.opening import open_rollouts
    from training.backends import NativeBackend
    from training.beginning import check_base_exists
    from training.config import read_config
    from training.ending import say_what_is_next
    from training.gate import open_gate
    from training.in_backward import check_one_micro_batch
    from training.optim import stored_dtype
    from training.planning.fitting import fitting_policy
    from training.precision import find_dtype
    from training.setup import (
        build_model,
        check_length,
        check_no_deepspeed_settings,
        find_device,
        make_batches,
        open_checkpoints,
        open_splits,
        train,
    )
    from training.trackers import check_trackers

    config = read_config(config_file, overrides)
    check_base_exists(config, config_file, overrides)
    check_trackers(config.logging.trackers)
    check_no_deepspeed_settings(config, config_file)
    device = find_device(config.model.device)
    dtype = find_dtype(config.model.dtype, device)
    splits = open_splits(config)
    sample = open_sample(config.validation, config.seed, config.model.checkpoint_dir, *splits)
    rollouts = open_rollouts(config, *splits, sample)
    if not resume:
        check_length(config, splits, rollouts)
    # Its errors belong before the model is loaded.
    open_gate(config, splits.chat_format, sample)
    checkpoints = open_checkpoints(config, splits.chat_format, resume, new_schedule)
    check_one_micro_batch(config, make_batches(config, splits))
    policy = fitting_policy(config, splits.train, device, fit_anyway)
    torch.manual_seed(config.seed)
    stored = stored_dtype(config)
    model = build_model(config, device, stored, policy=policy, resume=resume)
    backend = NativeBackend(model, config.optimizer, device, dtype, autocast=stored != dtype)
    train(config, splits, checkpoints, backend, resume, sample, rollouts)
    say_what_is_next(config)


if __name__ == "__main__":
    run(main, settings=partial(help_groups, Config, CONFIG), outlives_output=True)
