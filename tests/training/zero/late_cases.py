"""What two ranks agree on while collectives return as NCCL's do, and one rank is late.

    deepspeed --num_gpus=2 tests/training/zero/late_cases.py --config-file FILE --output-dir DIR

DIR gets rank-N.json: how often shared storage was refused, whether waiting waits, and what this
rank heard of each error of rank 0. Then it trains, and ends with an error that pickle cannot take.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from late_collectives import late_collectives
from zero_cases import backend_of

from console.command import one_line, run
from storage.manifest import sha256_of_file
from training import hashing
from training.checkpoint import Checkpoints
from training.config import read_config
from training.setup import open_checkpoints, open_splits, train
from training.zero.engine import DeepSpeedBackend
from training.zero.ranks import joined_ranks

LATE = 0.005
TIMES = 20


class Unpicklable(FileNotFoundError):
    """Holds a value that cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.opened = lambda: message


class NotReadBack(ValueError):
    """Can be pickled and not unpickled: its constructor takes two arguments."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__(f"{file}, line {line} is broken")


class ReadBackOtherwise(ValueError):
    """Unpickles with another message."""

    def __init__(self, file: str, line: int = 0) -> None:
        super().__init__(f"{file}, line {line}")


class Speechless(ValueError):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Heavy(ValueError):
    """Holds more than is sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.row = bytes(10**6)


ERRORS: list[BaseException] = [
    ValueError("as it is"),
    FileNotFoundError(2, "No such file or directory", "weights.bin"),
    Unpicklable("weights.bin is missing;\n  copy it there"),
    NotReadBack("data.jsonl", 7),
    ReadBackOtherwise("data.jsonl", 7),
    KeyError("a key"),
    Speechless("lost"),
    Heavy("row 7 is broken"),
    ValueError("long " * 10**6),
    SystemExit(3),
]
RESULTS: list[Any] = ["a name", lambda: None, [NotReadBack("data.jsonl", 7)]]


def main(config_file: str, output_dir: str, local_rank: int | None = None) -> None:
    """Train as one configuration says, and try what else ranks agree on.

    Args:
        config_file: The configuration.
        output_dir: Where to write what was seen.
        local_rank: Given by the launcher.
    """
    config = read_config(config_file)
    with joined_ranks("cpu") as ranks, late_collectives(LATE * ranks.rank):
        splits = open_splits(config)
        checkpoints = open_checkpoints(config, splits.train.chat_format, resume=False)
        backend = backend_of(config, ranks)
        seen: dict[str, Any] = {"refused": refusals(checkpoints, backend)}
        file = Path(output_dir) / f"rank-{ranks.rank}.json"
        file.write_text(json.dumps(seen))
        unseen = patch.object(Path, "is_dir", lambda path: not path.name.startswith(".seen."))
        with unseen if ranks.rank else nullcontext():
            seen["blind"] = told_of_storage(checkpoints, backend)
        seen["waited"] = waits(Path(output_dir) / "written", backend)
        seen["told"] = [told_of(lambda error=error: fail(error), backend) for error in ERRORS]
        seen["results"] = [told_of(lambda result=result: result, backend) for result in RESULTS]
        seen["of_all"] = told_of_all(backend)
        if ranks.rank:
            save_slowly(backend)
        seen["hashed"] = hashed = []
        with patch.object(hashing, "sha256_of_file", lambda file: noted(file, hashed)):
            train(config, splits, checkpoints, backend, False)
        seen["damage"] = damage(checkpoints.steps()[-1], backend)
        file.write_text(json.dumps(seen))
        backend.on_first_rank(lambda: fail(Unpicklable("the end")))


def refusals(checkpoints: Checkpoints, backend: DeepSpeedBackend) -> int:
    """Count how often a directory that both ranks see is taken for one that they do not share."""
    refused = 0
    for _ in range(TIMES):
        try:
            checkpoints.check_shared_directory(backend)
        except FileNotFoundError:
            refused += 1
    return refused


def told_of_storage(checkpoints: Checkpoints, backend: DeepSpeedBackend) -> str:
    """Return what this rank says of a directory that one of them does not see."""
    try:
        checkpoints.check_shared_directory(backend)
    except FileNotFoundError as error:
        return one_line(error)
    return "nothing"


def waits(file: Path, backend: DeepSpeedBackend) -> bool:
    """Say whether, after waiting, this rank sees what the other wrote late."""
    if backend.rank:
        time.sleep(0.2)
        file.touch()
    backend.wait()
    return file.is_file()


def told_of(work: Callable[[], Any], backend: DeepSpeedBackend) -> str:
    """Return what this rank gets of work on rank 0: its result, or its error's type and line."""
    try:
        return f"done: {backend.on_first_rank(work)}"
    except BaseException as heard:
        return f"{type(heard).__name__}: {one_line(heard)[:100]}"


def told_of_all(backend: DeepSpeedBackend) -> list[str]:
    """Return what this rank gets of work on every rank: the results, or an error of rank 1."""

    def work(error: BaseException | None) -> str:
        if backend.rank and error:
            raise error
        return f"rank {backend.rank}"

    told = [str(backend.on_every_rank(lambda: work(None)))]
    for error in ERRORS[:3]:
        try:
            backend.on_every_rank(lambda error=error: work(error))
        except Exception as heard:
            told.append(f"{type(heard).__name__}: {one_line(heard)}")
    return told


def noted(file: Path, hashed: list[str]) -> str:
    """Hash a file and write its name down."""
    hashed.append(file.name)
    return sha256_of_file(file)


def damage(step: Path, backend: DeepSpeedBackend) -> list[list[str]]:
    """Return what is found damaged before and after a byte of one file of rank 1's is changed."""
    found = [hashing.damage_found(step, backend)]
    if backend.rank == 0:
        file = step / "rng-00001.safetensors"
        kept = file.read_bytes()
        file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    backend.wait()
    found.append(hashing.damage_found(step, backend))
    backend.wait()
    if backend.rank == 0:
        file.write_bytes(kept)
    return found


def fail(error: BaseException) -> None:
    raise error


def save_slowly(backend: DeepSpeedBackend) -> None:
    """Write this rank's shards long after the other's."""
    writer = backend.engine.checkpoint_engine
    save = writer.save

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(0.2)
        return save(*args, **options)

    writer.save = slow


if __name__ == "__main__":
    run(main)
