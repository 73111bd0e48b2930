"""Quantise a native model directory to NF4, so that QLoRA need not do so at every start.

    python scripts/quantize.py --ckpt-dir D --output-dir E

The linear layers of the blocks take 4 bits a value; embedding, norms and head stay as they are.
"""

from typing import Literal

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from weights.nf4.conversion import quantize_directory


def main(
    ckpt_dir: str, output_dir: str, quantization: Literal["nf4", "nf4_double"] = "nf4_double"
) -> None:
    """Write a native model directory with its linear layers in NF4, and read it back.

    Args:
        ckpt_dir: The native model directory to quantise.
        output_dir: The directory to write; an earlier one of this command there is replaced.
        quantization: nf4_double stores the scales of its blocks in 8 bits, nf4 in 32.
    """
    done = quantize_directory(ckpt_dir, output_dir, quantization)
    print(
        f"{done.directory}: {decimal(done.bytes)} ({decimal(done.bytes_before)} before); "
        f"{done.weights} weights in {quantization}, {done.others} tensors as they were; read back "
        "and compared bit for bit"
    )
    place = shell_quote(done.directory)
    print_next(
        f"python finetune.py --config-file configs/finetune.json --model.checkpoint_dir={place} "
        f"--model.quantization={quantization}",
        f"python chat_completion.py --ckpt-dir {place} --interactive{missing_flag(done.directory)}",
    )


if __name__ == "__main__":
    run(main)
