"""Write a LoRA checkpoint in PEFT's layout, which PEFT, vLLM and others load as it is.

    python scripts/export_adapter.py --lora-ckpt-path P --output-dir D

The adapter belongs to the base in Hugging Face's layout (`scripts/convert_to_hf_weights.py`).
"""

from rich.filesize import decimal

from console.command import print_next, run, shell_quote
from model.quantized import NF4_KINDS
from storage.atomic import earlier_output
from weights.adapter import read_adapter
from weights.peft.card import bitsandbytes_settings
from weights.peft.conversion import export_adapter

# The values that vLLM's --max-lora-rank may have; source: `MaxLoRARanks` of its configuration.
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def main(lora_ckpt_path: str, output_dir: str) -> None:
    """Write an adapter as adapter_config.json and adapter_model.safetensors, and read it back.

    Args:
        lora_ckpt_path: The LoRA checkpoint's directory, or its file of tensors.
        output_dir: The directory to write; an earlier export there is replaced.
    """
    replaced = earlier_output(output_dir)
    done = export_adapter(lora_ckpt_path, output_dir)
    print(
        f"PEFT adapter of a {done.config.family} model in {done.directory}: {done.layers} layers, "
        f"rank up to {done.largest_rank}, {decimal(done.bytes)}, {', '.join(done.dtypes)}; read "
        f"back and compared bit for bit{replaced}"
    )
    if done.unusual:
        print(
            f"note: it has {done.unusual}, which PEFT reads and vLLM does not; for vLLM, merge it "
            "(scripts/convert_lora_weights.py)"
        )
    quantization = read_adapter(lora_ckpt_path).quantization
    if quantization in NF4_KINDS:
        settings = bitsandbytes_settings(quantization).items()
        print(
            f"note: it was trained on a base in {quantization}; load its base with "
            f"BitsAndBytesConfig({', '.join(f'{name}={value!r}' for name, value in settings)})"
        )
    rank = next((rank for rank in VLLM_RANKS if rank >= done.largest_rank), None)
    if rank is not None and not done.unusual:
        print_next(
            f"vllm serve HF_DIR --enable-lora --max-lora-rank {rank} "
            f"--lora-modules NAME={shell_quote(done.directory)}  (where vLLM is installed; HF_DIR "
            "is the base in Hugging Face's layout)"
        )


if __name__ == "__main__":
    run(main)
