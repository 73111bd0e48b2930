"""Keys and values of the tokens seen so far, so that generation computes each token once.

Shapes: T tokens of a forward pass, N rows, C new tokens of a row, S positions attended to,
H heads, K key/value heads, E head_dim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.upload import upload
from model.attention import Documents, attend
from model.config import ModelConfig
from model.rope import Span

# Masks are as wide as a multiple of this, so that shapes repeat and kernels find them aligned.
MASK_STEP = 64


class KVCache:
    """The context of generation: up to `batch_size` rows, each up to `max_length` positions.

    Announce each forward pass with `plan`, pass the cache as the model's context, and `drop` rows
    that are finished. Memory in bytes: 2 * n_layers * batch_size * max_length * n_kv_heads *
    head_dim * bytes of the dtype (Llama 3 8B in bfloat16: 128 KiB a position).
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int,
        max_length: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shape = (config.n_layers, batch_size, config.n_kv_heads, max_length, config.head_dim)
        # Zeros and not garbage: a masked position still takes part as 0 times its value.
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.window = config.sliding_window
        self.lengths: list[int] = []
        self._pass: Pass | None = None

    @property
    def batch_size(self) -> int:
        """How many rows there is room for."""
        return self.keys.shape[1]

    @property
    def max_length(self) -> int:
        """How many positions a row has room for."""
        return self.keys.shape[3]

    @property
    def spans(self) -> Sequence[Span]:
        """Of each row: its tokens in the planned pass, and all that it has by then."""
        assert self._pass is not None, "plan() comes before the forward pass"
        return self._pass.spans

    def plan(self, counts: Sequence[int], *others: Sequence[int]) -> "Pass":
        """Make room for counts[i] >= 1 more tokens of row i; return the pass over them.

        Counts beyond the present rows start new ones. The tokens of the next forward pass lie
        row after row. `others` are numbers of the caller's that go to the device with the plan.
        Raises ValueError when the rows or the positions do not fit.
        """
        self._check(counts)
        starts = self.lengths + [0] * (len(counts) - len(self.lengths))
        self._pass = _plan_pass(starts, counts, len(self.lengths), self.keys, self.window, others)
        self.lengths = [start + count for start, count in zip(starts, counts, strict=True)]
        return self._pass

    def advance(self) -> list[int]:
        """Make room for one more token of each row, as `plan` does; return their positions."""
        positions = self.lengths
        self._check([1] * len(positions))
        self.lengths = [position + 1 for position in positions]
        return positions

    def plan_singles(self, positions: Tensor, reach: int) -> "KVCache":
        """Plan one token of each of the first rows, at `positions` [N] on the device.

        The rows attend to the first `reach` positions, of which those after their own are masked.
        Nothing depends on the host's numbers, so that the pass can be recorded.
        """
        rows, seen = torch.arange(len(positions), device=positions.device), slice(0, reach)
        self._pass = Pass(
            spans=(),
            rows=rows,
            positions=positions,
            present=len(positions),
            continued=len(positions),
            slots=torch.zeros_like(rows),
            reach=seen,
            mask=mask_of(positions, 1, seen, self.keys, self.window),
            documents=None,
        )
        return self

    def drop(self, finished: Sequence[int]) -> list[int]:
        """Forget rows and close the gaps; return the former index of every row that is left.

        Only as many rows move as gaps open, the last ones into the first gaps.
        """
        left = [row for row in range(len(self.lengths)) if row not in set(finished)]
        order = list(range(len(left)))
        gaps = [row for row in order if row in set(finished)]
        for gap, row in zip(gaps, [row for row in left if row >= len(left)], strict=True):
            order[gap] = row
            used = slice(self.lengths[row])
            for stored in (self.keys, self.values):
                stored[:, gap, :, used] = stored[:, row, :, used]
        self.lengths = [self.lengths[row] for row in order]
        return order

    def copy_rows(self, first: int, sources: Sequence[int]) -> None:
        """Make row `first` + i a copy of row sources[i], the last rows before those they copy.

        A row is its own source or that of later ones: sources[i] is at most `first` + i.
        """
        self.lengths = [*self.lengths[:first], *(self.lengths[source] for source in sources)]
        for row, source in reversed(list(enumerate(sources, first))):
            if row != source:
                used = slice(self.lengths[row])
                for stored in (self.keys, self.values):
                    stored[:, row, :, used] = stored[:, source, :, used]

    def layer(self, index: int) -> "LayerCache":
        """Return the context of layer `index` for the planned forward pass."""
        assert self._pass is not None, "plan() comes before the forward pass"
        return LayerCache(self.keys[index], self.values[index], self._pass)

    def _check(self, counts: Sequence[int]) -> None:
        if not len(self.lengths) <= len(counts) <= self.batch_size or min(counts, default=0) < 1:
            raise ValueError(
                f"a pass over {len(self.lengths)} cached rows was planned with counts "
                f"{list(counts)}; wanted one count of at least 1 for each row, and at most "
                f"{self.batch_size} rows"
            )
        for row, count in enumerate(counts):
            start = self.lengths[row] if row < len(self.lengths) else 0
            if start + count > self.max_length:
                raise ValueError(
                    f"row {row} would hold {start + count} positions, the cache has "
                    f"{self.max_length}; make it with a larger max_length"
                )


