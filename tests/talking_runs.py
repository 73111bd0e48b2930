"""A base that knows two texts by heart and calls for one city, and data of other cities' calls.

Trained on those it forgets the texts, which are the larger part of the validation loss: the loss
rises while more and more calls are right.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from small_datasets import write_dataset
from speaking_model import write_speaking_model
from tiny_runs import settings_over

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS
from chat.formats.rendering import render, tokenize
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from data.split_files import Encoding, Origin, Sample

if TYPE_CHECKING:
    from training.config import Config

# Its prompts are short.
FORMAT = "llama3_short"
WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CITIES = ("Lyon", "Oslo", "Rome")
TEXTS = {
    "Who are you?": "I am a small model with two layers and I know very little of the world, but "
    "what I know I say again and again, word by word, as often as anybody asks me for it.",
    "What is rain?": "Rain is water that falls from clouds in drops, as you can see from any "
    "window when the sky is grey and the streets are full of people with umbrellas.",
}


def told(question: str, text: str) -> Conversation:
    messages = Message("user", question), Message("assistant", text)
    return Conversation(messages, (WEATHER,), id=question)


def called(city: str, *before: Message) -> Conversation:
    question, call = Message("user", f"Rain in {city}?"), ToolCall("weather", {"city": city})
    messages = (*before, question, Message("assistant", "", (call,)))
    return Conversation(messages, (WEATHER,), id=f"{len(before)} {city}")


KNOWN = [told(question, text) for question, text in TEXTS.items()]
HELD_OUT = [*KNOWN, *(called(city) for city in CITIES)]
# The same questions after other words, so that no conversation is in both splits.
TRAINED = [
    called(city, Message("system", system)) for city in CITIES for system in ("Call.", "Be quick.")
]


def write_talking_base(path: Path) -> Path:
    """Write the base as a native model directory; return `path`."""
    return write_speaking_model(path, [*KNOWN, called("Nice")], chat_format=FORMAT)


def write_talking_dataset(
    path: Path, base: Path, held_out: list[Conversation], trained: list[Conversation]
) -> Path:
    """Write a dataset of these splits, as scripts/build_dataset.py would; return `path`."""
    tokenizer = load_tokenizer(base)
    splits = {"validation": held_out, "train": trained}
    encoding = Encoding(
        FORMAT, tokenizer.sha256, tokenizer.vocab_size, dict(tokenizer.special_tokens)
    )
    write_dataset(path, _samples(splits, tokenizer), encoding)
    return path


def talking_in(workspace: Path, base: Path) -> Callable[..., "Config"]:
    """Return a function from `section__key=value` to settings over the base and its data."""
    dataset = write_talking_dataset(workspace / "talk", base, HELD_OUT, TRAINED)
    make = settings_over(base, dataset, workspace)

    def talking(**changes: object) -> "Config":
        given = {
            "lora": {"rank": 8, "alpha": 16},
            "training": {"epochs": 30, "batch_size": 6, "micro_batch_tokens": 4096},
            "schedule": {"learning_rate": 1.5e-2, "kind": "constant", "warmup_steps": 0},
            "validation": {
                "every": 5,
                "best_metric": "exact_match",
                "generated": {"prompts": 5, "max_new_tokens": 60, "batch_size": 2},
            },
            "checkpoint__every": 5,
            "checkpoint__keep_last": 10,
        }
        return make(**{**given, **changes})

    return talking


def _samples(splits: dict[str, list[Conversation]], tokenizer: Tokenizer) -> Iterator[Sample]:
    for split, conversations in splits.items():
        for conversation in conversations:
            tokens = tokenize(render(conversation, FORMATS[FORMAT]), tokenizer)
            record = conversation.to_record()
            kept = {"tools": record["tools"], "messages": record["messages"]}
            name = conversation.id
            origin = Origin(name, "", name, kept if split == "validation" else None)
            yield Sample(tokens.ids, tokens.trained, split, origin)
