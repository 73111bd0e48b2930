"""Merge a LoRA checkpoint into its base model, with proof.

    python scripts/convert_lora_weights.py --base-ckpt-path D --lora-ckpt-path D --output-dir D

Every value that was written is read back and compared with the sum of base and adapter.
"""

from collections.abc import Mapping
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table

from chat.tokenizers.tokenizer import load_tokenizer
from console.command import print_next, run, shell_quote
from console.output import Console
from inference.chat_choice import missing_flag
from model.config import PARAMS_FILE
from weights.adapter import read_adapter
from weights.directory import WEIGHTS_FILE
from weights.merge import MERGE_FILE, merge_checkpoint
from weights.merge_base import Base, open_base
from weights.merge_logits import LogitDifference, LogitFigures, random_probes
from weights.merge_proof import Proof
from weights.merge_targets import TargetFigures
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
    target: str | None = None,
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
        target: For an adapter that was trained on a quantised base: dequantized merges it into the
            weights it was trained against, original into those that were quantised. Both are
            compared with what was trained. dequantized when not given.
    """
    lora = lora_ckpt_path or config_dir
    if lora is None:
        raise ValueError("name the LoRA checkpoint with --lora-ckpt-path")
    adapter = read_adapter(lora, config_dir)
    base = open_base(base_ckpt_path, adapter, target)
    if base.tokenizer is not None:
        check_tokenizer(base.tokenizer, base.config.vocab_size)
    probes = _probes(base) if logits or base.targets else None
    done = merge_checkpoint(base, adapter, output_dir, dtype, probes)
    print(
        f"{done.directory}: {decimal(done.bytes)}, {', '.join(done.dtypes)}; "
        f"{done.linears} layers with the adapter merged in"
    )
    if done.logits is not None:
        Console().print(_logit_table(done.logits))
    if done.targets is not None and base.targets is not None:
        _print_targets(done.targets, base.targets.chosen)
    _print_proof(done.proof, done.directory)
    print_next(
        f"python chat_completion.py --ckpt-dir {shell_quote(done.directory)} "
        f"--tokenizer-path {shell_quote(tokenizer_in(done.directory) or 'F')}"
        f"{missing_flag(done.directory)}",
        f"python scripts/convert_to_hf_weights.py --ckpt-dir {shell_quote(done.directory)} "
        "--output-dir D",
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
    title = f"Logits on {logits.probe_tokens} probe tokens, {logits.compute_dtype}"
    rows = {"merged, base + adapter": logits.merge, "effect of the adapter": logits.adapter}
    return _differences_table(title, rows)


def _print_targets(figures: TargetFigures, chosen: str) -> None:
    """Print how far either merge is from what was trained, and which is nearer."""
    title = f"Logits beside the trained model's, {figures.probe_tokens} probe tokens, float32"
    rows = {"onto the dequantised base": figures.dequantized}
    if figures.original is not None:
        rows["onto the original base"] = figures.original
    rows["effect of the adapter"] = figures.adapter
    Console().print(_differences_table(title, rows))
    if figures.nearer is None:
        print("the original base is not at hand; name it with --base-ckpt-path to compare both")
    else:
        print(f"nearer to what was trained: {figures.nearer}; merged into: {chosen}")


def _differences_table(title: str, rows: Mapping[str, LogitDifference]) -> Table:
    table = Table(title=title)
    for column in ("", "max", "mean", "KL", "same top token"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in rows.items():
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
