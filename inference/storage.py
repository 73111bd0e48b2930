"""How the linear layers of a model that is spoken to are stored: as they are, or in fewer bits.

An adapter is spoken to on the base it was trained against: where that was quantised, it is again.
"""

from collections.abc import Mapping
from pathlib import Path

from console.command import shell_quote
from model.quantized import QUANTIZATIONS
from weights.adapter import adapter_file, base_quantization
from weights.directory import resolve_directory
from weights.nf4.directory import original_directory, read_quantization, stored_quantization

NOT_QUANTIZED = "none"
FULL_PRECISION = "full precision"


def choose_storage(
    given: str | None, directory: Path, trained: Mapping[str, str | None]
) -> str | None:
    """Return how a base's linear layers are stored, one of QUANTIZATIONS; None as they are.

    `given` is --quantization, `trained` has of each adapter by name how its base was stored while
    it was trained. Raises ValueError where they differ and none is given, or where the directory
    holds weights that are quantised in another way.
    """
    if given not in (None, NOT_QUANTIZED, *QUANTIZATIONS):
        wanted = ", ".join((*QUANTIZATIONS, NOT_QUANTIZED))
        raise ValueError(f"--quantization is {given!r}, wanted one of {wanted}")
    record = read_quantization(directory)
    if given is not None:
        if record is not None and given != record.quantization:
            raise ValueError(
                f"--quantization is {given}, and {directory} holds weights in "
                f"{record.quantization}; leave the flag out, or name the weights they were made "
                f"of: {shell_quote(record.directory)}"
            )
        return None if given == NOT_QUANTIZED else given
    kinds = {kind: name for name, kind in trained.items()}
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise ValueError(
            f"{first} was trained on a base in {one or FULL_PRECISION}, and {second} on one in "
            f"{other or FULL_PRECISION}; choose one for all with --quantization"
        )
    known = next(iter(kinds), None)
    if record is None:
        return known
    if known not in (None, record.quantization):
        raise ValueError(
            f"{kinds[known]} was trained on a base in {known}, and {directory} holds "
            f"{record.quantization}; name the weights they were made of: "
            f"{shell_quote(record.directory)}, or add --quantization {record.quantization}"
        )
    return record.quantization


def storage_line(
    directory: Path, storage: str | None, adapter: str | None, trained: str | None
) -> str | None:
    """Return the line that says how a base is stored and how it was while its adapter was trained.

    None where nothing is quantised.
    """
    if storage is None and trained is None:
        return None
    line = f"{directory}: linear layers in {storage or FULL_PRECISION}"
    if adapter is None:
        return line
    if trained == storage:
        return f"{line}, as when {adapter} was trained"
    return f"{line}; {adapter} was trained on a base in {trained or FULL_PRECISION}"


def merge_command(ckpt_dir: Path | str, lora_ckpt_path: Path | str) -> str:
    """Return the command that merges an adapter into the base it is spoken to on.

    Where that is quantised otherwise than while the adapter was trained, the base is what it was
    made of.
    """
    directory = resolve_directory(ckpt_dir)
    trained = base_quantization(adapter_file(lora_ckpt_path).parent)
    same = stored_quantization(directory) == trained
    base = ckpt_dir if same else original_directory(directory)
    return (
        f"python scripts/convert_lora_weights.py --base-ckpt-path {shell_quote(base)} "
        f"--lora-ckpt-path {shell_quote(lora_ckpt_path)} --output-dir D"
    )
