"""Make a LoRA checkpoint of an adapter in PEFT's layout.

    python scripts/import_adapter.py --peft-dir D --base-ckpt-path P --output-dir D

What the adapter computes stays the same; what a LoRA here cannot represent is refused by name.
"""

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from weights.directory import resolve_directory
from weights.peft.conversion import import_adapter


def main(
    peft_dir: str, base_ckpt_path: str, output_dir: str, quantization: str | None = None
) -> None:
    """Write an adapter of PEFT as adapter.safetensors and lora.json, and read it back.

    Args:
        peft_dir: The directory with adapter_config.json and adapter_model.safetensors.
        base_ckpt_path: The native directory of the base it was trained on.
        output_dir: The directory to write; an earlier import there is replaced.
        quantization: Whether it was trained on a base in nf4 or nf4_double (QLoRA), as its authors
            say; adapters exported here say so themselves.
    """
    done = import_adapter(peft_dir, base_ckpt_path, output_dir, quantization)
    print(
        f"LoRA checkpoint of a {done.config.family} model in {done.directory}: {done.layers} "
        f"layers, rank up to {done.largest_rank}, {decimal(done.bytes)}, {', '.join(done.dtypes)}; "
        "read back and compared bit for bit"
    )
    base = shell_quote(resolve_directory(base_ckpt_path))
    adapter = shell_quote(done.directory)
    print_next(
        f"python chat_completion.py --ckpt-dir {base} --lora-ckpt-path {adapter}"
        f"{missing_flag(done.directory)}",
        f"python scripts/convert_lora_weights.py --base-ckpt-path {base} --lora-ckpt-path "
        f"{adapter} --output-dir D",
    )


if __name__ == "__main__":
    run(main)
