"""Merge a LoRA checkpoint into its base model, with proof.

    python scripts/convert_lora_weights.py --base-ckpt-path D --lora-ckpt-path D --output-dir D

The written files are read back and their logits compared with those of the base and its adapter.
"""

from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from chat.tokenizers.tokenizer import load_tokenizer
from console.command import print_next, run, shell_quote
from inference.chat_choice import missing_flag
from model.config import PARAMS_FILE
from weights.adapter import read_adapter
from weights.directory import TOKENIZER_FILE, WEIGHTS_FILE
from weights.merge import MERGE_FILE, Base, merge_checkpoint, open_base
from weights.merge_proof import Proof
from weights.tokenizer_file import check_tokenizer

PROBES = (
    "The weather tomorrow will be mostly dry, with a light wind from the",
    'You can call these functions: {"name": "get_exchange_rate", "parameters": {"type": "object"',
    'User: How much is 25 dollars in euros?\nAssistant: {"tool_uses": [{"recipient_name": "',
    "A list of three primes: 2, 3 and 5. Their sum is 10 and their product is",
)


def main(
    base_ckpt_path: str,
    output_dir: str,
    lora_ckpt_path: str | None = None,
    config_dir: str | None = None,
    dtype: str | None = None,
) -> None:
    """Write base and adapter as one model directory, or refuse when it does not compute the same.

    Args:
        base_ckpt_path: The base model: its directory, consolidated.safetensors or consolidated.pth.
        output_dir: The directory to write; an earlier merge there is replaced.
        lora_ckpt_path: The LoRA checkpoint's directory, or its .safetensors, .pth or .pt file.
        config_dir: The directory with lora.json, where that is another than the checkpoint's.
        dtype: bfloat16, float16 or float32 to store; the base's own when not given.
    """
    lora = lora_ckpt_path or config_dir
    if lora is None:
        raise ValueError("name the LoRA checkpoint with --lora-ckpt-path")
    adapter = read_adapter(lora, config_dir)
    base = open_base(base_ckpt_path, adapter)
    done = merge_checkpoint(base, adapter, output_dir, dtype, _probes(base))
    print(
        f"{done.directory}: {decimal(done.bytes)}, {', '.join(done.dtypes)}; "
        f"{done.linears} layers with the adapter merged in"
    )
    _print_proof(done.proof, done.directory)
    print_next(
        f"python chat_completion.py --ckpt_dir {shell_quote(done.directory)} "
        f"--tokenizer_path {shell_quote(done.directory / TOKENIZER_FILE)}"
        f"{missing_flag(done.directory)}",
        "python scripts/convert_to_meta_weights.py "
        f"--config-file {shell_quote(done.directory / PARAMS_FILE)} "
        f"--ckpt-file {shell_quote(done.directory / WEIGHTS_FILE)} --num-shards 1 --output-dir D",
    )


def _probes(base: Base) -> list[list[int]] | None:
    """Tokenise the probe prompts where the base has a tokenizer."""
    if base.tokenizer is None:
        return None
    check_tokenizer(base.tokenizer, base.config.vocab_size)
    tokenizer = load_tokenizer(base.tokenizer)
    return [tokenizer.encode(text) for text in PROBES]


def _print_proof(proof: Proof, directory: Path) -> None:
    table = Table(title=f"Logits on {proof.probe_tokens} probe tokens, {proof.compute_dtype}")
    for column in ("", "max", "mean", "KL", "same top token"):
        table.add_column(column, justify="right" if column else "left")
    for name, each in (
        ("merged, base + adapter", proof.merge),
        ("rounding at random", proof.rounding),
        ("effect of the adapter", proof.adapter),
    ):
        figures = (f"{value:.2e}" for value in (each.max, each.mean, each.divergence))
        table.add_row(name, *figures, f"{each.agreement:.1%}")
    console = Console()
    console.print(table)
    print(
        f"proven: weights within {proof.weight_error:.2f} of what rounding allows, mean logit "
        f"difference {proof.merge.mean:.2e} of {proof.mean_limit:.2e} allowed "
        f"(figures in {directory / MERGE_FILE})"
    )
    if proof.lost > 0.5:
        print(
            f"note: rounding changes the logits by {proof.lost:.0%} of what the adapter does; "
            "add --dtype float32 to keep so small an adapter"
        )


if __name__ == "__main__":
    run(main)
