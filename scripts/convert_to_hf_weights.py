"""Convert a native model directory to Hugging Face's layout, for vLLM, SGLang and TensorRT-LLM 1.x.

    python scripts/convert_to_hf_weights.py --ckpt-dir D --output-dir D

Undoes `convert_from_hf_weights.py`: the tensors of a round trip hold the same bits.
"""

from collections.abc import Callable
from pathlib import Path

from rich.filesize import decimal

from chat.formats.format import ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import stop_ids
from chat.tokenizers.pieces import SentencePieceTokenizer
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from chat.tokenizers.written import JSON_FILE, write_hugging_face_tokenizer
from console.command import print_next, run, shell_quote
from model.config import ModelConfig
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
    directory = resolve_directory(ckpt_dir)
    spoken = _language(directory)
    begin, stops = (None, ()) if spoken is None else _begin_and_stops(*spoken)
    done = convert_to_hugging_face(
        directory,
        output_dir,
        dtype,
        stops,
        begin,
        largest_file,
        _tokenizer_writer(directory, spoken),
    )
    print(
        f"{done.shards} file{'s' * (done.shards > 1)} in {done.directory}: {done.tensors} tensors, "
        f"{decimal(done.bytes)}, {', '.join(done.dtypes)}; read back and compared bit for bit"
    )
    if read_chat_record(directory) is not None:
        print(
            "a chat template in it is the base model's, and writes tools otherwise than this model "
            "was trained to read them: write prompts as docs/function-calling-design.md says, and "
            "send them to vLLM's /v1/completions"
        )
    print_next(f"vllm serve {shell_quote(done.directory)}  (where vLLM is installed)")


def _language(directory: Path) -> tuple[ChatFormat, Tokenizer] | None:
    """Return the chat format a model was trained in, with its tokenizer; None for an untrained."""
    record = read_chat_record(directory)
    if record is None or record.name is None:
        return None
    format = find_format(record.name)
    return format, format.load_tokenizer(find_tokenizer(directory))


def _begin_and_stops(
    format: ChatFormat, tokenizer: Tokenizer
) -> tuple[int | None, tuple[int, ...]]:
    """Return the token that begins a conversation and those that end a reply, as trained."""
    return tokenizer.special_tokens.get(format.begin), stop_ids(format, tokenizer)


def _tokenizer_writer(
    directory: Path, spoken: tuple[ChatFormat, Tokenizer] | None
) -> Callable[[Path], None] | None:
    """Return what writes a tokenizer.json, where the model has none of its own."""
    file = find_tokenizer(directory)
    if file.name == JSON_FILE:
        return None
    format, tokenizer = spoken or (None, load_tokenizer(file, _special_table(directory)))
    if not isinstance(tokenizer, TiktokenTokenizer | SentencePieceTokenizer):
        raise ValueError(f"{file} holds a tokenizer.json; name it {JSON_FILE}")
    stop = format.stop_tokens[0] if format else None
    return lambda target: write_hugging_face_tokenizer(tokenizer, target, stop)


def _special_table(directory: Path) -> str:
    """Return which of Llama 3's tables of special tokens a model has: 3.1 came with scaled RoPE."""
    return "llama3" if ModelConfig.read(directory).rope_scaling is None else "llama3_1"


if __name__ == "__main__":
    run(main)
