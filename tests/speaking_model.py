"""A tiny model that has learned a few conversations by heart, and the files it comes with."""

import shutil
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from native_directories import write_params
from safetensors.torch import save_file
from tiny_models import TINY, random_model

from chat.conversation import Conversation
from chat.formats.known import FORMATS
from chat.formats.rendering import Tokens, render, tokenize
from chat.tokenizers.tokenizer import load_tokenizer
from model.attention import Documents
from model.config import ModelConfig
from model.transformer import Transformer
from weights.directory import WEIGHTS_FILE
from weights.tokenizer_file import TOKENIZER_FILE

# Two thousand tokens, trained on the sample in demo/: a few conversations are learned in seconds.
TOKENIZER = Path(__file__).parent / TOKENIZER_FILE


def learn_by_heart(
    conversations: Sequence[Conversation], steps: int = 60, chat_format: str = "llama3"
) -> Transformer:
    """Return a tiny model that can recite whole conversations."""
    vocab_size = load_tokenizer(TOKENIZER).vocab_size
    model = random_model(ModelConfig(**{**TINY.__dict__, "vocab_size": vocab_size}))
    teach(model, conversations, steps, chat_format)
    return model


def teach(
    model: Transformer,
    conversations: Sequence[Conversation],
    steps: int = 60,
    chat_format: str = "llama3",
) -> None:
    """Train what can be trained of a model until it can recite whole conversations."""
    tokenizer = load_tokenizer(TOKENIZER)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    rendered = [render(conversation, FORMATS[chat_format]) for conversation in conversations]
    documents = [tokenize(segments, tokenizer) for segments in rendered]
    for _ in range(steps):
        loss = _loss(model, documents)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05, "the model did not learn the conversations"


def write_speaking_model(
    path: Path,
    conversations: Sequence[Conversation],
    steps: int = 60,
    chat_format: str = "llama3",
) -> Path:
    """Write such a model as a native directory; return `path`."""
    path.mkdir(parents=True)
    model = learn_by_heart(conversations, steps, chat_format)
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}
    save_file(state, path / WEIGHTS_FILE)
    write_params(path, model.config)
    shutil.copyfile(TOKENIZER, path / TOKENIZER_FILE)
    return path


def _loss(model: Transformer, documents: Sequence[Tokens]) -> torch.Tensor:
    """Return the mean of the documents' losses, computed in one pass over all of them."""
    lengths = [len(document.ids) for document in documents]
    starts = [0, *accumulate(lengths)]
    rows = [torch.tensor(document.trained[1:]).nonzero()[:, 0] for document in documents]
    outputs = torch.cat([row + start for row, start in zip(rows, starts[:-1], strict=True)])
    ids = torch.cat([torch.tensor(document.ids) for document in documents])
    positions = torch.cat([torch.arange(length) for length in lengths])
    logits = model(ids, positions, Documents(starts), output_positions=outputs)
    losses = torch.nn.functional.cross_entropy(logits, ids[outputs + 1], reduction="none")
    return torch.stack([part.mean() for part in losses.split([len(row) for row in rows])]).mean()
