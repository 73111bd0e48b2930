"""What both entry scripts do before and around training, so that each fits on a screen."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from console.command import shell_quote
from data.batches import Batches, check_lengths, make_batch, whole_split
from data.soundness import (
    check_pairs,
    check_same_tokenizer,
    check_soundness,
    check_supervised,
)
from data.tokenized import TokenizedDataset
from model.config import ModelConfig
from model.kernels.choice import find_kernels
from model.transformer import Transformer
from training.backends import Backend
from training.beginning import (
    check_same_prompts,
    check_writable_directory,
    reply_interval,
    start_warnings,
)
from training.best import Generated
from training.checkpoint import Checkpoints
from training.config import Config, read_config
from training.feed import Feed, Steps
from training.gate import open_gate
from training.length import run_length
from training.loop import Run, fit
from training.made_with import note_made_with
from training.objective import Objective, Supervised
from training.preference import Preference
from training.preparing import make_trainable
from training.progress import Progress
from training.reference import reference_values
from training.report import NullReport, Report, no_warning, warn
from training.reward import Reward
from training.rollouts import RolloutFeed, Rollouts
from training.schedule import find_warmup_steps, settle_schedule
from training.start import (
    lock_directories,
    open_start_adapter,
    start_directories,
    start_record,
)
from training.threads import take_threads
from weights.building import Place, quantize_on_arrival
from weights.chat_record import read_chat_record
from weights.directory import load_model, resolve_directory
from weights.nf4.directory import check_quantization
from weights.tokenizer_file import find_tokenizer


def find_device(name: str) -> torch.device:
    """Return the device a configuration names; `auto` is CUDA where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "model.device is 'cuda', and torch sees no CUDA device; use 'auto' or 'cpu'"
        )
    chosen = "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(chosen)


def check_no_deepspeed_settings(config: Config, file: str) -> None:
    """Raise ValueError for settings that one device alone would leave without effect."""
    if config.deepspeed_config is not None:
        raise ValueError(
            f"{file} has a deepspeed_config, and finetune.py trains on one device without "
            "DeepSpeed; run: deepspeed --num_gpus=8 ds_finetune.py --config-file "
            f"{shell_quote(file)} (or add --deepspeed_config=null)"
        )


class Splits(NamedTuple):
    """The two halves of a dataset."""

    train: TokenizedDataset
    validation: TokenizedDataset

    @property
    def fingerprints(self) -> list[str]:
        """The sha256 of each split's contents."""
        return [self.train.fingerprint, self.validation.fingerprint]

    @property
    def chat_format(self) -> str:
        """The name of the chat format that both are written in."""
        return self.train.chat_format


def open_splits(config: Config) -> Splits:
    """Open the train and validation splits; ValueError for what this model must not train on."""
    base = resolve_directory(config.model.checkpoint_dir)
    check_quantization(base, config.model.quantization)
    train, validation = (
        TokenizedDataset.open(Path(config.data.dataset_dir).expanduser(), split)
        for split in ("train", "validation")
    )
    (check_pairs if config.preference else check_supervised)(train)
    check_same_tokenizer(train, find_tokenizer(base))
    for directory in (base, *start_directories(config)):
        _check_same_format(config, directory, base, train.chat_format)
    rows = ModelConfig.read(base).vocab_size
    if train.vocab_size > rows:
        raise ValueError(
            f"{config.data.dataset_dir} has tokens up to {train.vocab_size - 1:,}, and the model's "
            f"embedding {rows:,} rows; take weights and tokenizer from the same model"
        )
    if train.fingerprint == validation.fingerprint:
        raise ValueError(
            f"{config.data.dataset_dir}: train and validation hold the same conversations; "
            "rebuild the dataset with scripts/build_dataset.py"
        )
    for split in (train, validation):
        check_lengths(split, config.training.micro_batch_tokens, split.group_size)
        check_soundness(split)
    return Splits(train, validation)


def _check_same_format(config: Config, directory: Path, base: Path, chat_format: str) -> None:
    """Raise ValueError where a run would start from weights of another chat format."""
    record = read_chat_record(directory)
    if record is None or record.name in (None, chat_format) or config.data.chat_format_anyway:
        return
    raise ValueError(
        f"{config.data.dataset_dir} is in the chat format {chat_format}, and {record.file} says "
        f"that the model was trained in {record.name}; rebuild the dataset: python "
        f"scripts/build_dataset.py --source-file F --tokenizer-file {shell_quote(base)} --save-dir "
        f"{shell_quote(config.data.dataset_dir)}, or add --data.chat_format_anyway=true"
    )


