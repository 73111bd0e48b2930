"""A real model learns tool calls from 200 rows: LoRA lowers SmolLM2's loss on rows held out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from command_lines import ROOT
from small_datasets import write_dataset
from tiny_runs import settings_over, train_natively
from tokenizers import Tokenizer

from data.split_files import Encoding, Origin, Sample
from model.attention import Documents
from model.transformer import Transformer
from storage.manifest import sha256_of_file
from weights.directory import load_model

pytestmark = pytest.mark.long
# Rows of training and of validation; conversations up to so many tokens, to be done in minutes.
ROWS, HELD_OUT, MOST_TOKENS = 200, 20, 380


def turns_of(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (role, text) of a conversation: the tools first, calls as JSON."""
    names = [{"name": t["function"]["name"], **t["function"]["parameters"]} for t in row["tools"]]
    yield "system", json.dumps(names)
    for message in row["messages"]:
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        yield message["role"], message["content"] or json.dumps(calls)


def encoded(row: dict[str, Any], tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    """Return the ids in SmolLM2's chat template, and which are trained: what the assistant says."""
    ids: list[int] = []
    trained: list[bool] = []
    for role, text in turns_of(row):
        opening = tokenizer.encode(f"<|im_start|>{role}\n").ids
        spoken = tokenizer.encode(f"{text}<|im_end|>").ids
        ids += opening + spoken + tokenizer.encode("\n").ids
        trained += [False] * len(opening) + [role == "assistant"] * len(spoken) + [False]
    return ids, trained


def samples(file: Path, tokenizer: Tokenizer) -> Iterator[Sample]:
    """Yield the conversations of a file that are short enough, the first ones to be held out."""
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    short = ((row, *encoded(row, tokenizer)) for row in rows)
    fitting = ((row, ids, trained) for row, ids, trained in short if len(ids) <= MOST_TOKENS)
    for index, (row, ids, trained) in enumerate(islice(fitting, ROWS + HELD_OUT)):
        split = "validation" if index < HELD_OUT else "train"
        yield Sample(np.array(ids), np.array(trained), split, Origin(row["id"]))


@torch.no_grad()
def held_out_loss(model: Transformer, held_out: list[Sample]) -> float:
    """Return the mean loss over the trained tokens of conversations."""
    total, count = 0.0, 0
    for sample in held_out:
        tokens = torch.tensor(np.asarray(sample.tokens, dtype=np.int64))
        logits = model(tokens, torch.arange(len(tokens)), Documents([0, len(tokens)]))
        trained = torch.tensor(np.asarray(sample.trained))[1:]
        losses = functional.cross_entropy(logits[:-1].float(), tokens[1:], reduction="none")
        total, count = total + float(losses[trained].sum()), count + int(trained.sum())
    return total / count


def test_lora_on_200_rows_lowers_the_held_out_loss(real_model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    command = ["scripts/generate_dataset.py", "--num-examples=1300", "--seed=5", "--generate-only"]
    subprocess.run(
        [sys.executable, *command, f"--save-file={rows}"], check=True, capture_output=True, cwd=ROOT
    )
    file = real_model / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    conversations = list(samples(rows, tokenizer))
    assert len(conversations) == ROWS + HELD_OUT
    encoding = Encoding("llama3", sha256_of_file(file), tokenizer.get_vocab_size(), {})
    write_dataset(tmp_path / "dataset", conversations, encoding)
    make = settings_over(real_model, tmp_path / "dataset", tmp_path)
    steps = {"batch_size": 8, "micro_batch_tokens": 3200, "max_steps": 14, "epochs": 1}
    backend = train_natively(
        make(
            training=steps,
            lora={"rank": 8, "alpha": 16},
            schedule__learning_rate=1e-3,
            validation__every=14,
            checkpoint__every=14,
        )
    )
    held_out = conversations[:HELD_OUT]
    before = held_out_loss(load_model(real_model).eval(), held_out)
    after = held_out_loss(backend.model.eval(), held_out)
    print(f"held-out loss {before:.3f} -> {after:.3f}")
    assert after < 0.75 * before
