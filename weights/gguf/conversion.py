"""A GGUF file to a native directory: streamed, read back, whole or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.config import PARAMS_FILE, ModelConfig
from storage.atomic import check_own_directory, new_directory
from storage.json_file import write_json
from weights.conversion import Conversion, dtypes_of, require_space, write_checked
from weights.directory import KIND, WEIGHTS_FILE, layout_bytes
from weights.gguf.model import read_gguf
from weights.gguf.reading import QUANTISED_TYPES
from weights.gguf.tokenizer import tokenizer_files, write_tokenizer
from weights.table import dtype_named
from weights.tokenizer_file import check_tokenizer, find_tokenizer


@dataclass(frozen=True)
class FromGguf:
    """What a conversion wrote, and how many tensors the file stores in each type.

    `notes` are sentences on what a GGUF file cannot say and its reader should know.
    """

    written: Conversion
    kinds: dict[str, int]
    notes: tuple[str, ...]

    @property
    def quantised(self) -> dict[str, int]:
        """How many tensors were dequantised, by type."""
        return {kind: count for kind, count in self.kinds.items() if kind in QUANTISED_TYPES}


def convert_from_gguf(source: Path | str, target: Path | str, dtype: str | None = None) -> FromGguf:
    """Turn a GGUF file into a native directory; at most one tensor and its reordering are held.

    `dtype` is a name of DTYPES; None is the smallest that holds every number of the file exactly.
    """
    target = Path(target).expanduser()
    check_own_directory(target, KIND)
    wanted = dtype_named(dtype)
    model = read_gguf(source)
    stored_as = wanted or model.dtype()
    layout = model.layout(stored_as)
    total = layout_bytes(layout)
    require_space(target, total)
    files = tokenizer_files(model.file)
    with new_directory(target, KIND) as partial:
        write_json(partial / PARAMS_FILE, model.params)
        write_tokenizer(partial, files)
        check_tokenizer(find_tokenizer(partial), model.config.vocab_size)
        write_checked({partial / WEIGHTS_FILE: layout}, lambda: model.native(stored_as))
    done = Conversion(target, model.config, 1, len(layout), total, dtypes_of(layout))
    return FromGguf(done, model.kinds(), tuple(_notes(model.config)))


def _notes(config: ModelConfig) -> Iterator[str]:
    is_first_mistral = config.family == "mistral" and config.rope_theta == 10000.0
    if is_first_mistral and config.sliding_window is None:
        yield (
            "the file says no sliding window; Mistral 7B v0.1 has one of 4,096 tokens: for longer "
            "texts convert its Hugging Face directory"
        )
