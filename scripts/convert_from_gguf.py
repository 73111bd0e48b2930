"""Convert a GGUF file, as llama.cpp and its kin use it, to a native model directory.

    python scripts/convert_from_gguf.py --gguf-file F --output-dir D

Reads models of Llama, Mistral, Qwen2, Qwen3 and Phi-3 with tensors of type F32, F16, BF16, Q8_0,
Q4_0, Q4_1, Q4_K and Q6_K, and the tokenizer in the file. What is quantised there becomes whole
numbers again that can be trained; what quantisation lost stays lost.
"""

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from weights.gguf.conversion import convert_from_gguf
from weights.tokenizer_file import find_tokenizer


def main(gguf_file: str, output_dir: str, dtype: str | None = None) -> None:
    """Convert a GGUF file to a native model directory and read the result back.

    Args:
        gguf_file: The file, whole: of several parts, join them first.
        output_dir: The native directory to write; an earlier conversion there is replaced.
        dtype: bfloat16, float16 or float32 to store; when not given, the smallest that holds every
            number of the file: float32 where it is quantised.
    """
    found = convert_from_gguf(gguf_file, output_dir, dtype)
    done = found.written
    print(
        f"{done.config.family} model to {done.directory}: {done.tensors} tensors, "
        f"{decimal(done.bytes)}, {', '.join(done.dtypes)}; read back and compared bit for bit"
    )
    if found.quantised:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in found.quantised.items())
        print(f"dequantised: {kinds}; what the quantisation lost stays lost{_half(done.dtypes)}")
    for note in found.notes:
        print(note)
    print_next(
        f"python chat_completion.py --ckpt-dir {shell_quote(done.directory)} "
        f"--tokenizer-path {shell_quote(find_tokenizer(done.directory))}"
        f"{missing_flag(done.directory)}",
        "python scripts/clean_dataset.py --source-file F --save-file ./datasets/cleaned.json",
    )


def _half(dtypes: tuple[str, ...]) -> str:
    return " (--dtype bfloat16 halves the size)" if dtypes == ("float32",) else ""


if __name__ == "__main__":
    run(main, reads_written=False)
