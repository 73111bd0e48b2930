"""Forward passes over rows of a cache: what the rows have yet to read goes in, logits come out.

A pass sends the device one copy of numbers, and nothing is read back. Passes of fixed shapes can be
recorded: on CUDA the hundreds of kernels of a pass are then started at once (a CUDA graph), where
starting them one by one takes the host longer than the device takes to run them.

Shapes: N rows, V vocabulary, S positions attended to.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any

import torch
from torch import Tensor

from inference.kv_cache import MASK_STEP, KVCache
from inference.upload import bits_to_floats, float_bits, upload_into
from model.config import LongRope
from model.transformer import Transformer


class Passes:
    """Passes of a model over the rows of a cache, each of the shape that its rows have."""

    def __init__(self, model: Transformer, cache: KVCache) -> None:
        self._model, self._cache = model, cache

    def run(self, unread: Sequence[list[int]], draws: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Run the model over each row's unread tokens, which its cache holds then.

        Rows that begin with equal tokens are one row of the pass, and copies afterwards. Returns
        the logits [N, V] after each last token, to be used before the next pass, and the rows'
        draws [N], float64, on the device.
        """
        present = len(self._cache.lengths)
        read, places = _read_once(unread, present)
        counts = [len(tokens) for tokens in read]
        tokens = list(chain.from_iterable(read))
        last = [end - 1 for end in accumulate(counts)]
        planned = self._cache.plan(counts, tokens, last, float_bits(draws), places)
        sent_tokens, ends, bits, sent_places = planned.others
        # Of single tokens all are last.
        wanted = None if len(tokens) == len(counts) else ends
        logits = self._model(sent_tokens, planned.positions, self._cache, output_positions=wanted)
        if len(read) < len(unread):
            self._cache.copy_rows(present, places[present:])
            logits = logits[sent_places]
        return logits, bits_to_floats(bits)


class StaticPasses(Passes):
    """Passes of fixed shapes where all rows go on by one token; others are as in `Passes`.

    There is a shape for N rows rounded up to a power of two and for S rounded up to one, both at
    most the cache's. What is beyond a row's end is masked, and rows that are not there compute
    something that nobody reads. So a pass reads up to twice the keys and values that it needs,
    which is little beside the weights. The model may not change while its passes run: on CUDA they
    are recorded with the tensors that it has.
    """

    def __init__(self, model: Transformer, cache: KVCache) -> None:
        super().__init__(model, cache)
        if isinstance(model.config.rope_scaling, LongRope):
            raise ValueError(
                "passes of a model with long RoPE cannot be recorded (--cuda-graphs): its rotation "
                "depends on how long a row is; leave it out"
            )
        # Tokens, positions and draws of a pass.
        self._sent = torch.zeros(3 * cache.batch_size, dtype=torch.int64, device=cache.keys.device)
        self._passes: dict[tuple[int, int], Callable[[], Tensor]] = {}
        self._record = Recorder() if self._sent.is_cuda else None

    def run(self, unread: Sequence[list[int]], draws: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Run the model over each row's unread tokens, as in `Passes`."""
        rows = len(unread)
        if rows != len(self._cache.lengths) or max(map(len, unread)) > 1:
            return super().run(unread, draws)
        positions = self._cache.advance()
        size = min(_power_of_two(rows), self._cache.batch_size)
        reach = MASK_STEP * _power_of_two(-(-(max(positions) + 1) // MASK_STEP))
        absent = [0] * (size - rows)
        tokens = [token for (token,) in unread]
        upload_into(self._sent, tokens, absent, positions, absent, float_bits(draws), absent)
        logits = self._recorded(size, min(reach, self._cache.max_length))()
        return logits[:rows], bits_to_floats(self._sent[2 * size : 2 * size + rows])

    def _recorded(self, size: int, reach: int) -> Callable[[], Tensor]:
        """Return the pass over `size` rows that attend to the first `reach` positions."""
        if (size, reach) not in self._passes:
            # Not self, which would hold the cache's memory in a circle beyond its use.
            model, cache = self._model, self._cache
            tokens, positions = self._sent[: 2 * size].split(size)

            def forward() -> Tensor:
                logits: Tensor = model(tokens, positions, cache.plan_singles(positions, reach))
                return logits

            self._passes[size, reach] = self._record(forward) if self._record else forward
        return self._passes[size, reach]


class Recorder:
    """Records passes as CUDA graphs, which share their memory because no two run at once."""

    def __init__(self) -> None:
        self._memory: Any = None

    def __call__(self, forward: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return what runs `forward` again on its tensors' present values.

        It returns the same tensor at every run.
        """
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        # The first runs choose kernels and make tables that are kept; neither may be recorded.
        with torch.cuda.stream(beside):
            for _ in range(2):
                forward()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory):
            output = forward()
        self._memory = graph.pool()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay


def _read_once(unread: Sequence[list[int]], present: int) -> tuple[list[list[int]], list[int]]:
    """Return what is to be read, of equal new rows one, and for each row its place there."""
    read, places = list(unread[:present]), list(range(present))
    known: dict[tuple[int, ...], int] = {}
    for tokens in unread[present:]:
        place = known.setdefault(tuple(tokens), len(read))
        if place == len(read):
            read.append(tokens)
        places.append(place)
    return read, places


def check_cuda_graphs(wanted: bool) -> None:
    """Raise ValueError where passes are to be recorded and there is no CUDA device to do it."""
    if wanted and not torch.cuda.is_available():
        raise ValueError(
            "--cuda-graphs records passes on a CUDA device, and there is none; leave it out"
        )


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()
