"""Choose the prompts of the evaluation during training: few, held out, fixed by the seed."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest
from typing import Protocol

import numpy as np

from chat.conversation import Conversation
from chat.formats.format import ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import check_special_tokens, encode_prompt
from chat.tokenizers.tokenizer import Tokenizer
from data.conversations import fraction, read_conversations
from data.tokenized import TokenizedDataset
from evaluation.during_training import Limits, Sample
from evaluation.figures import BALANCED, MEANINGS, headline
from evaluation.items import Item, turn_items
from evaluation.measurable import counted, wanted_reply
from model.config import ModelConfig
from weights.directory import resolve_directory
from weights.tokenizer_file import check_tokenizer

OFF = "--validation.generated=null --validation.best_metric=loss"


class GeneratedSettings(Protocol):
    """The section validation.generated of a run; training/config.py says what each means."""

    @property
    def prompts(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def conversations_file(self) -> str | None: ...
    @property
    def max_new_tokens(self) -> int: ...
    @property
    def batch_size(self) -> int: ...


class ValidationSettings(Protocol):
    """The section validation of a run."""

    @property
    def best_metric(self) -> str: ...
    @property
    def generated(self) -> GeneratedSettings | None: ...


def open_sample(
    validating: ValidationSettings,
    seed: int,
    checkpoint_dir: str,
    train: TokenizedDataset,
    validation: TokenizedDataset,
) -> Sample | None:
    """Return the sample of a run's settings, None where they have no section for it.

    ValueError where replies cannot be generated or scored, or best_metric cannot be computed.
    """
    if validating.generated is None:
        return None
    settings = validating.generated
    format, tokenizer = _language(checkpoint_dir, validation)
    source = settings.conversations_file or f"{validation.directory} (validation)"
    items = choose_items(settings, seed, train, validation)
    leading = _measurable(items, validating.best_metric, source)
    prompts = [encode_prompt(item.conversation, format, tokenizer) for item in items]
    most = max(train.longest, validation.longest)
    for item, prompt in zip(items, prompts, strict=True):
        if len(prompt) > most:
            raise ValueError(
                f"{source}: {item.id} is a prompt of {len(prompt):,} tokens, and the longest "
                f"conversation of the dataset has {most:,}; leave it out of the file"
            )
    limits = Limits(settings.seconds, settings.max_new_tokens, settings.batch_size)
    warning = ""
    if leading != validating.best_metric:
        drawn = f"of the {len(items)} prompts drawn from {source}"
        warning = (
            f"validation.best_metric is {BALANCED!r}, and none {drawn} wants a text; best/ follows "
            f"{leading}, raise validation.generated.prompts or name another "
            "validation.generated.conversations_file for both"
        )
    return Sample(items, prompts, tokenizer, format, limits, warning)


def choose_items(
    settings: GeneratedSettings, seed: int, train: TokenizedDataset, validation: TokenizedDataset
) -> list[Item]:
    """Draw the turns to reply to, the same ones for the same seed.

    No conversation gives a second turn before all have given one.
    """
    conversations = (
        _shuffled(validation, seed)
        if settings.conversations_file is None
        else _drawn(settings.conversations_file, settings.prompts, seed, train)
    )
    turns = []
    for conversation in conversations:
        items = sorted(turn_items(conversation), key=lambda item: fraction(f"{seed}/{item.id}"))
        turns += [items] * bool(items)
        if len(turns) == settings.prompts:
            break
    spread = chain.from_iterable(zip_longest(*turns))
    return list(islice((item for item in spread if item is not None), settings.prompts))


def _shuffled(validation: TokenizedDataset, seed: int) -> Iterator[Conversation]:
    """Yield the conversations of the validation split in an order that the seed decides.

    Of a pair it is the chosen one.
    """
    size = validation.group_size
    for group in np.random.default_rng(seed).permutation(len(validation) // size):
        origin = validation.origin(int(group) * size)
        if origin.conversation is None:
            raise ValueError(
                f"{validation.directory} holds the tokens of its validation conversations alone, "
                "and replies are scored by their tools and calls; rebuild it with "
                "scripts/build_dataset.py, name a file with "
                f"--validation.generated.conversations_file, or turn it off with {OFF}"
            )
        found = Conversation.from_record(origin.conversation)
        yield replace(found, id=origin.id, source=origin.source, sha256=origin.sha256)


def _drawn(file: str, most: int, seed: int, train: TokenizedDataset) -> Sequence[Conversation]:
    """Draw `most` conversations of a file that the run does not train on."""
    trained = {origin.sha256 for origin in train.origins()}
    asking = (
        conversation
        for conversation in read_conversations(file)
        if conversation.sha256 not in trained and any(True for _ in turn_items(conversation))
    )
    drawn = heapq.nsmallest(
        most, asking, key=lambda conversation: fraction(f"{seed}/{conversation.id}")
    )
    if not drawn:
        raise ValueError(
            f"{file} has no assistant's turn that {train.directory} does not train on; name "
            "another file, or none to take the validation split"
        )
    return drawn


def _language(checkpoint_dir: str, dataset: TokenizedDataset) -> tuple[ChatFormat, Tokenizer]:
    """Return the chat format of a dataset and the model's tokenizer, which can write it."""
    directory = resolve_directory(checkpoint_dir)
    try:
        format = find_format(dataset.chat_format)
        tokenizer = format.load_tokenizer(directory)
        check_tokenizer(tokenizer.path, ModelConfig.read(directory).vocab_size)
        check_special_tokens(format, tokenizer)
    except ValueError as error:
        raise ValueError(
            f"no replies can be generated to score: {error}; or turn them off with {OFF}"
        ) from error
    return format, tokenizer


def _measurable(items: Sequence[Item], best_metric: str, source: str) -> str:
    """Return the figure to select the best checkpoint by: `best_metric` where it can be computed.

    For `balanced` it is that of the only side where the items have one. ValueError where no item
    wants a call, or none counts for the figure.
    """
    right = [item.judge(wanted_reply(item)) for item in items]
    drawn = f"of the {len(items)} prompts drawn from {source}"
    if not any(verdict.should_call for verdict in right):
        raise ValueError(
            f"none {drawn} wants a tool call, and calls are what is scored; raise "
            "validation.generated.prompts, name another validation.generated.conversations_file, "
            f"or turn it off with {OFF}"
        )
    there = counted(right)
    if best_metric == BALANCED:
        return headline(there)
    if best_metric in MEANINGS and best_metric not in there:
        raise ValueError(
            f"validation.best_metric is {best_metric!r} ({MEANINGS[best_metric]}), and none "
            f"{drawn} counts for it; raise validation.generated.prompts, or follow another figure"
        )
    return best_metric
