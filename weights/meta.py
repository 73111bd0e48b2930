"""Meta's directories: shards `consolidated.NN.pth`, `params.json`, `tokenizer.model`.

Reading opens all shards mapped and accounts for everything in them before anything is used.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig, read_params
from storage.replacement import restore
from weights.directory import WEIGHTS_FILE, Layout, dtype_name, open_weights
from weights.lazy import forms
from weights.meta_params import native_params
from weights.mistral import is_mistral, read_mistral
from weights.shard_names import shard_file
from weights.table import (
    EMBEDDING,
    OUTPUT,
    Shape,
    account,
    bitwise_equal,
    expected_shapes,
    shard,
    unshard,
    weights,
)
from weights.tokenizer_file import TOKENIZER_FILE, check_tokenizer, find_tokenizer, is_sentencepiece

MOST_SHARDS = 8
# Older checkpoints carry the rotary frequencies, which every reader computes itself.
LEFT_OUT = "rope.freqs"

_SHARD_NAME = re.compile(r"consolidated\.(\d\d)\.pth")


@dataclass(frozen=True)
class MetaModel:
    """An opened Meta directory: its mapped tensors, file by file, all accounted for.

    `params` is what the native `params.json` will say, `axes` where each tensor is cut, and
    `left_out` counts the tensors that every reader computes itself.
    """

    params: dict[str, Any]
    config: ModelConfig
    tokenizer: Path
    shards: tuple[Mapping[str, Tensor], ...]
    axes: dict[str, int | None]
    left_out: int

    def parts(self, name: str) -> list[Tensor]:
        """Return the parts of one tensor, shard by shard."""
        return [tensors[name] for tensors in self.shards]

    def whole(self, name: str) -> Tensor:
        """Return one tensor put together; with a single shard it stays mapped."""
        return unshard(self.parts(name), self.axes[name])

    def layout(self) -> Layout:
        """Return the whole shape and the dtype of every native tensor."""
        return {
            name: (shape, forms(self.shards[0])[name].dtype)
            for name, shape in expected_shapes(self.config).items()
        }


def read_meta(path: Path | str) -> MetaModel:
    """Open a Meta directory, or Mistral's, and account for everything in it.

    Raises FileNotFoundError or ValueError that says what is missing or wrong.
    """
    path = Path(path).expanduser()
    if is_mistral(path):
        params, tokenizer, tensors = read_mistral(path)
        config = ModelConfig.from_params(params)
        return MetaModel(params, config, tokenizer, (tensors,), dict.fromkeys(tensors), 0)
    files = _shard_files(path)
    tokenizer = path / TOKENIZER_FILE
    for file in (path / PARAMS_FILE, tokenizer):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is missing; it comes with Meta's download (for Llama 2 the tokenizer lies "
                "one directory up): copy it beside the shards"
            )
    opened = [open_weights(file) for file in files]
    shards = tuple(tensors.only(n for n in tensors if n != LEFT_OUT) for tensors in opened)
    left_out = sum(map(len, opened)) - sum(map(len, shards))
    _check_agreement(files, shards)
    given = read_params(path)
    complete = partial(
        native_params,
        given,
        _vocab_size(path, given, shards),
        sentencepiece=is_sentencepiece(tokenizer),
        origin=str(path / PARAMS_FILE),
    )
    untied = ModelConfig.from_params(complete(tied=False))
    axes = _account(path, untied, files, shards)
    # A tokenizer.json beside it, where there is one, is what the native directory will use.
    for file in dict.fromkeys((tokenizer, find_tokenizer(path))):
        check_tokenizer(file, untied.vocab_size)
    params = complete(tied=_tied(shards, axes))
    config = ModelConfig.from_params(params)
    return MetaModel(params, config, tokenizer, shards, axes, left_out)


def _shard_files(path: Path) -> list[Path]:
    restore(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a directory; wanted Meta's download of a model")
    names = sorted(file.name for file in path.iterdir())
    found = [name for name in names if _SHARD_NAME.fullmatch(name)]
    if not found:
        if WEIGHTS_FILE in names:
            raise ValueError(f"{path} is a native directory already; nothing is to be converted")
        if (inner := path / "original").joinpath(shard_file(0)).is_file():
            raise FileNotFoundError(
                f"{path} has no {shard_file(0)}, and its directory `original` has; take "
                f"--llama3-dir {inner}"
            )
        if path.name == "original" or inner.is_dir():
            raise FileNotFoundError(
                f"{path} has no {shard_file(0)}{' in `original`' if inner.is_dir() else ''}; found "
                f"{', '.join(names[:5]) or 'nothing'}: the download is not whole; fetch it again, "
                "its directory `original` with all files"
            )
        raise FileNotFoundError(
            f"{path} has no {shard_file(0)}; found {', '.join(names[:5]) or 'nothing'}; wanted "
            "Meta's download (a Hugging Face download has it in its directory `original`)"
        )
    wanted = [shard_file(index) for index in range(int(found[-1].split(".")[1]) + 1)]
    if missing := [name for name in wanted if name not in found]:
        raise FileNotFoundError(
            f"{path} has {found[-1]} and not {', '.join(missing)}; fetch the missing shards"
        )
    if len(found) > MOST_SHARDS:
        raise ValueError(f"{path} has {len(found)} shards, wanted {MOST_SHARDS} or fewer")
    return [path / name for name in found]


def _check_agreement(files: Sequence[Path], shards: Sequence[Mapping[str, Tensor]]) -> None:
    """All shards hold the same names, each with the same shape and dtype."""
    first = forms(shards[0])
    for file, tensors in zip(files, map(forms, shards), strict=True):
        if odd := sorted(first.keys() ^ tensors.keys()):
            holder = files[0] if odd[0] in first else file
            difference = f"only {holder.name} holds {odd[0]}"
        elif other := [name for name in first if _form(first[name]) != _form(tensors[name])]:
            difference = f"{other[0]} is {_form(first[other[0]])} and {_form(tensors[other[0]])}"
        else:
            continue
        raise ValueError(_mixed(files[0], file, difference))


def _mixed(first: Path, other: Path, difference: str) -> str:
    return (
        f"{first} and {other.name} are not shards of one model: {difference}; "
        "fetch all shards from the same download"
    )


def _form(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {dtype_name(tensor.dtype)}"


def _vocab_size(
    path: Path, params: Mapping[str, Any], shards: Sequence[Mapping[str, Tensor]]
) -> int:
    """The size given, or where it is open (-1, absent) the rows that the shards hold together."""
    given = params.get("vocab_size")
    if given is not None and given != -1:
        return given
    if OUTPUT not in forms(shards[0]):
        raise ValueError(
            f"{path / shard_file(0)} has no {OUTPUT}, and {PARAMS_FILE} leaves vocab_size open; "
            "wanted Meta's download, whole"
        )
    return sum(len(forms(tensors)[OUTPUT]) for tensors in shards)


def _account(
    path: Path,
    config: ModelConfig,
    files: Sequence[Path],
    shards: Sequence[Mapping[str, Tensor]],
) -> dict[str, int | None]:
    """Check all names, shapes and repeated tensors; return the axis that each tensor is cut on."""
    expected = expected_shapes(config)
    axes = {name: row.axis for name, row in weights(config).items()}
    first = forms(shards[0])
    if EMBEDDING in first:
        axes[EMBEDDING] = _embedding_axis(first[EMBEDDING], expected[EMBEDDING])
    found = {
        name: _whole_shape(tensor, axes.get(name), len(shards)) for name, tensor in first.items()
    }
    _check_shards_present(path, expected, found, len(shards))
    account(expected, found, str(path))
    for name in (name for name, axis in axes.items() if axis is None):
        for file, tensors in zip(files, shards, strict=True):
            if not bitwise_equal(shards[0][name], tensors[name]):
                difference = f"they disagree on {name}, which every shard holds whole"
                raise ValueError(_mixed(files[0], file, difference))
    return axes


def _embedding_axis(part: Tensor, whole: Shape) -> int:
    """Llama 2 cuts the embedding's columns, Llama 3 its rows (the vocabulary): shapes tell."""
    cuts_columns = part.ndim == 2 and len(part) == whole[0] and part.shape[1] != whole[1]
    return 1 if cuts_columns else 0


