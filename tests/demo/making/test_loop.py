import pytest
import torch

from data.batches import Batch
from demo.making.induction import initialise
from demo.making.loop import Progress, Rates, Trainer, pretrain, read_progress
from model.config import ModelConfig
from model.transformer import Transformer

SMALL = ModelConfig(
    dim=128,
    n_layers=2,
    n_heads=4,
    n_kv_heads=2,
    head_dim=32,
    hidden_dim=64,
    vocab_size=64,
    tied_embeddings=True,
)


def repeated_halves(step: int) -> Batch:
    """Documents of six random tokens and the same six again, of which these are learned."""
    generator = torch.Generator().manual_seed(step)
    halves = torch.randint(64, (32, 6), generator=generator)
    tokens = torch.cat([halves, halves], 1)
    rows = torch.arange(32)[:, None] * 12 + torch.arange(6, 11)
    return Batch(
        tokens=tokens.flatten(),
        positions=torch.arange(12).repeat(32),
        offsets=tuple(range(0, 385, 12)),
        rows=rows.flatten(),
        targets=tokens[:, 7:].flatten(),
    )


def make_trainer(total: int = 60, dim: int = 64) -> Trainer:
    config = ModelConfig(**{**SMALL.__dict__, "hidden_dim": dim})
    model = Transformer(config)
    initialise(model, 0)
    return Trainer(model, Rates(0.002, 0.003, 5, 10, total), torch.float32)


def ignore(loss: float) -> None:
    """Do nothing after a step."""


def test_a_short_run_learns_to_copy():
    trainer, losses = make_trainer(), []
    pretrain(trainer, repeated_halves, 60, losses.append)
    assert losses[0] > 3
    assert losses[-1] < 0.8
    assert trainer.progress.tokens == 60 * 384
    assert trainer.progress.trained == 60 * 160


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, dtype):
    whole, first, second = (make_trainer() for _ in range(3))
    for trainer in (whole, first, second):
        trainer.model.to(dtype)
    pretrain(whole, repeated_halves, 12, ignore)
    pretrain(first, repeated_halves, 7, ignore)
    first.save(tmp_path / "state.safetensors")
    second.load(tmp_path / "state.safetensors")
    assert second.progress.step == 7
    pretrain(second, repeated_halves, 12, ignore)
    for name, master in whole.masters.items():
        assert torch.equal(master, second.masters[name]), name


def test_progress_is_kept_with_the_state(tmp_path):
    trainer = make_trainer()
    pretrain(trainer, repeated_halves, 2, ignore)
    trainer.save(tmp_path / "state.safetensors")
    found = read_progress(tmp_path / "state.safetensors")
    assert (found.step, found.tokens, found.trained) == (2, 768, 320)
    assert found.cpu_seconds == trainer.progress.cpu_seconds > 0
    assert Progress().step == 0


def test_the_state_of_another_size_is_refused(tmp_path):
    trainer = make_trainer()
    pretrain(trainer, repeated_halves, 1, ignore)
    trainer.save(tmp_path / "state.safetensors")
    with pytest.raises(ValueError, match="holds a model of other sizes; name another --work-dir"):
        make_trainer(dim=32).load(tmp_path / "state.safetensors")


def test_rates_rise_stay_and_fall():
    rates = Rates(warmup=4, decay=10, total=100)
    assert rates.share(0) == pytest.approx(0.2)
    assert rates.share(4) == rates.share(50) == rates.share(90) == 1
    assert rates.share(95) == pytest.approx(0.5)
    assert rates.share(100) == 0.05


def test_a_loss_that_is_no_number_stops_the_run():
    trainer = make_trainer()
    with torch.no_grad():
        trainer.parameters["norm.weight"].fill_(float("nan"))
    with pytest.raises(ValueError, match="step 1: loss nan; resume with lower learning rates"):
        pretrain(trainer, repeated_halves, 1, ignore)
