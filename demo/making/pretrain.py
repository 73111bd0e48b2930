"""Train the demo's base from scratch on generated text: a tiny Llama that copies and fills forms.

    python demo/making/pretrain.py --work-dir ./runs/base

Interrupt it when you like: the same command goes on where it was saved last. As it trains it
prints probes, the share of exact answers about words that the training text never has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from tempfile import mkdtemp

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from chat.tokenizers.tokenizer import TOKENIZER_FILE, Tokenizer, load_tokenizer
from console.command import print_next, run, shell_quote
from demo.making.base_directory import base_config, write_base
from demo.making.bpe import tiktoken_lines
from demo.making.induction import initialise
from demo.making.loop import Rates, Trainer, pretrain
from demo.making.probes import answers, exact_share
from demo.making.text.stream import (
    FORMAT,
    PROBES,
    TASKS,
    Stream,
    probe_conversations,
)
from demo.making.text.vocabulary import pretraining_vocabulary
from inference.packed import native_dtype
from model.transformer import Transformer
from storage.atomic import new_file
from weights.directory import load_model, resolve_directory

STATE_FILE = "state.safetensors"


def main(
    work_dir: str,
    processes: int = 1,
    steps: int = 6000,
    decay: int = 3000,
    step_tokens: int = 3600,
    early_steps: int = 800,
    ranks: int = 2816,
    learning_rate: float = 0.004,
    embedding_rate: float = 0.001,
    probe_every: int = 200,
    probe_items: int = 100,
    seed: int = 0,
    start_from: str | None = None,
) -> None:
    """Train up to a step, from what the work directory holds; write state and model beside it.

    Args:
        work_dir: Holds the vocabulary, the state to go on from, and the model as `model`.
        processes: Train with so many processes, one for each core, each on its own text.
        steps: The step to train up to, counted from the start of the first run.
        decay: Over how many last steps the learning rates fall.
        step_tokens: Tokens of a step for each process, at most.
        early_steps: Steps over which copying gives way to forms.
        ranks: Tokens of a new vocabulary, its 256 bytes included and special tokens not.
        learning_rate: The peak rate of the blocks' matrices (Muon).
        embedding_rate: The peak rate of the embedding and the norms (AdamW).
        probe_every: Probe and save every so many steps.
        probe_items: Items of each probe.
        seed: Another number gives other weights and other text.
        start_from: Begin with the weights and the vocabulary of this native directory, not with
            the circuit written by hand: what has been learned stays, the optimizers begin anew.
    """
    work = Path(work_dir).expanduser()
    start = resolve_directory(start_from) if start_from else None
    tokenizer = _vocabulary(work / TOKENIZER_FILE, ranks, start)
    rates = Rates(learning_rate, embedding_rate, decay=decay, total=steps)
    text = Stream(tokenizer, seed, step_tokens, early_steps, processes)
    plan = Plan(work, rates, text, probe_every, probe_items, start)
    if processes == 1:
        train(0, plan)
    else:
        store = f"file://{Path(mkdtemp()) / 'processes'}"
        spawn(_train_with_others, (plan, store), processes)
    print_next(f"python chat_completion.py --ckpt-dir {shell_quote(str(work / 'model'))}")


@dataclass(frozen=True)
class Plan:
    """What every process of a run is told."""

    work: Path
    rates: Rates
    text: Stream
    probe_every: int
    probe_items: int
    start: Path | None


def train(process: int, plan: Plan) -> None:
    """Train as one process of a run; the first one probes, prints and saves."""
    trainer = Trainer(_begun(plan), plan.rates, native_dtype(torch.bfloat16))
    if (plan.work / STATE_FILE).is_file():
        trainer.load(plan.work / STATE_FILE)
    watch = _watch(trainer, plan) if process == 0 else lambda loss: None
    pretrain(trainer, lambda step: plan.text.step(step, process), plan.rates.total, watch)


def _begun(plan: Plan) -> Transformer:
    """Return the model that training begins with."""
    if plan.start:
        return load_model(plan.start, "cpu", torch.float32)
    tokenizer = plan.text.tokenizer
    model = Transformer(base_config(tokenizer.vocab_size))
    ordinary = tokenizer.vocab_size - len(tokenizer.special_tokens)
    initialise(model, plan.text.seed, [tokenizer.decode([token]) for token in range(ordinary)])
    return model


def _train_with_others(process: int, plan: Plan, store: str) -> None:
    torch.set_num_threads(1)
    world = plan.text.processes
    distributed.init_process_group("gloo", init_method=store, rank=process, world_size=world)
    train(process, plan)
    distributed.destroy_process_group()


def _vocabulary(file: Path, ranks: int, start: Path | None) -> Tokenizer:
    """Load the vocabulary: an earlier run's, that of what to start from, or one trained now."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file) as partial:
            if start:
                copyfile(start / TOKENIZER_FILE, partial)
            else:
                lines = tiktoken_lines(pretraining_vocabulary(TASKS, ranks))
                partial.write_text(lines, encoding="utf-8")
    return load_tokenizer(file)


def _watch(trainer: Trainer, plan: Plan) -> Callable[[float], None]:
    """Return what follows each step: now and then the probes, a line, and files to go on from."""
    probes = {kind: probe_conversations(kind, plan.probe_items) for kind in PROBES}
    losses: list[float] = []

    def after(loss: float) -> None:
        losses.append(loss)
        progress = trainer.progress
        if progress.step % plan.probe_every and progress.step != trainer.rates.total:
            return
        trainer.save(plan.work / STATE_FILE)
        weights = trainer.weights(torch.bfloat16)
        write_base(plan.work / "model", weights, plan.work / TOKENIZER_FILE)
        line = (
            f"step {progress.step}: {progress.tokens / 1e6:.2f}M tokens, "
            f"{progress.cpu_seconds:.0f} CPU-s, loss {sum(losses) / len(losses):.3f}"
        )
        losses.clear()
        for kind, asked in probes.items():
            replies = answers(trainer.model, plan.text.tokenizer, FORMAT, asked)
            line += f", {kind} {exact_share(replies, asked):.2f}"
        print(line, flush=True)

    return after


if __name__ == "__main__":
    run(main)
