"""Let a model go on with texts as they stand, without the turns of its chat format.

    python scripts/complete_text.py --ckpt-dir D --prompts-file F

For models that learned whole texts (build_dataset.py --train-on all).
"""

from console.command import print_next, run, shell_quote
from console.flags import check_idle_flags
from console.output import Console
from inference.chat_choice import FORMAT_FLAGS
from inference.completion import completed_texts, read_prompts
from inference.generate import Decoding
from inference.loading import Source, load_chat_model


def main(
    ckpt_dir: str,
    prompts_file: str,
    lora_ckpt_path: str | None = None,
    tokenizer_path: str | None = None,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    max_new_tokens: int = 150,
    max_seq_len: int = 4096,
    batch_size: int = 16,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 1,
    quantization: str | None = None,
) -> None:
    """Print each text of a file and what the model writes after it.

    The model:
        ckpt_dir: A native model directory (merged, or converted).
        lora_ckpt_path: A LoRA checkpoint to use on top of ckpt_dir without merging it.
        tokenizer_path: The model's tokenizer file; by default the one in ckpt_dir.
        chat_format: Whose begin and stop tokens are used; by default the one that the model was
            trained in, or else that of its family (docs/chat-formats.md).
        chat_format_anyway: Use --chat-format also where the model was trained in another.
        quantization: Store the linear layers in nf4 or nf4_double, or none; by default as when the
            adapter was trained, or as ckpt_dir holds them.

    Texts:
        prompts_file: A JSON list of texts.

    What is written:
        max_new_tokens: The most tokens that follow a text.
        max_seq_len: The most tokens of a text and what follows together.
        batch_size: How many texts are gone on with at once.
        temperature: 0 takes the likeliest token each time, higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        seed: Another number draws other texts.
    """
    check_idle_flags(locals(), FORMAT_FLAGS)
    prompts = read_prompts(prompts_file)
    source = Source(
        ckpt_dir, lora_ckpt_path, tokenizer_path, chat_format, chat_format_anyway, quantization
    )
    decoding = Decoding((), max_new_tokens, max_seq_len, batch_size, temperature, top_p, seed)
    texts = dict(completed_texts(load_chat_model(source), prompts, decoding))
    console = Console()
    for index in range(len(prompts)):
        console.rule(f"text {index + 1} of {len(prompts)}")
        for line in texts[index].splitlines():
            console.print(line, soft_wrap=True)
    adapter = f" --lora-ckpt-path {shell_quote(lora_ckpt_path)}" if lora_ckpt_path else ""
    print_next(f"python chat_completion.py --ckpt-dir {shell_quote(ckpt_dir)}{adapter}")


if __name__ == "__main__":
    run(main)
