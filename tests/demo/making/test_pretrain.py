import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from chat.tokenizers.tokenizer import load_tokenizer
from demo.making.base_directory import base_config
from demo.making.induction import initialise
from demo.making.pretrain import main
from demo.making.text.stream import Stream
from inference.packed import native_dtype
from model.attention import Documents
from model.transformer import Transformer
from training.loss import summed_cross_entropy
from weights.directory import load_model, open_weights

VOCABULARY = Path("demo/base/tokenizer.model")


def pretrain(work: Path, steps: int) -> None:
    """Take `steps` tiny steps in all, with the bundled vocabulary instead of a new one."""
    work.mkdir(exist_ok=True)
    shutil.copyfile(VOCABULARY, work / "tokenizer.model")
    main(str(work), 1, steps, decay=0, step_tokens=200, probe_every=1, probe_items=1)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run of two steps, of which the second was a resumed one."""
    work = tmp_path_factory.mktemp("base")
    pretrain(work, 1)
    pretrain(work, 2)
    return work


@pytest.mark.long
def test_a_resumed_run_ends_with_the_same_weights(work, tmp_path):
    pretrain(tmp_path, 2)
    found, wanted = (open_weights(folder / "model") for folder in (work, tmp_path))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.long
def test_pretraining_writes_a_native_model_of_at_most_8_mb(work):
    assert (work / "model" / "consolidated.safetensors").stat().st_size <= 8_000_000
    assert json.loads((work / "model" / "params.json").read_text())["tied_embeddings"] is True
    model = load_model(work / "model")
    assert model.output.weight is model.tok_embeddings.weight


@pytest.mark.long
def test_probes_are_printed_as_it_trains(work, capsys):
    pretrain(work, 3)
    printed = capsys.readouterr().out
    assert "step 3: 0.00M tokens" in printed
    assert "copy 0.00, lookup 0.00, choice 0.00, filling 0.00, form 0.00" in printed
    assert "python chat_completion.py --ckpt-dir" in printed


@pytest.mark.long
def test_processes_train_one_model_on_the_mean_of_their_gradients(tmp_path):
    shutil.copyfile(VOCABULARY, tmp_path / "tokenizer.model")
    main(str(tmp_path), 2, steps=1, decay=0, step_tokens=200, probe_items=1)
    state = load_file(tmp_path / "state.safetensors")

    tokenizer = load_tokenizer(tmp_path / "tokenizer.model")
    stream = Stream(tokenizer, 0, 200, 800, processes=2)
    model = Transformer(base_config(tokenizer.vocab_size))
    ordinary = tokenizer.vocab_size - len(tokenizer.special_tokens)
    initialise(model, 0, [tokenizer.decode([token]) for token in range(ordinary)])
    # In the dtype of the run; each process's gradients are added up in float32.
    model = model.to(native_dtype(torch.bfloat16))
    names = ("layers.0.attention.wq.weight", "layers.5.feed_forward.w2.weight")
    mean = dict.fromkeys(names, torch.zeros(()))
    for process in range(2):
        batch = stream.step(0, process)
        head = partial(summed_cross_entropy, targets=batch.targets)
        loss = model(
            batch.tokens, batch.positions, Documents(batch.offsets), batch.rows, head
        ) / len(batch.targets)
        loss.backward()
        for name in names:
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            mean[name] = mean[name] + gradient.float() / 2
        model.zero_grad()
    for name, gradient in mean.items():
        assert gradient.norm() > 0
        found = state[f"momentum_buffer/{name}"]
        # clipped to norm 1 as a whole, so only the direction is this one's
        found, gradient = found / found.norm(), gradient / gradient.norm()
        assert (found - gradient).norm() < 1e-4


@pytest.mark.long
def test_a_run_can_start_from_a_given_model(work, tmp_path):
    start = work / "model"
    main(
        str(tmp_path / "on"),
        steps=1,
        decay=0,
        step_tokens=200,
        probe_items=1,
        start_from=str(start),
    )
    before, after = (open_weights(directory) for directory in (start, tmp_path / "on/model"))
    assert (tmp_path / "on/tokenizer.model").read_bytes() == VOCABULARY.read_bytes()
    for name, weight in before.items():
        moved = (after[name].float() - weight.float()).abs().max()
        assert moved < 0.02, name
        assert moved > 0 or weight.ndim == 1, name