def build_model(
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
    place: Place | None = None,
    policy: str | None = None,
    resume: bool = False,
) -> Transformer:
    """Load the base strictly, then wrap the adapter around it; the rest is frozen.

    `place` is `load_model`'s: where ranks share the weights, it keeps this one's part; None copies,
    and quantises what `model.quantization` says. `policy` is what `fitting_policy` returned; None
    takes the configuration's, and none for `auto`. A run that is resumed takes its adapter from its
    checkpoint, others from `model.adapter_dir` if it is set.
    """
    kernels = find_kernels(config.training.kernels, device)
    adapter = None if resume else open_start_adapter(config)
    if place is None and config.model.quantization:
        place = quantize_on_arrival(device, dtype, config.model.quantization)
    model = load_model(config.model.checkpoint_dir, device, dtype, place)
    chosen = policy or config.training.activation_checkpointing
    state = adapter.state if adapter else None
    return make_trainable(model, config.lora, kernels, chosen, state)


def open_checkpoints(
    config: Config, chat_format: str, resume: bool, new_schedule: bool = False
) -> Checkpoints:
    """Return the run's checkpoint directory; a new run refuses one that already holds a run.

    `chat_format` is the dataset's, which every checkpoint remembers. `new_schedule` resumes with
    another schedule than the run had.
    """
    checkpoints = Checkpoints(
        config.run_dir,
        resolve_directory(config.model.checkpoint_dir),
        config.model_dump(mode="json"),
        config.lora,
        config.checkpoint.keep_last,
        chat_format,
        lambda file: read_config(file).model_dump(mode="json"),
        new_schedule,
    )
    check_writable_directory(config.run_dir)
    if not resume:
        checkpoints.check_new_run()
    return checkpoints


def make_batches(
    config: Config,
    splits: Splits,
    rank: int = 0,
    world_size: int = 1,
    values: Mapping[str, np.ndarray] | None = None,
) -> Batches:
    """Return what one rank trains on in every step; `values` are as in `make_batch`."""
    training = config.training
    return Batches(
        splits.train,
        training.batch_size,
        training.micro_batch_tokens,
        config.seed,
        rank,
        world_size,
        splits.train.group_size,
        values,
    )


def check_length(config: Config, splits: Splits, rollouts: Rollouts | None = None) -> None:
    """Raise ValueError for a new run that ends before its first step or its warm-up does."""
    steps = run_length(config.training, rollouts or make_batches(config, splits))
    find_warmup_steps(config.schedule, steps)


def objective_of(config: Config) -> Objective:
    """Return what a run trains."""
    if config.preference:
        return Preference(config.preference)
    return Reward.of(config.reward, config.model.dtype) if config.reward else Supervised()


def train(
    config: Config,
    splits: Splits,
    checkpoints: Checkpoints,
    backend: Backend,
    resume: bool,
    generated: Generated | None = None,
    rollouts: Rollouts | None = None,
) -> None:
    """Run training to its end, from the start or from the newest checkpoint.

    `generated` lets the model reply to held-out prompts when it is validated; `rollouts` draw what
    a run with rewards trains on.
    """
    batches = make_batches(config, splits, backend.rank, backend.world_size)
    epochs = rollouts or batches
    total_steps = run_length(config.training, epochs)
    held_out = whole_split(
        splits.validation,
        config.training.micro_batch_tokens,
        backend.rank,
        backend.world_size,
        config.validation.max_conversations,
        splits.validation.group_size,
    )
    gate = open_gate(config, splits.chat_format, generated, backend.rank, backend.world_size)
    checkpoints.check_shared_directory(backend)
    with ExitStack() as alone:
        backend.on_first_rank(lambda: lock_directories(config, alone))
        first, resumed = backend.rank == 0, None
        say = warn if first else no_warning
        if resume:
            progress = checkpoints.resume(backend, splits.fingerprints, say)
            resumed = checkpoints.step_directory(progress)
        else:
            started_from = backend.on_first_rank(lambda: start_record(config))
            progress = Progress(data=splits.fingerprints, started_from=started_from)
        note_made_with(progress, backend)
        rate = settle_schedule(progress, config, epochs, resumed, say, checkpoints.new_schedule)
        values = reference_values(config, splits._asdict(), backend, resume)
        if values["train"]:
            batches = make_batches(
                config, splits, backend.rank, backend.world_size, values["train"]
            )
        make_held_out = partial(make_batch, splits.validation, values=values["validation"])
        feed: Steps = Feed(batches, backend.device, splits.train.id_of)
        if rollouts:
            rollouts.begin(backend, resume)
            feed = RolloutFeed(rollouts, backend, config.training.micro_batch_tokens)
        if generated:
            check_same_prompts(progress, generated.fingerprint)
        if backend.device.type == "cpu":
            take_threads(progress, backend)
        for line in start_warnings(config, backend.device, generated, resume, total_steps):
            say(line)
        report = Report(config, backend, total_steps, progress.step) if first else NullReport()
        run = Run(
            config=config,
            feed=feed,
            validation=lambda: map(make_held_out, held_out),
            rate=rate,
            total_steps=total_steps,
            checkpoints=checkpoints,
            report=report,
            objective=objective_of(config),
            generated=generated,
            generated_every=reply_interval(config),
            gate=gate,
            skips=config.training.on_nonfinite == "skip",
        )
        with report:
            fit(run, backend, progress)
