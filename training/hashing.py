"""The hashes of a checkpoint's files, each read by the rank that wrote it.

Its pages are still in that machine's memory, and no rank waits for another to read a large share.
"""

import re
from pathlib import Path

from storage.atomic import flush_to_disk
from storage.manifest import Entry, damaged_files, hash_file, read_manifest, written_files
from training.backends import Backend

# Random states are ours, the others DeepSpeed's: zero_pp_rank_3_mp_rank_00_optim_states.pt.
_RANK = re.compile(r"(?:^rng-|pp_rank_)(\d+)")


def writer(name: str, world_size: int) -> int:
    """Return the rank that wrote a file of a checkpoint: rank 0, unless the name says another.

    Where a run had more ranks, one of those that are there.
    """
    found = _RANK.search(name)
    return int(found[1]) % world_size if found else 0


def flushed_hashes(directory: Path, backend: Backend) -> dict[str, Entry]:
    """Return what a manifest says of each file, on every rank, once all are on the disk."""
    own = _own(backend.on_first_rank(lambda: written_files(directory)), backend)

    def work() -> dict[str, Entry]:
        for name in own:
            flush_to_disk(directory / name)
        return {name: hash_file(directory / name) for name in own}

    shares = backend.on_every_rank(work)
    return {name: entry for share in shares for name, entry in share.items()}


def damage_found(directory: Path, backend: Backend) -> list[str]:
    """Return what `damaged_files` does, on every rank."""
    manifest = backend.on_first_rank(lambda: read_manifest(directory))
    own = _own(list(manifest["files"]), backend)
    return [
        line
        for share in backend.on_every_rank(lambda: damaged_files(directory, own))
        for line in share
    ]


def _own(names: list[str], backend: Backend) -> set[str]:
    return {name for name in names if writer(name, backend.world_size) == backend.rank}
