"""Collectives on processors that behave as NCCL's: they hold the device, not the host.

A call returns before the others have come. The host waits where it reads a result, and only there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class Pending(TorchFunctionMode):
    """The results that are not there yet; whatever touches one waits for it, and `late` seconds."""

    def __init__(self, late: float) -> None:
        super().__init__()
        self.late = late
        self.works: dict[int, tuple[Tensor, dist.Work]] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and self.works:
                self.complete(value)
        return function(*args, **(kwargs or {}))

    def add(self, tensor: Tensor, work: dist.Work) -> None:
        # The tensor is kept, so that its place in memory is no other's.
        self.works[tensor.untyped_storage().data_ptr()] = (tensor, work)

    def complete(self, tensor: Tensor) -> None:
        _, work = self.works.pop(tensor.untyped_storage().data_ptr(), (None, None))
        if work is not None:
            work.wait()
            time.sleep(self.late)

    def complete_all(self) -> None:
        for _, work in self.works.values():
            work.wait()
        self.works.clear()


@contextmanager
def late_collectives(late: float = 0.0) -> Iterator[None]:
    """Let sums, broadcasts and barriers return at once; this rank goes on `late` after a result."""
    pending = Pending(late)

    def returns_at_once(collective: Callable[..., Any]) -> Callable[..., Any]:
        def call(tensor: Tensor, *args: Any, **options: Any) -> Any:
            if options.get("async_op"):
                return collective(tensor, *args, **options)
            pending.complete(tensor)
            pending.add(tensor, collective(tensor, *args, **{**options, "async_op": True}))
            return None

        return call

    def barrier(*args: Any, **options: Any) -> None:
        returns_at_once(dist.all_reduce)(torch.zeros(1))

    names = {name: returns_at_once(getattr(dist, name)) for name in ("all_reduce", "broadcast")}
    names["barrier"] = barrier
    with patch.multiple(dist, **names), patch.multiple(dist.distributed_c10d, **names), pending:
        yield
    pending.complete_all()
