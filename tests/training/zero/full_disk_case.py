"""ds_finetune.py, but one rank cannot write a file of more than a few kilobytes.

    FULL_DISK_RANK=1 deepspeed --num_gpus=2 tests/training/zero/full_disk_case.py [its flags]

The limit is the system's, for this process: its writes fail as those to a full disk do.
"""

import os
import resource

from console.command import run
from ds_finetune import main

MOST_BYTES = 12_000

if __name__ == "__main__":
    if os.environ["RANK"] == os.environ["FULL_DISK_RANK"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    run(main)
