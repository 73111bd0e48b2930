"""Convert a native model directory to Hugging Face's layout, for vLLM, SGLang and TensorRT-LLM 1.x.

    python scripts/convert_to_hf_weights.py --ckpt-dir D --output-dir D

Undoes `convert_from_hf_weights.py`: the tensors of a round trip hold the same bits.
"""

from pathlib import Path

from rich.filesize import decimal

from chat.formats.rendering import find_format, stop_ids
from chat.tokenizers.tokenizer import load_tokenizer
from console.command import print_next, run, shell_quote
from weights.chat_record import read_chat_record
from weights.directory import resolve_directory
from weights.hugging_face.conversion import convert_to_hugging_face
from weights.hugging_face.export import LARGEST_FILE
from weights.tokenizer_file import find_tokenizer


def main(
    ckpt_dir: str, output_dir: str, dtype: str | None = None, largest_file: int = LARGEST_FILE
) -> None:
    """Write a native model as a Hugging Face directory and read the result back.

    Args:
        ckpt_dir: The native model directory; merge an adapter first.
        output_dir: The directory to write; an earlier export there is replaced.
        dtype: bfloat16, float16 or float32 to change the stored numbers; kept when not given.
        largest_file: Into files of how many bytes the weights are cut, at most.
    """
    begin, stops = _begin_and_stops(resolve_directory(ckpt_dir))
    done = convert_to_hugging_face(ckpt_dir, output_dir, dtype, stops, begin, largest_file)
    print(
        f"{done.shards} file{'s' * (done.shards > 1)} in {done.directory}: {done.tensors} tensors, "
        f"{decimal(done.bytes)}, {', '.join(done.dtypes)}; read back and compared bit for bit"
    )
    print_next(f"vllm serve {shell_quote(done.directory)}  (where vLLM is installed)")


def _begin_and_stops(directory: Path) -> tuple[int | None, tuple[int, ...]]:
    """Return the token that begins a conversation and those that end a reply, as trained."""
    record = read_chat_record(directory)
    if record is None or record.name is None:
        return None, ()
    format = find_format(record.name)
    tokenizer = load_tokenizer(find_tokenizer(directory), format.special_table)
    return tokenizer.special_tokens.get(format.begin), tuple(stop_ids(format, tokenizer))


if __name__ == "__main__":
    run(main)
