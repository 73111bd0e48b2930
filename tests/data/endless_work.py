"""Endless work in other processes: it prints their process ids until a test kills it."""

import os
from itertools import count

from data.parallel import in_order


def own_number(_: int) -> int:
    """Return the id of the process that runs this."""
    return os.getpid()


if __name__ == "__main__":
    for number in in_order(own_number, count(), few=0, workers=2, chunk=1):
        print(number, flush=True)
