"""An error of writing names what was to be written, whatever library wrote."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from console.command import one_line
from storage.atomic import new_directory
from storage.full_disk import write_errors_named

MAKE_ROOM = "make room, or write to another disk"


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow over 10 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("library", ["safetensors", "torch", "python"])
def test_a_file_that_cannot_grow_is_named_with_a_way_out(tmp_path: Path, library: str) -> None:
    values = torch.zeros(10_000)
    with pytest.raises(OSError) as raised, new_directory(tmp_path / "step-000002", "thing") as part:
        if library == "safetensors":
            save_file({"a": values}, part / "state.safetensors")
        elif library == "torch":
            torch.save(values, part / "shard.pt")
        else:
            (part / "text").write_text("a" * 20_000)
    line = one_line(raised.value)
    assert line.startswith(f"{tmp_path}/step-000002: ") and MAKE_ROOM in line
    assert list(tmp_path.iterdir()) == []


def test_how_much_the_disk_has_is_said_where_torch_gives_no_reason(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"could not be written, and the disk has .* left"),
        write_errors_named(tmp_path / "new" / "shard.pt"),
    ):
        torch.save(torch.zeros(100_000), "/dev/full")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("peer reset"),
        ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "other"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "other"),
    ],
)
def test_other_errors_are_unchanged(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, write_errors_named(tmp_path):
        raise error
    assert raised.value is error
