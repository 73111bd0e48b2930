"""Write a random Llama the way Meta ships one, to try every command before any download.

    python scripts/make_random_model.py --output-dir ./runs/random --num-shards 2

The weights are noise: such a model shows that commands fit together and what they cost, and
nothing about tool calls.
"""

from console.command import print_next, run, shell_quote
from weights.random_meta import write_random_meta


def main(
    output_dir: str,
    num_shards: int = 1,
    size: str = "tiny",
    tokenizer_file: str = "demo/base/tokenizer.model",
    dtype: str = "bfloat16",
    seed: int = 0,
) -> None:
    """Write consolidated.NN.pth, params.json and tokenizer.model of a model with seeded noise.

    Args:
        output_dir: The directory to write; an earlier model there is replaced.
        num_shards: Into how many files the weights are cut: 1, 2, 4 or 8, where the sizes divide.
        size: tiny (1.0 million weights), 1b or 8b (the shapes of Llama 3.2 1B and Llama 3 8B).
        tokenizer_file: The tokenizer to copy beside the weights; it gives the vocabulary's size.
        dtype: The kind of numbers to store, bfloat16, float16 or float32.
        seed: Another number gives other weights.
    """
    config = write_random_meta(output_dir, size, num_shards, tokenizer_file, dtype, seed)
    print(
        f"A random Llama in {output_dir}: {num_shards} shard{'s' * (num_shards > 1)}, {dtype}, "
        f"{config.n_layers} layers of width {config.dim}, {config.vocab_size:,} tokens. "
        "It is untrained: what it says is noise."
    )
    print_next(
        f"python scripts/convert_from_meta_weights.py --llama3-dir {shell_quote(output_dir)} "
        f"--output-dir {shell_quote(output_dir.rstrip('/') + '-native')}"
    )


if __name__ == "__main__":
    run(main)
