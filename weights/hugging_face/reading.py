"""A Hugging Face directory, opened: its config understood, its tensors mapped and accounted for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from model.config import ModelConfig
from storage.json_file import read_json_object
from storage.replacement import restore
from weights.directory import Layout, open_weights
from weights.hugging_face.config import CONFIG_FILE, params_from_config
from weights.hugging_face.names import from_hugging_face
from weights.lazy import FileTensors
from weights.opening import INDEX_SUFFIX
from weights.table import expected_shapes, weights

SAFETENSORS = "model.safetensors"
# What readers compute themselves: older files carry the rotary frequencies.
_LEFT_OUT = "rotary_emb.inv_freq"


@dataclass(frozen=True)
class HuggingFaceModel:
    """An opened Hugging Face directory.

    `params` is what the native `params.json` will say; `tensors` are mapped, by Hugging Face's
    names, and `left_out` counts those that every reader computes itself.
    """

    directory: Path
    settings: dict[str, Any]
    params: dict[str, Any]
    config: ModelConfig
    tensors: FileTensors
    left_out: int

    def native(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the native (name, tensor) pairs, one at a time."""
        return from_hugging_face(self.config, self.tensors, str(self.directory))

    def layout(self) -> Layout:
        """Return the shape and dtype of every native tensor."""
        rows = weights(self.config)
        return {
            name: (shape, self.tensors.forms[rows[name].hugging_face].dtype)
            for name, shape in expected_shapes(self.config).items()
        }


def read_hugging_face(path: Path | str) -> HuggingFaceModel:
    """Open a Hugging Face directory and account for all of it; ValueError says what is wrong."""
    path = Path(path).expanduser()
    settings = _read_config(path)
    params = params_from_config(settings, str(path / CONFIG_FILE))
    config = ModelConfig.from_params(params)
    check_token_ids(settings, config.vocab_size, path / CONFIG_FILE)
    opened = open_weights(_weights_file(path))
    tensors = opened.only(name for name in opened if not name.endswith(_LEFT_OUT))
    from_hugging_face(config, tensors, str(path))
    left_out = len(opened) - len(tensors)
    return HuggingFaceModel(path, settings, params, config, tensors, left_out)


def _read_config(path: Path) -> dict[str, Any]:
    file = path / CONFIG_FILE
    restore(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is not a directory; wanted a Hugging Face download of a model"
        )
    if not file.is_file():
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        raise FileNotFoundError(
            f"{file} is missing; found {names}; wanted a Hugging Face download (Meta's own goes "
            "through python scripts/convert_from_meta_weights.py)"
        )
    return read_json_object(file)


def check_no_pickle(directory: Path, pattern: str, wanted: str, way_out: str) -> None:
    """Raise ValueError where a directory without the file `wanted` has pickles of this pattern."""
    if pickles := sorted(file.name for file in directory.glob(pattern)):
        raise ValueError(
            f"{directory} holds {pickles[0]} and no {wanted}: a .bin file is a pickle, which can "
            f"run code, and is not opened; {way_out} save it again with save_pretrained"
        )


def check_token_ids(settings: Mapping[str, Any], vocab_size: int, file: Path) -> None:
    """Raise ValueError unless ids of special tokens, where a file gives any, are tokens."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        given = settings.get(name)
        for value in given if isinstance(given, list) else [] if given is None else [given]:
            whole = isinstance(value, int) and not isinstance(value, bool)
            # Published files say -1 where a token is not there.
            if not whole or not -1 <= value < vocab_size:
                raise ValueError(
                    f"{file}: {name} is {str(given)[:40]!r}, wanted ids below {vocab_size:,}"
                )


def _check_safetensors(index: Path) -> None:
    """Raise ValueError where an index names files that are no safetensors."""
    files = read_json_object(index).get("weight_map")
    for name in files.values() if isinstance(files, dict) else ():
        if not str(name).endswith(".safetensors"):
            raise ValueError(
                f"{index} names {str(name)[:80]!r}, wanted safetensors only: other files may be "
                "pickles, which can run code, and are not opened"
            )


def _weights_file(path: Path) -> Path:
    """Return the safetensors file or the index of several; no file that is a pickle is opened."""
    for name in (SAFETENSORS + INDEX_SUFFIX, SAFETENSORS):
        if (path / name).is_file():
            if name.endswith(INDEX_SUFFIX):
                _check_safetensors(path / name)
            return path / name
    way_out = "fetch the repository's safetensors, or let Transformers"
    check_no_pickle(path, "*.bin", SAFETENSORS, way_out)
    raise FileNotFoundError(f"{path} has no {SAFETENSORS}, nor an index of several; fetch it")
