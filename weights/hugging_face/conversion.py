"""Hugging Face weights to a native directory and back: streamed, read back, whole or not at all."""

from collections.abc import Callable
from pathlib import Path

from storage.atomic import check_own_directory, new_directory
from storage.json_file import read_json_object, write_json
from weights.chat_record import copy_chat_record
from weights.conversion import (
    Conversion,
    dtypes_of,
    require_space,
    write_beside,
    write_checked,
)
from weights.directory import KIND as NATIVE_KIND
from weights.directory import WEIGHTS_FILE, layout_bytes
from weights.hugging_face.export import (
    GENERATION_FILE,
    INDEX_FILE,
    LARGEST_FILE,
    open_hugging_face_export,
)
from weights.hugging_face.reading import check_token_ids, read_hugging_face
from weights.tokenizer_file import check_tokenizer, copy_tokenizer, find_tokenizer

KIND = "Hugging Face weights"


def convert_from_hugging_face(
    source: Path | str,
    target: Path | str,
    check_tokenizer_loads: Callable[[Path], object] | None = None,
) -> Conversion:
    """Turn a Hugging Face directory into a native one; at most one tensor is held in memory.

    `check_tokenizer_loads` is given the tokenizer's file before anything is written, and raises
    where it cannot be used.
    """
    target = Path(target).expanduser()
    check_own_directory(target, NATIVE_KIND)
    model = read_hugging_face(source)
    tokenizer = find_tokenizer(model.directory)
    check_tokenizer(tokenizer, model.config.vocab_size)
    if check_tokenizer_loads is not None:
        check_tokenizer_loads(tokenizer)
    generation = model.directory / GENERATION_FILE
    if generation.is_file():
        check_token_ids(read_json_object(generation), model.config.vocab_size, generation)
    layout = model.layout()
    total = layout_bytes(layout)
    require_space(target, total)
    with new_directory(target, NATIVE_KIND) as partial:
        write_beside(partial, model.params, model.directory)
        if not (partial / GENERATION_FILE).is_file():
            tokens = ("bos_token_id", "eos_token_id", "pad_token_id")
            given = {name: model.settings.get(name) for name in tokens}
            write_json(partial / GENERATION_FILE, {k: v for k, v in given.items() if v is not None})
        copy_chat_record(partial, model.directory)
        write_checked({partial / WEIGHTS_FILE: layout}, model.native)
    dtypes = dtypes_of(layout)
    return Conversion(target, model.config, 1, len(layout), total, dtypes, model.left_out)


def convert_to_hugging_face(
    source: Path | str,
    target: Path | str,
    dtype: str | None = None,
    stop_ids: tuple[int, ...] = (),
    begin_id: int | None = None,
    largest_file: int = LARGEST_FILE,
    write_more: Callable[[Path], None] | None = None,
) -> Conversion:
    """Write a native model as a Hugging Face directory; at most one of its tensors is held.

    `stop_ids` end a reply besides those that the model's own generation config names.
    `write_more` is called with the directory, to put further files into it before it is in place.
    """
    target = Path(target).expanduser()
    check_own_directory(target, KIND)
    export = open_hugging_face_export(source, dtype, largest_file)
    check_tokenizer(find_tokenizer(export.directory), export.config.vocab_size)
    require_space(target, export.total)
    with new_directory(target, KIND) as partial:
        copy_tokenizer(export.directory, partial)
        for name, settings in export.settings(stop_ids, begin_id).items():
            write_json(partial / name, settings)
        if len(export.files) > 1:
            write_json(partial / INDEX_FILE, export.index())
        copy_chat_record(partial, export.directory)
        if write_more is not None:
            write_more(partial)
        named = export.files.items()
        write_checked({partial / name: layout for name, layout in named}, export.pairs)
    layouts = list(export.files.values())
    dtypes = tuple(sorted({kind for layout in layouts for kind in dtypes_of(layout)}))
    tensors = sum(map(len, layouts))
    return Conversion(target, export.config, len(layouts), tensors, export.total, dtypes)
