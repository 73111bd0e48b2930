"""Archives that torch.save would not write are refused before they take memory."""

import zipfile
from pathlib import Path

import pytest
import torch
from anonymous_memory import peak_bytes

from weights.archive import MOST_PICKLED
from weights.opening import open_tensors


def rewritten(file: Path, pickled: bytes | None, compression: int) -> Path:
    """Write a small file of torch.save again with another pickle, or compressed."""
    torch.save({"a": torch.arange(300.0)}, file.with_suffix(".plain"))
    with (
        zipfile.ZipFile(file.with_suffix(".plain")) as plain,
        zipfile.ZipFile(file, "w", compression) as archive,
    ):
        for name in plain.namelist():
            known = pickled is not None and name.endswith("/data.pkl")
            archive.writestr(name, pickled if known and pickled else plain.read(name))
    return file


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    file = rewritten(tmp_path / "a.pth", None, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"a\.pth holds compressed records .*; it was not opened"):
        open_tensors(file)


def test_a_pickle_of_many_bytes_is_refused(tmp_path: Path) -> None:
    file = rewritten(tmp_path / "a.pth", b"]" * (MOST_PICKLED + 1), zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match=r"a\.pth has 4,194,305 bytes of names"):
        open_tensors(file)


def test_a_zip_without_a_pickle_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data/0", b"abc")
    with pytest.raises(ValueError, match=r"a\.pth .* is truncated or not .* no record data\.pkl"):
        open_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (torch.eye(3).to_sparse(), "holds more than plain tensors .*_rebuild_sparse_tensor"),
        (torch.empty(3, device="meta"), "holds more than plain tensors .*_rebuild_meta_tensor"),
        (torch.zeros(1).expand(2**40), "a is .*, and its numbers are not all in the file"),
        (bytearray(9), "holds more than plain tensors .*bytearray"),
    ],
)
def test_what_is_no_plain_tensor_is_refused(tmp_path: Path, tensor: object, problem: str) -> None:
    torch.save({"a": tensor}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=problem):
        open_tensors(tmp_path / "a.pth")


def test_parameters_and_shared_storages_are_read(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    given = {"a": torch.nn.Parameter(whole), "b": whole, "c": whole[1], "d": whole.t()}
    torch.save(given, tmp_path / "a.pth")
    found = open_tensors(tmp_path / "a.pth")
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())
    assert {name: tuple(form.shape) for name, form in found.forms.items()}["d"] == (3, 2)


def test_a_header_of_many_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes((2**30).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=r"a\.safetensors .* a header of 1,073,741,824 bytes"):
        open_tensors(tmp_path / "a.safetensors")


def test_a_nested_header_is_one_line(tmp_path: Path) -> None:
    header = b'{"a":' + b"[" * 100_000
    content = len(header).to_bytes(8, "little") + header
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.safetensors .* nested too deep"):
        open_tensors(tmp_path / "a.safetensors")


@pytest.mark.long
def test_hostile_archives_take_little_memory(tmp_path: Path) -> None:
    for name, size in (("small", 10), ("large", 300 * 2**20)):
        (tmp_path / name).mkdir()
        rewritten(tmp_path / name / "a.pth", b"]" * size, zipfile.ZIP_DEFLATED)
    convert = (
        "from weights.opening import open_tensors\n"
        "def convert(folder):\n"
        "    try:\n"
        "        open_tensors(folder / 'a.pth')\n"
        "    except ValueError:\n"
        "        pass\n"
    )
    assert peak_bytes(convert, tmp_path / "small", tmp_path / "large") < 50 * 2**20
