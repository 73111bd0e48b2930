"""Which of torch's operations run, and what they send from the CPU to the device `meta`."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """Notes the operations in order, and counts the numbers copied from the CPU to `meta`."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sent = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **kwargs or {})
        self.names.append(func.name())
        if func.name() == "aten::_to_copy" and args[0].device.type == "cpu":
            self.sent += result.numel() if result.device.type == "meta" else 0
        return result
