"""Convert a native model directory to Hugging Face's layout, for vLLM, SGLang and TensorRT-LLM 1.x.

    python scripts/convert_to_hf_weights.py --ckpt-dir D --output-dir D

Undoes `convert_from_hf_weights.py`: the tensors of a round trip hold the same bits.
"""

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
from export.serve_check import ServeCheck, check_serving, format_serve_table
from export.servers import serving_command
from export.serving_files import SERVE_FILE, write_serving_files, write_tokenizer_settings
from model.config import ModelConfig
from storage.atomic import earlier_output
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
    check = None if spoken is None else check_serving(spoken[0])
    place = Path(output_dir).expanduser().absolute()
    replaced = earlier_output(place)
    done = convert_to_hugging_face(
        directory,
        output_dir,
        dtype,
        stops,
        begin,
        largest_file,
        lambda partial: _write_beside(directory, partial, place, spoken, check),
    )
    print(
        f"{done.shards} file{'s' * (done.shards > 1)} in {done.directory}: {done.tensors} tensors, "
        f"{decimal(done.bytes)}, {', '.join(done.dtypes)}; read back and compared bit for bit"
        f"{replaced}"
    )
    if check is None:
        print(
            "this checkpoint remembers no chat format, so neither a chat template nor files that "
            "say how it is served were written"
        )
        print_next(f"vllm serve {shell_quote(done.directory)}  (where vLLM is installed)")
        return
    print(f"\n{format_serve_table(check)}\n\n{place / SERVE_FILE} has the command of each server")
    command = serving_command("vllm", check.best_parser("vllm"), shell_quote(place))
    print_next(f"{command}  (where vLLM is installed)")


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


def _write_beside(
    source: Path,
    directory: Path,
    place: Path,
    spoken: tuple[ChatFormat, Tokenizer] | None,
    check: ServeCheck | None,
) -> None:
    """Write what lies beside the weights: the tokenizer, and how the model is served."""
    _write_tokenizer(source, directory, spoken)
    if spoken is not None and check is not None:
        format, tokenizer = spoken
        names = {id: name for name, id in tokenizer.special_tokens.items()}
        stops = [names[id] for id in stop_ids(format, tokenizer)]
        write_serving_files(directory, format, check, place, stops)
    else:
        write_tokenizer_settings(directory, None)


def _write_tokenizer(
    source: Path, directory: Path, spoken: tuple[ChatFormat, Tokenizer] | None
) -> None:
    """Write a tokenizer.json, where the model has none of its own."""
    file = find_tokenizer(source)
    if file.name == JSON_FILE:
        return
    format, tokenizer = spoken or (None, load_tokenizer(file, _special_table(source)))
    if not isinstance(tokenizer, TiktokenTokenizer | SentencePieceTokenizer):
        raise ValueError(f"{file} holds a tokenizer.json; name it {JSON_FILE}")
    write_hugging_face_tokenizer(tokenizer, directory, format.stop_tokens[0] if format else None)


def _special_table(directory: Path) -> str:
    """Return which of Llama 3's tables of special tokens a model has: 3.1 came with scaled RoPE."""
    return "llama3" if ModelConfig.read(directory).rope_scaling is None else "llama3_1"


if __name__ == "__main__":
    run(main)
