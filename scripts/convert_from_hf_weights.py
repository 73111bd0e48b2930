"""Convert a Hugging Face download of a model to a native model directory.

    python scripts/convert_from_hf_weights.py --hf-dir D --output-dir D

Reads `config.json`, the safetensors files and the tokenizer files of Llama, Mistral, Qwen2, Qwen3
and Phi-3 models, and writes `consolidated.safetensors`, `params.json` and the tokenizer files,
with little more memory than the largest tensor takes.
"""

from rich.filesize import decimal

from chat.tokenizers.tokenizer import load_tokenizer
from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from weights.hugging_face.conversion import convert_from_hugging_face
from weights.tokenizer_file import find_tokenizer


def main(hf_dir: str, output_dir: str) -> None:
    """Convert a Hugging Face directory to a native model directory and read the result back.

    Args:
        hf_dir: The download: config.json, safetensors (with an index if several), tokenizer files.
        output_dir: The native directory to write; an earlier conversion there is replaced.
    """
    done = convert_from_hugging_face(hf_dir, output_dir, check_tokenizer_loads=load_tokenizer)
    print(
        f"{done.config.family} model to {done.directory}: {done.tensors} tensors, "
        f"{decimal(done.bytes)}, {', '.join(done.dtypes)}; read back and compared bit for bit"
    )
    if done.left_out:
        print(f"{done.left_out} x rotary frequencies left out: the model computes them")
    print_next(
        f"python chat_completion.py --ckpt-dir {shell_quote(done.directory)} "
        f"--tokenizer-path {shell_quote(find_tokenizer(done.directory))}"
        f"{missing_flag(done.directory)}",
        "python scripts/clean_dataset.py --source-file F --save-file ./datasets/cleaned.json",
    )


if __name__ == "__main__":
    run(main)
