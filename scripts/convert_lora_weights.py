"""Merge a LoRA checkpoint into its base model, with proof.

    python scripts/convert_lora_weights.py --base-ckpt-path D --lora-ckpt-path D --output-dir D

Every value that was written is read back and compared with the sum of base and adapter.
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
from weights.directory import WEIGHTS_FILE
from weights.merge import MERGE_FILE, Base, merge_checkpoint, open_base
from weights.merge_logits import LogitFigures, random_probes
from weights.merge_proof import Proof
from weights.tokenizer_file import check_tokenizer, tokenizer_in

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
    logits: bool = False,
) -> None:
    """Write base and adapter as one model directory, or refuse when it does not hold their sum.

    Args:
        base_ckpt_path: The base model: its directory, consolidated.safetensors or consolidated.pth.
        output_dir: The directory to write; an earlier merge there is replaced.
        lora_ckpt_path: The LoRA checkpoint's directory, or its .safetensors, .pth or .pt file.
        config_dir: The directory with lora.json, where that is another than the checkpoint's.
        dtype: bfloat16, float16 or float32 to store; the base's own when not given.
        logits: Also run the models on a few prompts and print how far their logits differ; takes
            the memory of one whole model in float32.
    """
    lora = lora_ckpt_path or config_dir
    if lora is None:
        raise ValueError("name the LoRA checkpoint with --lora-ckpt-path")
    adapter = read_adapter(lora, config_dir)
    base = open_base(base_ckpt_path, adapter)
    if base.tokenizer is not None:
        check_tokenizer(base.tokenizer, base.config.vocab_size)
    probes = _probes(base) if logits else None
    done = merge_checkpoint(base, adapter, output_dir, dtype, probes)
    print(
        f"{done.directory}: {decimal(done.bytes)}, {', '.join(done.dtypes)}; "
        f"{done.linears} layers with the adapter merged in"
    )
    if done.logits is not None:
        Console().print(_logit_table(done.logits))
    _print_proof(done.proof, done.directory)
    print_next(
        f"python chat_completion.py --ckpt_dir {shell_quote(done.directory)} "
        f"--tokenizer_path {shell_quote(tokenizer_in(done.directory) or 'F')}"
        f"{missing_flag(done.directory)}",
        "python scripts/convert_to_meta_weights.py "
        f"--config-file {shell_quote(done.directory / PARAMS_FILE)} "
        f"--ckpt-file {shell_quote(done.directory / WEIGHTS_FILE)} --num-shards 1 --output-dir D",
    )


def _probes(base: Base) -> list[list[int]]:
    """Tokenise the probe prompts; random tokens where the base has no tokenizer."""
    if base.tokenizer is None:
        return random_probes(base.config.vocab_size)
    tokenizer = load_tokenizer(base.tokenizer)
    return [tokenizer.encode(text) for text in PROBES]


def _logit_table(logits: LogitFigures) -> Table:
    table = Table(title=f"Logits on {logits.probe_tokens} probe tokens, {logits.compute_dtype}")
    for column in ("", "max", "mean", "KL", "same top token"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in (
        ("merged, base + adapter", logits.merge),
        ("effect of the adapter", logits.adapter),
    ):
        figures = (f"{value:.2e}" for value in (found.max, found.mean, found.divergence))
        table.add_row(name, *figures, f"{found.agreement:.1%}")
    return table


def _print_proof(proof: Proof, directory: Path) -> None:
    replaced = (
        f"{proof.replaced} what was trained in place of the base's bit for bit, "
        if proof.replaced
        else ""
    )
    print(
        f"proven: {proof.merged_weights} weights are base + adapter within "
        f"{proof.weight_error:.2f} of what rounding allows, {replaced}the other "
        f"{proof.unchanged_weights} the base's bit for bit (figures in {directory / MERGE_FILE})"
    )
    if proof.lost > 0.5:
        print(
            f"note: rounding took {proof.lost:.0%} of what the adapter adds; "
            "add --dtype float32 to keep so small an adapter"
        )


if __name__ == "__main__":
    run(main)
