"""The loss of a model on a plain text, window by window.

A window begins with the token that begins a text in pretraining, and sees nothing of the windows
before it. Shapes: T tokens of a window, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F

from chat.formats.rendering import special_id
from console.progress import with_progress
from data.plain_text import Text, start_token
from evaluation.plain_text import TextScore, Window
from inference.chat_model import ChatModel
from model.attention import Documents
from model.transformer import Transformer

# How many rows of logits are held in float32 at once.
_ROWS = 512


def score_text(chat_model: ChatModel, text: Text, most: int | None = None) -> TextScore:
    """Return a model's losses on a text; ValueError for a window above `most` tokens."""
    start = start_token(chat_model.format, chat_model.tokenizer)
    windows = with_progress(
        text_losses(chat_model, text, start, most), len(text.windows), "Reading plain text"
    )
    return TextScore(text.file, text.sha256, start, tuple(windows))


def text_losses(
    chat_model: ChatModel, text: Text, start: str, most: int | None = None
) -> Iterator[Window]:
    """Yield the windows with their losses, each read after the token `start`."""
    begin = special_id(start, chat_model.tokenizer)
    model = chat_model.model
    was_training = model.training
    model.eval()
    try:
        for index, part in enumerate(text.windows):
            tokens = [begin, *chat_model.tokenizer.encode(part)]
            if most is not None and len(tokens) > most:
                raise ValueError(
                    f"{text.file}: window {index + 1} has {len(tokens):,} tokens, and "
                    f"--max-seq-len is {most:,}; lower --text-window or raise --max-seq-len"
                )
            loss = _loss(model, tokens)
            if not math.isfinite(loss):
                raise ValueError(f"{text.file}: the loss of window {index + 1} is {loss}")
            yield Window(len(part.encode()), len(tokens) - 1, loss)
    finally:
        model.train(was_training)


@torch.inference_mode()
def _loss(model: Transformer, tokens: Sequence[int]) -> float:
    """Return the summed loss of all tokens but the first, in nats."""
    device = model.tok_embeddings.weight.device
    ids = torch.tensor(tokens, device=device)
    inputs, targets = ids[:-1], ids[1:]
    positions = torch.arange(len(inputs), device=device)
    logits = model(inputs, positions, Documents((0, len(inputs)), device))
    parts = zip(logits.split(_ROWS), targets.split(_ROWS), strict=True)
    sums = [
        F.cross_entropy(rows.float(), goals, reduction="none").double() for rows, goals in parts
    ]
    return float(torch.cat(sums).sum())
