"""Train the demo's base from scratch on generated text: a tiny Llama that copies and fills forms.

    python scripts/pretrain_demo_base.py --work-dir ./runs/base

Interrupt it when you like: the same command goes on where it was saved last. As it trains it
prints probes, the share of exact answers about words that the training text never has.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from chat.tokenizer import TOKENIZER_FILE, Tokenizer, load_tokenizer
from chat.vocabulary import tiktoken_lines
from console.command import print_next, run, typed
from data.pretraining.stream import (
    FORMAT,
    PROBES,
    TASKS,
    Stream,
    probe_conversations,
)
from data.pretraining.vocabulary import pretraining_vocabulary
from evaluation.probes import answers, exact_share
from model.demo_base import base_config, write_base
from model.induction import initialise
from model.transformer import Transformer
from storage.atomic import new_file
from training.pretraining import Rates, Trainer, pretrain

STATE_FILE = "state.safetensors"


def main(
    work_dir: str,
    steps: int = 14_000,
    decay: int = 11_000,
    step_tokens: int = 3600,
    early_steps: int = 3000,
    ranks: int = 2816,
    learning_rate: float = 0.004,
    embedding_rate: float = 0.002,
    probe_every: int = 100,
    probe_items: int = 100,
    seed: int = 0,
) -> None:
    """Train up to a step, from what the work directory holds; write state and model beside it.

    Args:
        work_dir: Holds the vocabulary, the state to go on from, and the model as `model`.
        steps: The step to train up to, counted from the start of the first run.
        decay: Over how many last steps the learning rates fall.
        step_tokens: Tokens of a step, at most.
        early_steps: Steps over which copying gives way to forms.
        ranks: Tokens of a new vocabulary, its 256 bytes included and special tokens not.
        learning_rate: The peak rate of the blocks' matrices (Muon).
        embedding_rate: The peak rate of the embedding and the norms (AdamW).
        probe_every: Probe and save every so many steps.
        probe_items: Items of each probe.
        seed: Another number gives other weights and other text.
    """
    work = Path(work_dir).expanduser()
    tokenizer = _vocabulary(work / TOKENIZER_FILE, ranks)
    model = Transformer(base_config(tokenizer.vocab_size))
    ordinary = tokenizer.vocab_size - len(tokenizer.special_tokens)
    initialise(model, seed, [tokenizer.decode([token]) for token in range(ordinary)])
    rates = Rates(learning_rate, embedding_rate, decay=decay, total=steps)
    trainer = Trainer(model, rates, torch.bfloat16)
    if (work / STATE_FILE).is_file():
        trainer.load(work / STATE_FILE)
    stream = Stream(tokenizer, seed, step_tokens, early_steps)
    watch = _watch(trainer, tokenizer, work, probe_every, probe_items)
    pretrain(trainer, stream.step, steps, watch)
    print_next(f"python chat_completion.py --ckpt_dir {typed(str(work / 'model'))}")


def _vocabulary(file: Path, ranks: int) -> Tokenizer:
    """Load the vocabulary, trained now unless an earlier run left one."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file) as partial:
            partial.write_text(
                tiktoken_lines(pretraining_vocabulary(TASKS, ranks)), encoding="utf-8"
            )
    return load_tokenizer(file)


def _watch(
    trainer: Trainer, tokenizer: Tokenizer, work: Path, every: int, items: int
) -> Callable[[float], None]:
    """Return what follows each step: now and then the probes, a line, and files to go on from."""
    probes = {kind: probe_conversations(kind, items) for kind in PROBES}
    losses: list[float] = []

    def after(loss: float) -> None:
        losses.append(loss)
        progress = trainer.progress
        if progress.step % every and progress.step != trainer.rates.total:
            return
        trainer.save(work / STATE_FILE)
        write_base(work / "model", trainer.weights(torch.bfloat16), work / TOKENIZER_FILE)
        line = (
            f"step {progress.step}: {progress.tokens / 1e6:.2f}M tokens, "
            f"{progress.cpu_seconds:.0f} CPU-s, loss {sum(losses) / len(losses):.3f}"
        )
        losses.clear()
        for kind, asked in probes.items():
            replies = answers(trainer.model, tokenizer, FORMAT, asked)
            line += f", {kind} {exact_share(replies, asked):.2f}"
        print(line, flush=True)

    return after


if __name__ == "__main__":
    run(main)
