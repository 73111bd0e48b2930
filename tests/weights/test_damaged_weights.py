"""A flipped bit in any file of a model is one line that names the file, whoever reads it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from damaging import flip_a_bit, places_in
from meta_directories import write_meta_directory
from native_directories import write_adapter, write_native
from tiny_models import TINY, random_model

from model.lora.config import LoraConfig
from storage import manifest
from storage.manifest import MANIFEST, write_manifest
from weights.adapter import read_adapter
from weights.conversion import convert_from_meta, convert_to_meta
from weights.directory import load_model, open_weights
from weights.hugging_face.conversion import convert_from_hugging_face, convert_to_hugging_face
from weights.merge import merge_checkpoint
from weights.merge_base import open_base
from weights.nf4.conversion import quantize_directory

LORA = LoraConfig(rank=4, alpha=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories of every kind, each with its manifest; tensors lie in parts of their own."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "LEAST_PART_BYTES", 4096)
        write_native(folder / "native", TINY)
        write_manifest(folder / "native", "native model")
        write_adapter(folder / "adapter", TINY, LORA)
        write_manifest(folder / "adapter", "checkpoint")
        convert_to_meta(folder / "native", folder / "native", 2, folder / "meta")
        convert_to_hugging_face(folder / "native", folder / "hugging-face")
        quantize_directory(folder / "native", folder / "nf4")
    return folder


def merge(folder: Path, target: Path) -> None:
    adapter = read_adapter(folder / "adapter")
    merge_checkpoint(open_base(folder / "native", adapter), adapter, target)


# What is read of a folder, and how; the target is for what writes one.
READERS: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "load": ("native", lambda folder, _: load_model(folder / "native")),
    "merge the base": ("native", merge),
    "merge the adapter": ("adapter", merge),
    "to Meta": (
        "native",
        lambda folder, to: convert_to_meta(folder / "native", folder / "native", 2, to),
    ),
    "from Meta": ("meta", lambda folder, to: convert_from_meta(folder / "meta", to)),
    "to Hugging Face": (
        "native",
        lambda folder, to: convert_to_hugging_face(folder / "native", to),
    ),
    "from Hugging Face": (
        "hugging-face",
        lambda folder, to: convert_from_hugging_face(folder / "hugging-face", to),
    ),
    "quantize": ("native", lambda folder, to: quantize_directory(folder / "native", to)),
    "load NF4": ("nf4", lambda folder, _: load_model(folder / "nf4")),
}
# Files that a reader does not open.
NOT_READ = {
    "load": {"tokenizer.model"},
    "merge the adapter": {"tokenizer.model"},
    "load NF4": {"tokenizer.model"},
}


@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_bit_in_any_file_is_refused(made: Path, tmp_path: Path, reader: str) -> None:
    name, read = READERS[reader]
    for file in sorted(path for path in (made / name).rglob("*") if path.is_file()):
        if file.name in NOT_READ.get(reader, ()) or file.name == MANIFEST:
            continue
        # What a zip has before its first record and after its last is not read.
        places = places_in(file)[1:-1] if file.suffix == ".pth" else places_in(file)
        for position in places:
            flip_a_bit(file, position)
            try:
                with pytest.raises(ValueError, match=re.escape(str(file))) as raised:
                    read(made, tmp_path / "out")
            finally:
                flip_a_bit(file, position)
            assert "\n" not in str(raised.value)
            assert not (tmp_path / "out").exists()
    read(made, tmp_path / "out")


def test_the_tensor_that_a_damaged_part_is_read_for_is_named(made: Path) -> None:
    file = made / "native" / "consolidated.safetensors"
    flip_a_bit(file, -1)
    try:
        tensors = open_weights(file)
        last = list(tensors)[-1]
        assert tensors["norm.weight"].shape == (64,)
        with pytest.raises(ValueError, match=rf"in bytes .* \(read for {re.escape(last)}\)"):
            tensors[last]
    finally:
        flip_a_bit(file, -1)


def test_names_shapes_and_dtypes_are_known_without_reading(made: Path) -> None:
    file = made / "native" / "consolidated.safetensors"
    flip_a_bit(file, -1)
    try:
        tensors = open_weights(file)
        assert list(tensors.forms)[-1] in tensors
        assert {form.device.type for form in tensors.forms.values()} == {"meta"}
    finally:
        flip_a_bit(file, -1)


def test_a_foreign_shard_is_compared_with_its_own_checksums(tmp_path: Path) -> None:
    state = random_model(TINY).state_dict()
    write_meta_directory(tmp_path / "meta", TINY, state)
    file = tmp_path / "meta" / "consolidated.00.pth"
    place = file.read_bytes().index(state["layers.1.attention.wo.weight"].numpy().tobytes())
    flip_a_bit(file, place + 100)
    problem = r"consolidated\.00\.pth: layers\.1\.attention\.wo\.weight differs from the checksum"
    with pytest.raises(ValueError, match=problem):
        convert_from_meta(tmp_path / "meta", tmp_path / "native")
    assert not (tmp_path / "native").exists()


@pytest.mark.usefixtures("trusted_files")
def test_trusted_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    ones = torch.ones(300)
    torch.save({"a": ones}, tmp_path / "a.pth")
    place = (tmp_path / "a.pth").read_bytes().index(ones.numpy().tobytes())
    flip_a_bit(tmp_path / "a.pth", place + 2)
    assert (open_weights(tmp_path / "a.pth")["a"] != ones).sum() == 1


def test_a_params_json_edited_by_hand_is_refused(made: Path) -> None:
    file = made / "native" / "params.json"
    before = file.read_text()
    file.write_text(before.replace("500000.0", "10000.0"))
    assert file.read_text() != before
    try:
        with pytest.raises(ValueError, match=r"params\.json differs from its sha256 .*--trust-fi"):
            load_model(made / "native")
    finally:
        file.write_text(before)
