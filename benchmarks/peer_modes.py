"""How Transformers is used: the batches it gets and what loss it is asked for.

`padded` is the usual loop: four conversations padded to the longest, an attention mask, labels of
-100 where nothing is trained, the model's own loss. `packed` lays conversations end to end with
positions that begin anew in each, which Transformers turns into a mask over all pairs of tokens;
the loss is the model's own. `best` is what a careful user can reach by hand: logits of trained
positions only, on the CPU of one conversation at a time, so nothing is padded, on CUDA of packs.

Every function yields the shares of a step's mean loss, whose gradients are to be added up.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from data.batches import Batch, Batches, make_batch, pack

PADDED_BATCH = 4
# The mask of a pack has the square of its tokens, so packs are kept short.
PACK_TOKENS = 2048
IGNORED = -100

Losses = Callable[[Any, Batches, Sequence[int], torch.device], Iterator[Tensor]]


def padded(
    model: Any, batches: Batches, indices: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Yield each padded batch's share, as Transformers' Trainer takes it."""
    groups = [indices[i : i + PADDED_BATCH] for i in range(0, len(indices), PADDED_BATCH)]
    tensors = [_pad(batches, group) for group in groups]
    count = torch.tensor(sum(int((labels != IGNORED).sum()) for *_, labels in tensors))
    count = count.to(device)
    for group in tensors:
        tokens, mask, labels = (tensor.to(device) for tensor in group)
        yield model(
            input_ids=tokens, attention_mask=mask, labels=labels, num_items_in_batch=count
        ).loss


def packed(
    model: Any, batches: Batches, indices: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Yield each pack's share, as Transformers' Trainer takes it from a padding-free collator."""
    packs = [make_batch(batches.dataset, pack) for pack in _packs(batches, indices)]
    count = torch.tensor(sum(len(batch.targets) for batch in packs)).to(device)
    for batch in packs:
        labels = torch.full_like(batch.tokens, IGNORED)
        labels[batch.rows + 1] = batch.targets
        yield model(
            **_inputs(batch, device), labels=labels[None].to(device), num_items_in_batch=count
        ).loss


def best(
    model: Any, batches: Batches, indices: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Yield the share of each conversation, or on CUDA of each pack, from trained logits alone."""
    alone = [[index] for index in indices]
    groups = _packs(batches, indices) if device.type == "cuda" else alone
    made = [make_batch(batches.dataset, group) for group in groups]
    trained = sum(len(batch.targets) for batch in made)
    for batch in made:
        rows, targets = batch.rows.to(device), batch.targets.to(device)
        logits = model(**_inputs(batch, device), logits_to_keep=rows).logits[0]
        yield F.cross_entropy(logits.float(), targets, reduction="sum") / trained


MODES: dict[str, Losses] = {"padded": padded, "packed": packed, "best": best}


def _packs(batches: Batches, indices: Sequence[int]) -> list[list[int]]:
    """Return the conversations of each pack, filled as this project fills its own."""
    lengths = {index: int(batches.dataset.lengths[index]) for index in indices}
    longest_first = sorted(indices, key=lambda index: -lengths[index])
    return pack(longest_first, lengths, max(PACK_TOKENS, *lengths.values()))


def _inputs(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    tokens, positions = batch.tokens[None].to(device), batch.positions[None].to(device)
    return {"input_ids": tokens, "position_ids": positions}


def _pad(batches: Batches, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, attention mask and labels [conversations, longest]."""
    dataset = batches.dataset
    longest = max(int(dataset.lengths[index]) for index in indices)
    tokens = torch.zeros(len(indices), longest, dtype=torch.int64)
    mask, labels = torch.zeros_like(tokens), torch.full_like(tokens, IGNORED)
    for row, index in enumerate(indices):
        length = int(dataset.lengths[index])
        own = torch.as_tensor(dataset.tokens(index))
        tokens[row, :length], mask[row, :length] = own, 1
        labels[row, :length] = own.where(torch.as_tensor(dataset.trained(index)), IGNORED)
    return tokens, mask, labels
