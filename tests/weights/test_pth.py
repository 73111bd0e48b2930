import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch

from weights.directory import layout_of
from weights.pth import write_pth
from weights.table import bitwise_equal

random = partial(torch.randn, generator=torch.Generator().manual_seed(0))
TENSORS = {
    "odd.weight": random(7, 3),
    "bfloat.weight": random(5, 33).bfloat16(),
    "half.weight": random(9).half(),
    "double.weight": random(2, 2, 2).double(),
    "one.weight": random(()),
    "big.weight": random(1100, 4096),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pth") / "consolidated.00.pth"
    write_pth(path, layout_of(TENSORS), TENSORS.items())
    return path


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_loads_the_same_bits_as_plain_contiguous_tensors(file: Path, mmap: bool) -> None:
    loaded = torch.load(file, weights_only=True, mmap=mmap)
    assert type(loaded) is dict and list(loaded) == list(TENSORS)
    for name, tensor in loaded.items():
        assert type(tensor) is torch.Tensor and not tensor.requires_grad
        assert tensor.is_contiguous() and tensor.device.type == "cpu"
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
        assert bitwise_equal(tensor, TENSORS[name]) if tensor.ndim else tensor == TENSORS[name]


def test_records_are_where_torch_looks_for_them_without_reading(file: Path) -> None:
    sketch = torch.load(file, weights_only=True, map_location="meta")
    for name, tensor in TENSORS.items():
        offset = sketch[name].untyped_storage()._checkpoint_offset
        assert offset % 64 == 0
        stored = file.read_bytes()[offset : offset + tensor.nbytes]
        assert stored == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def test_every_checksum_of_the_zip_is_right(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def test_the_same_tensors_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    write_pth(tmp_path / "again.pth", layout_of(TENSORS), TENSORS.items())
    assert (tmp_path / "again.pth").read_bytes() == file.read_bytes()


def test_torch_can_save_what_it_loaded_and_nothing_changes(file: Path, tmp_path: Path) -> None:
    torch.save(torch.load(file, weights_only=True), tmp_path / "copy.pth")
    copy = torch.load(tmp_path / "copy.pth", weights_only=True)
    assert all(torch.equal(copy[name], tensor) for name, tensor in TENSORS.items())


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    moved: list[int] = []
    write_pth(tmp_path / "a.pth", layout_of(TENSORS), TENSORS.items(), moved.append)
    assert sum(moved) == sum(tensor.nbytes for tensor in TENSORS.values())
    assert max(moved) < TENSORS["big.weight"].nbytes


def test_tensors_out_of_step_with_the_layout_are_refused(tmp_path: Path) -> None:
    layout = layout_of({"a": torch.zeros(2), "b": torch.zeros(3)})
    for tensors, message in [
        ({"a": torch.zeros(2), "c": torch.zeros(3)}, r"found c \[3\] float32 to write, wanted b"),
        ({"a": torch.zeros(4)}, r"found a \[4\] float32 to write, wanted a \[2\] float32"),
        ({"a": torch.zeros(2).half()}, r"found a \[2\] float16 to write, wanted a \[2\] float32"),
        ({"a": torch.zeros(2)}, r"found nothing .* to write, wanted b"),
        ({"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}, "wanted nothing more"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_pth(tmp_path / "a.pth", layout, tensors.items())
