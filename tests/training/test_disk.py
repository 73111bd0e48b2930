"""A full disk is named, whoever was writing."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from training.disk import full_disk_named


def stream() -> None:
    with open("/dev/full", "w") as file:
        file.write("x")


@pytest.mark.parametrize(
    "write",
    [
        stream,
        lambda: torch.save(torch.zeros(100_000), "/dev/full"),
    ],
)
def test_a_disk_that_takes_no_more_is_named(write: Callable[[], None], tmp_path: Path) -> None:
    message = rf"{tmp_path} could not take .* left\. Make room.*--resume"
    with pytest.raises(OSError, match=message), full_disk_named(tmp_path):
        write()


def test_a_tensor_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """save_file renames a file of its own, so it must never be given /dev/full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="could not take"), full_disk_named(tmp_path):
            save_file({"x": torch.zeros(100_000)}, tmp_path / "x.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("peer reset"), FileNotFoundError("a.bin is missing"), OSError(2, "No", "a.bin")],
)
def test_other_errors_while_writing_are_unchanged(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised, full_disk_named(tmp_path):
        raise error
    assert raised.value is error
