"""Convert Meta's Llama weights to a native model directory.

    python scripts/convert_from_meta_weights.py --llama3-dir D --output-dir D

Reads `consolidated.00.pth` and its fellow shards, `params.json` and `tokenizer.model`, and writes
`consolidated.safetensors`, `params.json` and `tokenizer.model`, whatever the model's size with
little more memory than its largest tensor.
"""

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from weights.conversion import convert_from_meta
from weights.tokenizer_file import find_tokenizer


def main(llama3_dir: str, output_dir: str) -> None:
    """Convert Meta's shards to a native model directory and read the result back.

    Args:
        llama3_dir: The directory of Meta's download: shards, params.json and tokenizer.model.
        output_dir: The native directory to write; an earlier conversion there is replaced.
    """
    done = convert_from_meta(llama3_dir, output_dir)
    print(
        f"{done.shards} shard{'s' * (done.shards > 1)} to {done.directory}: "
        f"{done.tensors} tensors, {decimal(done.bytes)}, {', '.join(done.dtypes)}; "
        "read back and compared with the shards bit for bit"
    )
    if done.config.tied_embeddings:
        print("output.weight equals tok_embeddings.weight bit for bit and is stored once")
    if done.left_out:
        print(f"{done.left_out} x rope.freqs left out: the model computes them")
    print_next(
        f"python chat_completion.py --ckpt-dir {shell_quote(done.directory)} "
        f"--tokenizer-path {shell_quote(find_tokenizer(done.directory))}"
        f"{missing_flag(done.directory)}",
        "python scripts/clean_dataset.py --source-file F --save-file ./datasets/cleaned.json",
    )


if __name__ == "__main__":
    run(main)
