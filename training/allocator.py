"""How PyTorch takes memory from a GPU; torch reads it once, so it is said before torch is used."""

import os

# torch's names for the same setting: CUDA's own, which goes first, and the one for all devices.
VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")


def let_segments_grow() -> None:
    """Let the allocator enlarge what it took, unless the user says how it works.

    Micro-batches differ in length, and a block that was freed by a shorter one fits no longer one;
    segments that grow are not left with such holes.
    """
    if not any(variable in os.environ for variable in VARIABLES):
        os.environ[VARIABLES[0]] = "expandable_segments:True"
