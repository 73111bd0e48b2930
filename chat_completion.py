"""Chat with tools: let a model answer a file of dialogs, and show the calls it makes.

python chat_completion.py --ckpt_dir D --tokenizer_path D/tokenizer.model
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console

from chat.dialogs import read_dialogs
from chat.formats import find_format
from chat.tokenizer import load_tokenizer
from chat.transcript import call_lines, conversation_lines
from console.command import print_next, run, typed
from evaluation.constrained import Constraints
from evaluation.replies import Answer, Speaker
from model.adapter import read_adapter
from model.config import ModelConfig
from model.directory import load_model, resolve_directory
from model.generate import Decoding
from model.tokenizer_file import check_tokenizer
from model.transformer import Transformer


def main(
    ckpt_dir: str,
    tokenizer_path: str | None = None,
    dialogs: str = "configs/dialogs.json",
    temperature: float = 0.6,
    top_p: float = 0.9,
    max_seq_len: int = 1024,
    max_batch_size: int = 16,
    max_gen_len: int | None = None,
    seed: int = 1,
    chat_format: str = "llama3",
    lora_ckpt_path: str | None = None,
    constrain: bool = False,
) -> None:
    """Answer every dialog of a file, on the GPU where there is one, and print the replies.

    Args:
        ckpt_dir: A native model directory (merged, or converted from Meta's weights).
        tokenizer_path: The model's tokenizer.model; by default the one in ckpt_dir.
        dialogs: A JSON list of {tools, messages}, each ending with a user's or a tool's message.
        temperature: 0 takes the likeliest token each time, higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        max_seq_len: The most tokens of a prompt and its reply together.
        max_batch_size: How many dialogs are answered at once.
        max_gen_len: The most tokens of a reply; by default whatever max_seq_len leaves.
        seed: Another number draws other replies.
        chat_format: How dialogs are written for this model; the one it was trained with.
        lora_ckpt_path: A LoRA checkpoint to use on top of ckpt_dir without merging it.
        constrain: Make every call valid by the schemas of the dialog's tools; other text is free.
    """
    conversations, format = read_dialogs(dialogs), find_format(chat_format)
    directory = resolve_directory(ckpt_dir)
    config = ModelConfig.read(directory)
    tokenizer = load_tokenizer(tokenizer_path or directory, format.special_table)
    check_tokenizer(tokenizer.path, config.vocab_size)
    constraints = Constraints(conversations, format, tokenizer) if constrain else None
    model = _load(ckpt_dir, lora_ckpt_path)
    decoding = Decoding(
        stop_ids=(),
        max_new_tokens=max_seq_len if max_gen_len is None else max_gen_len,
        max_length=max_seq_len,
        batch_size=max_batch_size,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
    )
    console = Console(highlight=False)
    speaker = Speaker(model, tokenizer, format)
    for index, answer in speaker.answers(conversations, decoding, constraints):
        console.rule(f"dialog {index + 1} of {len(conversations)}")
        for line in [*conversation_lines(conversations[index]), *_answer_lines(answer)]:
            console.print(line, markup=False, soft_wrap=True)
    if constraints is not None:
        console.print(constraints.cost(), markup=False, soft_wrap=True)
    _say_what_is_next(directory, lora_ckpt_path)


def _load(ckpt_dir: str, lora_ckpt_path: str | None) -> Transformer:
    """Load the model in bfloat16 on a GPU, or as it is stored on the CPU."""
    on_gpu = torch.cuda.is_available()
    adapter = read_adapter(lora_ckpt_path) if lora_ckpt_path else None
    if adapter is not None:
        directory = resolve_directory(ckpt_dir)
        adapter.check(ModelConfig.read(directory), directory)
    model = load_model(ckpt_dir, "cuda" if on_gpu else "cpu", torch.bfloat16 if on_gpu else None)
    if adapter is not None:
        adapter.attach(model)
    return model


def _answer_lines(answer: Answer) -> Iterator[str]:
    yield f"> Assistant: {answer.reply.content}"
    yield from call_lines(answer.reply.tool_calls)
    if answer.reply.problem:
        yield f"  not read as a call: {answer.reply.problem}"
    if not answer.whole:
        yield "  (cut off: raise --max_gen_len or --max_seq_len for more)"


def _say_what_is_next(directory: Path, lora_ckpt_path: str | None) -> None:
    if lora_ckpt_path is not None:
        print_next(
            f"python scripts/convert_lora_weights.py --base-ckpt-path {typed(directory)} "
            f"--lora-ckpt-path {typed(lora_ckpt_path)} --output-dir D"
        )
    else:
        print_next(
            f"python scripts/convert_to_meta_weights.py --config-file {typed(directory)} "
            f"--ckpt-file {typed(directory)} --num-shards 1 --output-dir D"
        )


if __name__ == "__main__":
    run(main)
