"""Training an adapter further."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from storage.manifest import sha256_of_file
from training.backends import NativeBackend
from training.config import Config

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]

# Every step trains on all conversations, with an optimizer that remembers nothing.
ALIKE: dict[str, Any] = {
    "optimizer__kind": "sgd",
    "schedule": {"kind": "constant", "learning_rate": 0.5, "warmup_steps": 0},
    "training__batch_size": 30,
    "training__epochs": 4,
}


def test_training_further_equals_training_on(settings: Settings, train_run: Train) -> None:
    wanted = dict(train_run(settings(name="whole", **ALIKE)).trained_state())
    half = settings(name="half", **{**ALIKE, "training__epochs": 2})
    train_run(half)
    further = settings(
        name="further",
        model__adapter_dir=str(half.run_dir / "final"),
        **{**ALIKE, "training__epochs": 2},
    )
    found = dict(train_run(further).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert load_file(further.run_dir / "final" / "adapter.safetensors").keys() == wanted.keys()


def test_a_run_remembers_the_adapter_it_began_with_and_resumes_without(
    settings: Settings, train_run: Train
) -> None:
    first = settings(name="first")
    train_run(first)
    start = first.run_dir / "final"
    sha256 = sha256_of_file(start / "adapter.safetensors")
    further = settings(model__adapter_dir=str(start))
    wanted = dict(train_run(further).trained_state())
    shutil.rmtree(start)
    (further.run_dir / "latest").write_text("step-000004")
    found = dict(train_run(further, resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    progress = json.loads((further.run_dir / "final" / "progress.json").read_text())
    assert progress["started_from"] == {"directory": str(start), "sha256": sha256}
    with pytest.raises(ValueError, match=r"was trained with model.adapter_dir = "):
        train_run(settings(), resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora__rank": 8}, r"lora.json has rank = 4, and lora.rank is 8; .* make them equal"),
        ({"lora__targets": ["wq"]}, r'has targets = \["wq", "wk", .*and lora.targets is \["wq"\]'),
        ({"lora": None}, r"and lora is null, which trains all weights; merge the adapter"),
    ],
)
def test_another_kind_of_adapter_is_refused(
    settings: Settings, train_run: Train, changes: dict[str, Any], message: str
) -> None:
    first = settings(name="first")
    train_run(first)
    with pytest.raises(ValueError, match=message):
        train_run(settings(model__adapter_dir=str(first.run_dir / "final"), **changes))


@pytest.mark.parametrize(("before", "now"), [(None, "nf4"), ("nf4", None), ("nf4", "nf4")])
def test_a_base_stored_in_another_way_is_told(
    settings: Settings,
    train_run: Train,
    capsys: pytest.CaptureFixture[str],
    before: str | None,
    now: str | None,
) -> None:
    first = settings(name="first", model__quantization=before, training__max_steps=2)
    train_run(first)
    start = first.run_dir / "final"
    capsys.readouterr()
    train_run(
        settings(model__adapter_dir=str(start), model__quantization=now, training__max_steps=2)
    )
    said = capsys.readouterr().out
    line = (
        f"warning: {start}/base.json says that the adapter was trained with model.quantization = "
        f"{json.dumps(before)}, and this run has {json.dumps(now)}: "
    )
    assert (line in said) == (before != now)
    assert said.count("warning: ") == (before != now)


def test_a_directory_without_an_adapter_is_refused(settings: Settings, train_run: Train) -> None:
    config = settings()
    with pytest.raises(ValueError, match="holds whole weights"):
        train_run(settings(model__adapter_dir=config.model.checkpoint_dir))
