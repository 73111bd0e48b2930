"""An evaluation's prompts read by length beside the order of their file.

    python benchmarks/reading_order.py --ckpt-dir runs/demo/merged --dataset-file F --json-file J

The same greedy replies to the same prompts, one order after the other, on one thread; seconds are
CPU time. The longest prompts first is what scripts/evaluate.py does: a batch then holds prompts of
about one length.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.about_run import about_run
from console.command import run
from console.output import Console
from data.conversations import read_conversations
from evaluation.items import turn_items
from inference.chat_model import ChatModel, token_limits
from inference.generate import Completion, Decoding, complete
from inference.loading import Source, load_chat_model
from storage.json_file import write_json

NAMES = ("by length", "as in the file")


def main(
    ckpt_dir: str,
    dataset_file: str,
    prompts: int = 500,
    batch_size: int = 32,
    max_new_tokens: int = 96,
    repetitions: int = 2,
    json_file: str | None = None,
) -> None:
    """Reply to the first prompts of a file in both orders, and compare the time.

    Args:
        ckpt_dir: A native model directory.
        dataset_file: Conversations; each assistant's turn after a user or a tool is a prompt.
        prompts: How many of them.
        batch_size: How many replies are under way at once.
        max_new_tokens: The most tokens of a reply.
        repetitions: How often both orders are timed.
        json_file: Also write the figures there.
    """
    torch.set_num_threads(1)
    model = load_chat_model(Source(ckpt_dir))
    conversations = read_conversations(dataset_file)
    asked = [item.conversation for one in conversations for item in turn_items(one)][:prompts]
    written = [model.prompt(conversation) for conversation in asked]
    lengths = [len(prompt) for prompt in written]
    orders = (sorted(range(len(written)), key=lambda place: -lengths[place]), range(len(written)))
    decoding = Decoding(
        **token_limits(model.format, model.tokenizer),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    equal = len(written)
    for _ in range(repetitions):
        replies = [
            _reply(model, written, decoding, order, seconds[name])
            for name, order in zip(NAMES, orders, strict=True)
        ]
        same = sum(replies[0][place].tokens == replies[1][place].tokens for place in replies[0])
        equal = min(equal, same)
    ratio = sum(seconds[NAMES[1]]) / sum(seconds[NAMES[0]])
    Console().print(
        f"{len(written)} prompts of {min(lengths)} to {max(lengths)} tokens: {seconds}, "
        f"{ratio:.2f} times as fast by length; {equal} replies equal",
        soft_wrap=True,
    )
    if json_file is not None:
        figures = {"prompts": len(written), "tokens": [min(lengths), max(lengths)]}
        figures |= {"seconds": seconds, "ratio": ratio, "equal_replies": equal}
        write_json(Path(json_file), about_run() | figures)


def _reply(
    model: ChatModel,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    order: Sequence[int],
    seconds: list[float],
) -> dict[int, Completion]:
    """Reply to all prompts in an order, and add the CPU seconds that it took."""
    start = time.process_time()
    with torch.inference_mode():
        replies = dict(complete(model.model, prompts, decoding, order=order))
    seconds.append(time.process_time() - start)
    return replies


if __name__ == "__main__":
    run(main)
