import json
import shutil
from pathlib import Path

import pytest
import torch

from model.directory import load_model, open_weights
from scripts.pretrain_demo_base import main


def pretrain(work: Path, steps: int) -> None:
    """Take `steps` tiny steps in all, with the bundled vocabulary instead of a new one."""
    work.mkdir(exist_ok=True)
    shutil.copyfile("demo/base/tokenizer.model", work / "tokenizer.model")
    main(str(work), steps, decay=0, step_tokens=200, probe_every=1, probe_items=1)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run of two steps, of which the second was a resumed one."""
    work = tmp_path_factory.mktemp("base")
    pretrain(work, 1)
    pretrain(work, 2)
    return work


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(work, tmp_path):
    pretrain(tmp_path, 2)
    found, wanted = (open_weights(each / "model") for each in (work, tmp_path))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_it_leaves_a_native_model_of_at_most_8_mb(work):
    assert (work / "model" / "consolidated.safetensors").stat().st_size <= 8_000_000
    assert json.loads((work / "model" / "params.json").read_text())["tied_embeddings"] is True
    model = load_model(work / "model")
    assert model.output.weight is model.tok_embeddings.weight


def test_probes_are_printed_as_it_trains(work, capsys):
    pretrain(work, 3)
    printed = capsys.readouterr().out
    assert "step 3: 0.00M tokens" in printed
    assert "copy 0.00, lookup 0.00, choice 0.00, filling 0.00, form 0.00" in printed
    assert "python chat_completion.py --ckpt_dir" in printed
