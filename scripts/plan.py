"""Say whether a run fits before there are weights, data or a GPU: bytes by kind, hours, cards.

    python scripts/plan.py --config-file configs/finetune.json --gpu H200
    python scripts/plan.py --config-file configs/ds_finetune.json --shape 8b --num-gpus 8
    python scripts/plan.py --config-file configs/teach.json --save-file ./runs/config.json

The model's params.json is all that is read of it; --shape names one that is not here yet.
"""

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from console.command import print_next, run, shell_quote
from console.flags import UsageError, flag_of
from storage.atomic import new_file
from storage.json_file import write_json

if TYPE_CHECKING:
    from training.config import Config

# What is planned for where no card is named.
CARD = "H200"


def main(
    config_file: str = "configs/finetune.json",
    gpu: str | None = None,
    num_gpus: int | None = None,
    shape: str | None = None,
    conversations: int | None = None,
    mean_length: float | None = None,
    save_file: str | None = None,
    **overrides: object,
) -> str:
    """Print what a run takes on each device, how long it lasts at best, and which cards fit it.

    Args:
        config_file: JSON file of settings; see configs/ and training/config.py.
        gpu: The card: RTX 4070, RTX 4080, RTX 4090, A100-40, L40S, H100 or H200, the default.
        num_gpus: How many of them share the work; 1 by default.
        shape: A published model's instead of the params.json in model.checkpoint_dir: 1b, 3b, 8b,
            70b (Llama 3), mistral-7b or phi3-mini.
        conversations: How many there are to train on; by default the dataset's, where it is built.
        mean_length: Their tokens, on average; by default the dataset's, or 300.
        save_file: Instead of a card's plan, write the configuration that fits this machine, for
            finetune.py --config-file. A dtype that the device is fast in and a learning rate that
            goes with the model's width are chosen, unless they are set by flag.
        **overrides: Any setting, as --section.key=value.
    """
    from model.config import ModelConfig
    from model.shapes import find_shape
    from training.beginning import check_base_exists
    from training.config import read_config
    from training.planning.cards import find_card
    from training.planning.nearest import Choice, flags_between, nearest_fitting
    from training.planning.plan import method_of, settings_of
    from training.planning.possible import check_trainable
    from training.planning.text import Dataset, cards_table, describe, format_verdict, stages_table
    from training.setup import check_no_deepspeed_settings

    config = read_config(config_file, overrides)
    if save_file:
        planned = {"gpu": gpu, "num_gpus": num_gpus, "shape": shape}
        _check_of_machine({**planned, "conversations": conversations, "mean_length": mean_length})
        check_no_deepspeed_settings(config, config_file)
        return _choose(config, save_file, overrides)
    card, num_gpus = find_card(gpu or CARD), 1 if num_gpus is None else num_gpus
    if not shape:
        check_base_exists(config, config_file, overrides)
    model = find_shape(shape) if shape else ModelConfig.read(config.model.checkpoint_dir)
    method, settings = method_of(config, model), settings_of(config, num_gpus)
    if num_gpus < 1 or (num_gpus > 1 and settings.stage is None):
        raise ValueError(
            f"--num-gpus is {num_gpus}, and {config_file} without a deepspeed_config trains on one "
            "device; take --num-gpus 1, or --config-file configs/ds_finetune.json"
        )
    check_trainable(config, model, card)
    data = Dataset.read(config, conversations, mean_length)
    if gpu is None:
        print(f"for one {card.name} a rank; --gpu names another card")
    print(describe(config, method, settings, card, data))
    if settings.stage is not None:
        print(stages_table(method, settings, card, data))
    print(cards_table(method, settings, data))
    asked = Choice(method, settings)
    nearest = nearest_fitting(asked, card.memory, data.trained_share, data.longest)
    if nearest is not None:
        command = "python finetune.py"
        if settings.stage is not None:
            command = f"deepspeed --num_gpus={num_gpus} ds_finetune.py"
        # As in a file: fire made None, lists and numbers of them.
        given = [
            f"--{key}={shell_quote(value if isinstance(value, str) else json.dumps(value))}"
            for key, value in overrides.items()
        ]
        words = [command, "--config-file", shell_quote(config_file), *given]
        print_next(" ".join([*words, flags_between(asked, nearest)]).rstrip())
    return format_verdict(method, settings, card, data.trained_share)


def _check_of_machine(flags: Mapping[str, object]) -> None:
    """Raise UsageError for a flag of a plan beside --save-file, which knows this machine alone."""
    for name, given in flags.items():
        if given is not None:
            raise UsageError(
                f"--save-file writes what fits this machine and its data; {flag_of(name)} is for a "
                "plan without it"
            )


def _choose(config: "Config", save_file: str, overrides: Collection[str]) -> str:
    """Write the settings that fit this machine, and print and return what they are."""
    from training.planning.choosing import choose_here

    values, reason = choose_here(config, overrides)
    with new_file(save_file) as partial:
        write_json(partial, values)
    chosen = f"{save_file}: {reason}"
    print(chosen)
    print_next(f"python finetune.py --config-file {shell_quote(save_file)}")
    return chosen


if __name__ == "__main__":
    run(main)
