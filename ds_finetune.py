"""Fine-tune on many devices: read the settings, load the model, train, say what to run next.

deepspeed --num_gpus=8 ds_finetune.py --model.checkpoint_dir=D --data.dataset_dir=D --name=N
deepspeed --num_gpus=8 ds_finetune.py --name=N --resume
"""

import os
from functools import partial

from console.command import run
from training.config import Config
from training.setting_table import help_groups

CONFIG = "configs/ds_finetune.json"


def main(
    config_file: str = CONFIG,
    resume: bool = False,
    new_schedule: bool = False,
    fit_anyway: bool = False,
    local_rank: int | None = None,
    **overrides: object,
) -> None:
    """Fine-tune a Llama for tool calls on many GPUs with DeepSpeed.

    Start it with a launcher: deepspeed --num_gpus=8 ds_finetune.py [flags].

    Args:
        config_file: JSON file of settings, like those in configs/.
        resume: Continue the run of this name from its newest whole checkpoint.
        new_schedule: Go on with other settings of the schedule than the run that is resumed had.
        fit_anyway: Start although the formula says that a GPU's memory is too small.
        local_rank: Given by the launcher, not by you.
        **overrides: Any setting below, for example --training.epochs=1.
    """
    # torch would print the C++ stack for every connection that is lost when another rank ends.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from training.allocator import let_segments_grow

    let_segments_grow()
    import torch

    from evaluation.sample import open_sample
    from rewards.opening import open_rollouts
    from training.beginning import check_base_exists
    from training.config import read_config
    from training.ending import say_what_is_next
    from training.gate import open_gate
    from training.planning.fitting import fitting_policy
    from training.precision import find_dtype
    from training.report import no_warning
    from training.setup import (
        build_model,
        check_length,
        open_checkpoints,
        open_splits,
        train,
    )
    from training.trackers import check_trackers
    from training.zero.engine import DeepSpeedBackend
    from training.zero.placing import place_on_arrival
    from training.zero.ranks import joined_ranks
    from training.zero.settings import engine_config

    config = read_config(config_file, overrides)
    check_base_exists(config, config_file, overrides)
    check_trackers(config.logging.trackers)
    with joined_ranks(config.model.device) as ranks:
        engine = engine_config(config, ranks.world_size)
        dtype = find_dtype(config.model.dtype, ranks.device)
        splits = open_splits(config)
        sample = open_sample(config.validation, config.seed, config.model.checkpoint_dir, *splits)
        rollouts = open_rollouts(config, *splits, sample, print if ranks.rank == 0 else no_warning)
        if not resume:
            check_length(config, splits, rollouts)
        # Its errors belong before the model is loaded.
        open_gate(config, splits.chat_format, sample)
        checkpoints = open_checkpoints(config, splits.chat_format, resume, new_schedule)
        policy = fitting_policy(config, splits.train, ranks.device, fit_anyway, ranks.world_size)
        torch.manual_seed(config.seed)
        place = place_on_arrival(engine, ranks.device, dtype, config.model.quantization)
        model = build_model(config, ranks.device, dtype, place, policy, resume)
        backend = DeepSpeedBackend(model, config.optimizer, engine, ranks)
        train(config, splits, checkpoints, backend, resume, sample, rollouts)
    if ranks.rank == 0:
        say_what_is_next(config)


if __name__ == "__main__":
    run(
        main,
        launcher="deepspeed --num_gpus=8",
        settings=partial(help_groups, Config, CONFIG),
        outlives_output=True,
    )
