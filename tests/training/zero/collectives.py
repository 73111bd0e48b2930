"""Training steps under DeepSpeed, with every collective written down.

    deepspeed --num_gpus=2 tests/training/zero/collectives.py --cases CASES --output-dir DIR

Every JSON file in CASES is a configuration. DIR gets NAME.json: of one step the micro-batches, the
collectives, and the sizes to which their bytes are to be compared.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from zero_cases import backend_of

from console.command import run
from training.config import Config, read_config
from training.feed import Feed
from training.loop import Run, train_step
from training.objective import Supervised
from training.setup import make_batches, open_splits
from training.zero.ranks import Ranks, joined_ranks

# The first step of stage 3 finds out in which order weights are gathered.
STEP = 2


class Collectives(TorchDispatchMode):
    """Writes down each collective that this rank calls: its name, and its bytes.

    The bytes are those of the largest tensor list given to it: of a gathering, those of the whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            name = func._schema.name.removeprefix("c10d::").strip("_")
            sizes = [sum(map(_bytes, tree_leaves(argument))) for argument in args]
            self.calls.append((name, max(sizes)))
        return func(*args, **(kwargs or {}))


def _bytes(value: object) -> int:
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0


def main(cases: str, output_dir: str, local_rank: int | None = None) -> None:
    """Run the cases one after the other.

    Args:
        cases: The directory of configurations.
        output_dir: Where to write what was counted.
        local_rank: Given by the launcher.
    """
    with joined_ranks("cpu") as ranks:
        for file in sorted(Path(cases).glob("*.json")):
            counted = count(read_config(file), ranks)
            if ranks.rank == 0:
                (Path(output_dir) / file.name).write_text(json.dumps(counted))


def count(config: Config, ranks: Ranks) -> dict[str, Any]:
    """Take a few steps and return what the last one sent."""
    backend = backend_of(config, ranks)
    batches = make_batches(config, open_splits(config), ranks.rank, ranks.world_size)
    feed = Feed(batches, ranks.device)
    # A step reads no more of a run than these.
    needed = SimpleNamespace(feed=feed, objective=Supervised(), rate=lambda _: 1e-3, skips=False)
    for number in range(STEP + 1):
        with Collectives() as collectives:
            train_step(cast(Run, needed), backend, number)
    shapes = {name: list(size) for name, size in backend.trained.items()}
    backend.engine.destroy()
    micro_batches = len(batches.indices(STEP))
    return {"calls": collectives.calls, "trained": shapes, "micro_batches": micro_batches}


if __name__ == "__main__":
    run(main)
