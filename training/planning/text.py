"""The plan of a run as text: its bytes by kind, its hours, and a table of cards."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from data.batches import check_lengths
from data.tokenized import TokenizedDataset
from model.fp8 import has_fp8
from training.config import Config
from training.planning.cards import CARDS, GB, Card
from training.planning.memory import Method, trained_parameters
from training.planning.nearest import (
    LEAST_MICRO_BATCH,
    Choice,
    flags_between,
    nearest_fitting,
)
from training.planning.plan import (
    TRAINED_SHARE,
    Settings,
    Use,
    memory_use,
    usable,
    with_policy,
)
from training.planning.roofline import tokens_a_second

MEAN_LENGTH = 300.0
COUNTS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Dataset:
    """What a plan wants to know of the data; `conversations` is None where nobody said."""

    conversations: int | None
    mean_length: float
    trained_share: float
    longest: int
    source: str = ""

    @staticmethod
    def read(config: Config, conversations: int | None, mean_length: float | None) -> "Dataset":
        """Take what is given, then what the built dataset says, then what is usual."""
        directory = Path(config.data.dataset_dir).expanduser()
        if not directory.is_dir():
            mean = mean_length or MEAN_LENGTH
            return Dataset(conversations, mean, TRAINED_SHARE, LEAST_MICRO_BATCH)
        train = TokenizedDataset.open(directory, "train")
        check_lengths(train, config.training.micro_batch_tokens)
        return Dataset(
            conversations or len(train),
            mean_length or train.total_tokens / len(train),
            train.trained_tokens / train.total_tokens,
            int(train.lengths.max()),
            "" if conversations and mean_length else f", as {config.data.dataset_dir} has them",
        )


def describe(config: Config, method: Method, settings: Settings, card: Card, data: Dataset) -> str:
    """Return what is trained, bytes by kind on device and host, and the time at best."""
    chosen = with_policy(method, settings, card.memory, data.trained_share)
    use = memory_use(method, chosen, data.trained_share)
    lines = [
        f"{trained_parameters(method):,} trained parameters; activation checkpointing: "
        f"{chosen.policy}{_by_auto(settings)}; {chosen.micro_batch_tokens:,} tokens at once",
        *(f"{kind:>16} {size / GB:9.2f} GB" for kind, size in use.device.items() if size),
        _verdict(use, card),
        *(f"{kind:>16} {size / GB:9.2f} GB of the host, a rank" for kind, size in use.host.items()),
        _time(config, method, chosen, card, data),
    ]
    return "\n".join(lines)


def format_verdict(method: Method, settings: Settings, card: Card, share: float) -> str:
    """Return in one line what each device takes and whether that fits the card.

    `share` is that of the tokens which are trained.
    """
    chosen = with_policy(method, settings, card.memory, share)
    return _verdict(memory_use(method, chosen, share), card).strip()


def _verdict(use: Use, card: Card) -> str:
    room = usable(card.memory)
    verdict = "fits" if use.device_total <= room else "does not fit"
    return (
        f"{'each device':>16} {use.device_total / GB:9.2f} GB: {verdict} {card.name}, where "
        f"{room / GB:.1f} of {card.memory / GB:.0f} GB are counted on"
    )


def _time(config: Config, method: Method, settings: Settings, card: Card, data: Dataset) -> str:
    rate = tokens_a_second(method, settings, card, data.trained_share, data.mean_length)
    rate *= settings.devices
    said = (
        f"about {rate:,.0f} tokens a second on {settings.devices} x {card.name}, by a roofline: "
        "products at 80% of the data sheet's rate, attention at 25%, the rest at the memory's "
        "bandwidth, nothing for launches and communication"
    )
    if data.conversations is None:
        return said + "; the dataset is not built: add --conversations for steps and hours"
    steps = _steps(config, data.conversations, data.mean_length)
    hours = steps * config.training.batch_size * data.mean_length / rate / 3600
    return (
        f"{said}\n{steps:,} steps, at best {hours:.2f} hours of training at that rate: "
        f"{data.conversations:,} conversations of {data.mean_length:,.0f} tokens{data.source}"
    )


def _steps(config: Config, conversations: int, mean_length: float) -> int:
    """Return about how many steps a run takes; `run_length` counts those of a built dataset."""
    training = config.training
    limits = [training.max_steps] if training.max_steps is not None else []
    if training.epochs is not None:
        limits.append(training.epochs * math.ceil(conversations / training.batch_size))
    if training.max_tokens is not None:
        limits.append(round(training.max_tokens / (training.batch_size * mean_length)))
    return min(limits)


def stages_table(method: Method, settings: Settings, card: Card, data: Dataset) -> str:
    """Return the bytes by kind on each device and of the host, for every stage of ZeRO."""
    lines: list[str] = []
    for stage in range(4):
        chosen = with_policy(
            method, replace(settings, stage=stage), card.memory, data.trained_share
        )
        use = memory_use(method, chosen, data.trained_share)
        if not lines:
            kinds = "".join(f"{kind:>15}" for kind in use.device)
            lines = [f"GB of a rank  {kinds}{'device':>10}{'host':>9}"]
        sizes = "".join(f"{size / GB:15.2f}" for size in use.device.values())
        host = sum(use.host.values())
        total = f"{use.device_total / GB:10.2f}{host / GB:9.2f}"
        mark = "  this one" if stage == settings.stage else ""
        lines.append(f"ZeRO {stage}        {sizes}{total}{mark}")
    return "\n".join(lines)


def cards_table(method: Method, settings: Settings, data: Dataset) -> str:
    """Return what of the settings has to change on each card, by how many of them share."""
    counts = COUNTS if settings.stage is not None else (1,)
    lines = []
    for card in CARDS:
        rows = [
            (count, _needed(method, replace(settings, devices=count), card, data))
            for count in counts
        ]
        name = f"{card.memory // GB:>4} GB {card.name:9}"
        last = None
        for count, needed in rows:
            if needed != last:
                lines.append(f"{name} x {count:<3} {needed}")
            last = needed
    title = "what fits, from how many cards on, and what has to change"
    return "\n".join([f"{title}{_by_auto(settings, ' the checkpointing')}:", *lines])


def _by_auto(settings: Settings, what: str = " it") -> str:
    """Return who chooses the checkpointing, where no setting does."""
    return f" (auto chooses{what})" if settings.policy == "auto" else ""


def _needed(method: Method, settings: Settings, card: Card, data: Dataset) -> str:
    asked = possible = Choice(method, settings)
    if method.quantization == "fp8" and not has_fp8(card.capability):
        possible = Choice(replace(method, quantization="nf4_double"), settings)
    nearest = nearest_fitting(possible, card.memory, data.trained_share, data.longest)
    if nearest is None:
        return "does not fit"
    policy = f", checkpointing {nearest.settings.policy}" if settings.policy == "auto" else ""
    changes = flags_between(asked, nearest)
    return f"fits{policy}" + (f": {changes}" if changes else "")
