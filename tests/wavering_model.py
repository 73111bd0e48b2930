"""A base that knows right and wrong replies to the same prompts, and data to ask it with.

Where a call is wanted it calls or talks, and where a text is wanted it talks or calls, each about
half of the time: so there is something to be learnt from rewards.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from native_directories import write_params
from safetensors.torch import save_file
from speaking_model import TOKENIZER
from talking_runs import FORMAT, WEATHER, write_talking_dataset
from tiny_models import TINY, random_model
from tiny_runs import settings_over

from chat.conversation import Conversation, Message, ToolCall
from chat.formats.known import FORMATS
from chat.formats.rendering import render, tokenize
from chat.tokenizers.tokenizer import load_tokenizer
from data.conversations import write_conversations
from model.attention import Documents
from model.config import ModelConfig
from weights.directory import WEIGHTS_FILE
from weights.tokenizer_file import TOKENIZER_FILE

if TYPE_CHECKING:
    from training.config import Config

CITIES = ("Lyon", "Oslo")
SHRUG = "I do not know that."
GREETING = "Hello, I am fine."


def asked(question: str, *said: Message) -> Conversation:
    known = Message("user", question)
    return Conversation((known, *said), (WEATHER,), id=question, sha256=question)


def call(city: str) -> Message:
    return Message("assistant", "", (ToolCall("weather", {"city": city}),))


# What is right, in the train split.
RIGHT = [
    *(asked(f"Rain in {city}?", call(city)) for city in CITIES),
    asked("How are you?", Message("assistant", GREETING)),
]
WRONG = [
    *(asked(f"Rain in {city}?", Message("assistant", SHRUG)) for city in CITIES),
    asked("How are you?", call("Oslo")),
]
HELD_OUT = [asked("Rain in Nice?", call("Nice")), asked("Yes?", Message("assistant", GREETING))]


def write_wavering_base(path: Path, steps: int = 45) -> Path:
    """Write the base as a native model directory; return `path`."""
    tokenizer = load_tokenizer(TOKENIZER)
    model = random_model(ModelConfig(**{**TINY.__dict__, "vocab_size": tokenizer.vocab_size}))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    documents = [
        tokenize(render(conversation, FORMATS[FORMAT]), tokenizer)
        for conversation in (*RIGHT, *WRONG)
    ]
    ids = torch.tensor([id for document in documents for id in document.ids])
    trained = torch.tensor([learnt for document in documents for learnt in document.trained])
    lengths = torch.tensor([0, *(len(document.ids) for document in documents)])
    positions = torch.cat([torch.arange(int(length)) for length in lengths[1:]])
    rows = trained.nonzero()[:, 0] - 1
    offsets = lengths.cumsum(0).tolist()
    for _ in range(steps):
        logits = model(ids, positions, Documents(offsets), output_positions=rows)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, ids[rows + 1]).backward()
        optimizer.step()
    path.mkdir(parents=True)
    save_file({name: p.detach() for name, p in model.named_parameters()}, path / WEIGHTS_FILE)
    write_params(path, model.config)
    shutil.copyfile(TOKENIZER, path / TOKENIZER_FILE)
    return path


def rewarded_in(workspace: Path, base: Path) -> Callable[..., "Config"]:
    """Return a function from `section__key=value` to settings of a run with rewards."""
    splits = [[replace(c, id=c.sha256) for c in part] for part in (HELD_OUT, RIGHT)]
    dataset = write_talking_dataset(workspace / "talk", base, *splits)
    write_conversations(workspace / "prompts.jsonl", [*RIGHT, *HELD_OUT])
    make = settings_over(base, dataset, workspace)

    def rewarded(**changes: object) -> "Config":
        reward = {
            "prompts_file": str(workspace / "prompts.jsonl"),
            "group_size": 6,
            "max_new_tokens": 40,
        }
        given: dict[str, object] = {
            "lora": {"rank": 8, "alpha": 16},
            "training": {"epochs": 4, "batch_size": 3, "micro_batch_tokens": 512},
            "schedule": {"learning_rate": 5e-3, "kind": "constant", "warmup_steps": 0},
            "validation": {"every": None},
            "checkpoint__every": 2,
            "checkpoint__keep_last": 10,
            "reward": reward,
        }
        return make(**{**given, **changes})

    return rewarded
