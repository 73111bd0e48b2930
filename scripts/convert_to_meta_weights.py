"""Convert a native model directory to Meta's shards, for TensorRT-LLM and other readers of them.

Mistral's models are written in Mistral's own layout, which is nearly the same.

    python scripts/convert_to_meta_weights.py --config-file D/params.json \\
        --ckpt-file D/consolidated.safetensors --num-shards 1 --output-dir D

Undoes `convert_from_meta_weights.py`: the shards of a round trip hold the same bits.
"""

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from storage.atomic import earlier_output
from weights.conversion import Conversion, convert_to_meta
from weights.tokenizer_file import TOKENIZER_FILE, versioned_tokenizers


def main(
    config_file: str, ckpt_file: str, output_dir: str, num_shards: int = 1, dtype: str | None = None
) -> None:
    """Write a native model as Meta's shards and read the result back.

    Args:
        config_file: The model's params.json, or the directory that holds it.
        ckpt_file: The model's consolidated.safetensors (or .pth), or the directory that holds it.
        output_dir: The directory to write; an earlier export there is replaced.
        num_shards: Into how many shards the tensors are cut: 1, 2, 4 or 8.
        dtype: bfloat16, float16 or float32 to change the stored numbers; kept when not given.
    """
    replaced = earlier_output(output_dir)
    done = convert_to_meta(config_file, ckpt_file, num_shards, output_dir, dtype)
    print(
        f"{done.shards} shard{'s' * (done.shards > 1)} in {done.directory}: "
        f"{done.tensors} tensors{' each' * (done.shards > 1)}, {decimal(done.bytes)}, "
        f"{', '.join(done.dtypes)}; read back and compared with the model bit for bit"
        f"{replaced}"
    )
    if done.config.family == "mistral":
        _print_rest_for_mistral(done)
    else:
        _print_rest_for_llama(done)


def _print_rest_for_llama(done: Conversion) -> None:
    if not (done.directory / TOKENIZER_FILE).is_file():
        print(
            f"there is no {TOKENIZER_FILE}, which Meta's own loader wants: copy it there from the "
            "model's download (Hugging Face's Llama 3 has it in its directory `original`)"
        )
    print_next(
        "python convert_checkpoint.py "
        f"--meta_ckpt_dir {shell_quote(done.directory)} --output_dir ./tensorrt_llm "
        f"--dtype {done.dtypes[0]}  (in TensorRT-LLM's examples for Llama)"
    )


def _print_rest_for_mistral(done: Conversion) -> None:
    names = ("tekken.json", TOKENIZER_FILE)
    versioned = versioned_tokenizers(done.directory)
    if not versioned and not any((done.directory / name).is_file() for name in names):
        print(
            f"there is no tekken.json and no {TOKENIZER_FILE} (or with a version, as .v3), one of "
            "which Mistral's own loader wants: copy it there from the model's download"
        )
    print_next(
        f"mistral-chat {shell_quote(done.directory)} --instruct  (where mistral-inference is "
        "installed)"
    )


if __name__ == "__main__":
    run(main)