def _whole_shape(part: Tensor, axis: int | None, count: int) -> Shape:
    return tuple(size * count if index == axis else size for index, size in enumerate(part.shape))


def _check_shards_present(
    path: Path, expected: Mapping[str, Shape], found: Mapping[str, Shape], count: int
) -> None:
    """When every cut tensor lacks the same share of its size, the last shards are not there."""
    ratios = {
        expected[name][axis] / found[name][axis]
        for name, axis in (
            ("layers.0.attention.wq.weight", 0),
            ("layers.0.attention.wo.weight", 1),
            ("layers.0.feed_forward.w1.weight", 0),
        )
        if len(found.get(name, ())) == 2 and found[name][axis]
    }
    meant = count * ratios.pop() if len(ratios) == 1 else 0.0
    if meant > count and meant.is_integer():
        missing = [shard_file(index) for index in range(count, int(meant))]
        raise FileNotFoundError(
            f"{path} holds {count} of {int(meant)} shards; fetch {', '.join(missing)}"
        )


def _tied(shards: Sequence[Mapping[str, Tensor]], axes: Mapping[str, int | None]) -> bool:
    """Whether the output projection is the embedding, bit for bit."""
    count = len(shards)
    embeddings = [tensors[EMBEDDING] for tensors in shards]
    if axes[EMBEDDING] != 0:
        whole = unshard(embeddings, axes[EMBEDDING])
        embeddings = [shard(whole, 0, index, count) for index in range(count)]
    return all(
        bitwise_equal(tensors[OUTPUT], embedding)
        for tensors, embedding in zip(shards, embeddings, strict=True)
    )