@dataclass(frozen=True)
class LayerCache:
    """One layer's keys and values [rows, K, positions, E], and the pass that is under way."""

    keys: Tensor
    values: Tensor
    current: "Pass"

    def attend(self, q: Tensor, k: Tensor, v: Tensor, window: int | None = None) -> Tensor:
        """Store k and v [T, K, E]; attend q [T, H, E] to its own row so far, to [T, H, E]."""
        current = self.current
        self.keys[current.rows, :, current.positions] = k
        self.values[current.rows, :, current.positions] = v
        cut = current.continued
        outputs = []
        if cut:
            single = cut == current.present
            outputs.append((self._attend_singly if single else self._attend_several)(q[:cut]))
        if current.documents is not None:
            outputs.append(attend(q[cut:], k[cut:], v[cut:], current.documents, window))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _attend_singly(self, q: Tensor) -> Tensor:
        """Attend one token of every row, the pass that decoding repeats; q [N, H, E]."""
        # The queries that share a key head become queries of that head: nothing is repeated.
        grouped = q.view(len(q), self.keys.shape[1], -1, q.shape[2])
        return self._attend_grouped(grouped, self.current.mask).reshape(q.shape)

    def _attend_several(self, q: Tensor) -> Tensor:
        """Attend the tokens of rows that held some before, all rows in one call."""
        current, heads, kv_heads = self.current, q.shape[1], self.keys.shape[1]
        assert current.mask is not None, "rows with several tokens need a mask"
        padded = q.new_zeros(current.present, current.mask.shape[2], *q.shape[1:])
        padded[current.rows[: len(q)], current.slots] = q
        grouped = padded.unflatten(2, (kv_heads, -1)).permute(0, 2, 3, 1, 4)
        mask = current.mask.repeat(1, 1, heads // kv_heads, 1)
        output = self._attend_grouped(grouped.flatten(2, 3), mask).view(grouped.shape)
        output = output.permute(0, 3, 1, 2, 4).flatten(2, 3)
        return output[current.rows[: len(q)], current.slots]

    def _attend_grouped(self, q: Tensor, mask: Tensor | None) -> Tensor:
        """Attend the queries of each key head, q [N, K, C, E], to the rows' positions so far."""
        rows, reach = self.current.present, self.current.reach
        keys, values = self.keys[:rows, :, reach], self.values[:rows, :, reach]
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)


@dataclass(frozen=True)
class Pass:
    """Where the tokens of one forward pass belong.

    `spans` are as in `KVCache.spans`. rows and positions [T]: where each token's key and value go.
    The first `continued` tokens are of the `present` rows, which held some before: token t is
    number slots[t] of its row's new ones. They attend to the positions in `reach`, and mask
    [N, 1, C, S] is added to their scores; it is None where all may look at all. `documents` are the
    rows that begin here. `others` are what the caller sent along.
    """

    spans: Sequence[Span]
    rows: Tensor
    positions: Tensor
    present: int
    continued: int
    slots: Tensor
    reach: slice
    mask: Tensor | None
    documents: Documents | None
    others: tuple[Tensor, ...] = ()


def _plan_pass(
    starts: Sequence[int],
    counts: Sequence[int],
    present: int,
    like: Tensor,
    window: int | None,
    others: Sequence[Sequence[int]],
) -> Pass:
    ranges = [range(start, start + count) for start, count in zip(starts, counts, strict=True)]
    new = counts[present:]
    offsets = [0, *accumulate(new)]
    rows, positions, slots, first, begins, *sent = upload(
        like.device,
        [row for row, count in enumerate(counts) for _ in range(count)],
        [position for new_tokens in ranges for position in new_tokens],
        [slot for count in counts[:present] for slot in range(count)],
        starts[:present],
        offsets,
        *others,
    )
    reach, masked = _reach(ranges[:present], like.shape[3], window)
    longest = max(counts[:present], default=0)
    return Pass(
        spans=[(len(new_tokens), new_tokens.stop) for new_tokens in ranges],
        rows=rows,
        positions=positions,
        present=present,
        continued=sum(counts[:present]),
        slots=slots,
        reach=reach,
        mask=mask_of(first, longest, reach, like, window) if masked else None,
        documents=Documents(offsets, like.device, begins.int()) if new else None,
        others=tuple(sent),
    )


def _reach(ranges: Sequence[range], max_length: int, window: int | None) -> tuple[slice, bool]:
    """Return which positions rows attend to whose new tokens have these, and if it takes a mask."""
    longest = max(map(len, ranges), default=0)
    ends = {new_tokens.stop for new_tokens in ranges}
    nearest = min((new_tokens.start for new_tokens in ranges), default=0)
    begin = 0 if window is None else max(0, nearest - window + 1)
    if longest <= 1 and len(ends) <= 1:
        return slice(begin, max(ends, default=0)), False
    end = min(max_length, MASK_STEP * -(-max(ends) // MASK_STEP))
    return slice(MASK_STEP * (begin // MASK_STEP), end), True


def mask_of(first: Tensor, count: int, reach: slice, like: Tensor, window: int | None) -> Tensor:
    """Return what is added to the scores of rows whose new tokens begin at `first` [N].

    Of each row there are at most `count` new tokens: [N, 1, count, S], S positions of `reach`.
    """
    own = first[:, None, None, None] + torch.arange(count, device=like.device)[:, None]
    positions = torch.arange(reach.start, reach.stop, device=like.device)
    hidden = positions > own
    if window is not None:
        hidden |= positions <= own - window
    return like.new_zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
