"""Learning from pairs: the loss of others, autograd's gradients, whole runs, and resuming."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from damaging import flip_a_bit
from safetensors.torch import load_file, save_file
from tiny_models import LLAMA3_SHAPES, TINY, random_model
from tiny_runs import pair_samples, pair_settings_in, train_natively
from torch import Tensor, nn

from benchmarks.ours import Optimizer
from data.batches import Batch, make_batch
from data.tokenized import TokenizedDataset
from model.attention import Documents
from model.config import ModelConfig
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import LoraConfig
from training.backends import NativeBackend, trained_parameters
from training.config import Config
from training.preference import Preference, pair_losses
from training.preference_section import PreferenceSection
from training.reference import REFERENCE_FILE

RECORDED = json.loads((Path(__file__).parents[1] / "oracles/trl_preference.json").read_text())
# The settings of the forms that tests/oracles/record_trl_preference.py records.
FORMS = {
    "plain": PreferenceSection(beta=0.3),
    "smoothed": PreferenceSection(beta=0.3, label_smoothing=0.2),
    "length_normalised": PreferenceSection(beta=2.5, length_normalised=True),
    "reference_free": PreferenceSection(beta=0.3, reference_free=True),
    "supervised": PreferenceSection(beta=0.3, supervised_weight=0.7),
    "simpo": PreferenceSection(beta=2.5, length_normalised=True, reference_free=True),
}
CPU = torch.device("cpu")
Settings = Callable[..., Config]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return `pair_settings_in` a fresh workspace."""
    return pair_settings_in(tmp_path)


@pytest.mark.parametrize("name", FORMS)
def test_losses_and_gradients_are_those_that_trl_computes(name: str) -> None:
    form = FORMS[name]
    for pair, wanted in zip(RECORDED["pairs"], RECORDED["forms"][name], strict=True):
        sides = [torch.tensor(side, dtype=torch.float64).requires_grad_() for side in pair["own"]]
        reference = torch.tensor(
            [0.0 if form.reference_free else sum(s) for s in pair["reference"]]
        )
        counts = torch.tensor([len(side) for side in sides])
        own = torch.stack([side.sum() for side in sides])
        losses, _ = pair_losses(own, reference, counts, form)
        assert losses.item() == pytest.approx(wanted["loss"], rel=1e-6)
        losses.sum().backward()
        for side, gradient in zip(sides, wanted["gradients"], strict=True):
            assert side.grad.tolist() == pytest.approx(gradient, rel=2e-6)


def test_figures_are_of_pairs_and_of_their_tokens() -> None:
    own, reference = torch.tensor([-2.0, -9.0, -8.0, -3.0]), torch.tensor([-3.0, -8.0, -7.0, -7.0])
    counts = torch.tensor([2, 3, 4, 1])
    _, figures = pair_losses(own, reference, counts, PreferenceSection(beta=0.5))
    margins, chosen, rejected = [1.0, -2.5], [-1.0, -2.0], [-3.0, -3.0]
    wanted = [margins, [1.0, 0.0], chosen, rejected]
    assert figures.t().tolist() == wanted


class Pairs:
    """Conversations of pairs, held in memory."""

    def __init__(self, count: int) -> None:
        self.samples = list(pair_samples(count, seed=7))
        self.lengths = np.array([len(sample.tokens) for sample in self.samples])

    def __len__(self) -> int:
        return len(self.samples)

    def tokens(self, index: int) -> np.ndarray:
        return self.samples[index].tokens

    def trained(self, index: int) -> np.ndarray:
        return self.samples[index].trained


def prepared(
    shape: ModelConfig, lora: LoraConfig | None, dtype: torch.dtype
) -> tuple[NativeBackend, Batch]:
    """A model that has moved from its reference, and a batch of five pairs."""
    model = random_model(shape).to(dtype)
    generator = torch.Generator().manual_seed(4)
    if lora:
        add_lora(model, lora)
        for tensor in adapter_state(model).values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
    values = None if lora else {"reference": np.linspace(-80, -20, 10)}
    backend = NativeBackend(model.train(), cast(Any, Optimizer()), CPU, dtype)
    return backend, make_batch(Pairs(5), range(10), values)


def by_definition(backend: NativeBackend, batch: Batch, settings: PreferenceSection) -> Tensor:
    """The loss from logits and their softmax, conversation by conversation."""
    base = random_model(backend.model.config)

    def log_probabilities(model: nn.Module) -> list[Tensor]:
        logits = model(batch.tokens, batch.positions, Documents(batch.offsets)).double()
        at_rows = logits.log_softmax(-1)[batch.rows, batch.targets]
        ends = torch.tensor(batch.offsets[1:])
        owners = torch.bucketize(batch.rows, ends, right=True)
        return [at_rows[owners == number] for number in range(len(ends))]

    own = log_probabilities(backend.model)
    if batch.values:
        before = list(batch.values["reference"])
    else:
        with torch.no_grad():
            before = [tokens.sum() for tokens in log_probabilities(base)]
    total = torch.zeros((), dtype=torch.float64)
    for chosen in range(0, len(own), 2):
        moved = []
        for side in (chosen, chosen + 1):
            value = own[side].sum() - (0 if settings.reference_free else before[side])
            moved.append(value / len(own[side]) if settings.length_normalised else value)
        odds = settings.beta * (moved[0] - moved[1])
        sure = (1 - settings.label_smoothing) * F.softplus(-odds)
        total = total + sure + settings.label_smoothing * F.softplus(odds)
        total = total - settings.supervised_weight * own[chosen].mean()
    return total


ALL = PreferenceSection(beta=0.4, label_smoothing=0.1, supervised_weight=0.5)
MODELS: dict[str, tuple[ModelConfig, LoraConfig | None]] = {
    "adapter": (TINY, LoraConfig(rank=4)),
    "tied, adapter": (LLAMA3_SHAPES["llama3_2"], LoraConfig(rank=4)),
    "adapted head": (TINY, LoraConfig(rank=4, targets=("wq", "output"))),
    "tied, all weights": (LLAMA3_SHAPES["llama3_2"], None),
    "all weights": (TINY, None),
}


def gradients(backend: NativeBackend, loss: Tensor) -> dict[str, Tensor]:
    parameters = trained_parameters(backend.model)
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", [ALL, FORMS["length_normalised"], FORMS["reference_free"]])
def test_gradients_equal_autograds_of_the_definition(name: str, form: PreferenceSection) -> None:
    backend, batch = prepared(*MODELS[name], torch.float32)
    found, _ = Preference(form).loss(backend, batch)
    wanted = by_definition(backend, batch, form)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    ours, theirs = gradients(backend, found), gradients(backend, wanted)
    assert length({name: ours[name] - theirs[name] for name in ours}) < 1e-6 * length(theirs)


def length(parts: dict[str, Tensor]) -> float:
    return sum(part.double().square().sum().item() for part in parts.values()) ** 0.5


@pytest.mark.parametrize("name", ["adapter", "all weights"])
def test_bfloat16_gradients_keep_their_bound(name: str) -> None:
    """Within 4% of those in float32, which start from the same rounded weights."""
    form = PreferenceSection(beta=0.1)
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        backend, batch = prepared(*MODELS[name], torch.bfloat16)
        backend.model.to(dtype)
        found.append(gradients(backend, Preference(form).loss(backend, batch)[0]))
    difference = {name: found[0][name].float() - found[1][name].float() for name in found[0]}
    assert length(difference) < 0.04 * length(found[1])


def test_a_batch_without_a_pair_has_no_loss_and_a_backward_pass() -> None:
    backend, _ = prepared(*MODELS["adapter"], torch.float32)
    loss, figures = Preference(ALL).loss(backend, make_batch(Pairs(1), []))
    assert loss.item() == 0 and figures.tolist() == [0, 0, 0, 0]
    assert not any(gradient.any() for gradient in gradients(backend, loss).values())


def test_batches_that_pad_a_rank_count_as_no_pair(settings: Settings) -> None:
    config = settings()
    backend, objective = train_natively(config), Preference(config.preference)
    validation = TokenizedDataset.open(Path(config.data.dataset_dir), "validation")
    batches = [make_batch(validation, [0, 1, 2, 3]), make_batch(validation, [4, 5])]
    padding = make_batch(validation, [])
    wanted = objective.validate(backend, batches)
    assert objective.validate(backend, [*batches, padding, padding]) == wanted


def metrics(config: Config, kind: str = "train") -> list[dict[str, float]]:
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def final(config: Config) -> dict[str, Tensor]:
    (file,) = (config.run_dir / "final").glob("[ac]*.safetensors")
    return load_file(file)


def test_a_run_begins_at_the_reference_and_separates_its_pairs(settings: Settings) -> None:
    config = settings(training__epochs=4, training__max_steps=20)
    train_natively(config)
    first, *_, last = metrics(config)
    assert first["loss"] == pytest.approx(float(np.log(2)), abs=1e-6)
    assert first["margin"] == pytest.approx(0, abs=1e-5)
    assert last["loss"] < 0.5 and last["margin"] > 0.5 and last["accuracy"] > 0.9
    figures = {"loss", "margin", "accuracy", "chosen_log_probability", "rejected_log_probability"}
    assert metrics(config, "validation")[-1].keys() == {"kind", "step", *figures}


def test_all_weights_begin_at_the_reference_that_adapters_have(settings: Settings) -> None:
    """The stored log-probabilities are those of the model with its adapter off."""
    rows = []
    for name, lora in (("adapter", {"rank": 4, "alpha": 8}), ("all", None)):
        config = settings(name=name, lora=lora, training__max_steps=1, optimizer__clip_norm=None)
        train_natively(config)
        rows.append(metrics(config)[0])
        assert (config.run_dir / REFERENCE_FILE).is_file() == (lora is None)
    for figure in ("loss", "margin", "chosen_log_probability", "rejected_log_probability"):
        assert rows[0][figure] == pytest.approx(rows[1][figure], abs=1e-5)


def test_how_a_step_is_split_does_not_change_the_result(settings: Settings) -> None:
    adapters = []
    for tokens in (70, 4096):
        config = settings(
            name=f"run{tokens}",
            training__micro_batch_tokens=tokens,
            optimizer__kind="sgd",
            schedule__learning_rate=0.3,
        )
        train_natively(config)
        adapters.append(final(config))
    assert max(t.abs().max() for n, t in adapters[0].items() if "lora_b" in n) > 1e-2
    for name, tensor in adapters[0].items():
        assert (tensor - adapters[1][name]).abs().max() < 1e-6, name


@pytest.mark.parametrize("lora", [{"rank": 4, "alpha": 8, "dropout": 0.1}, None])
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(
    settings: Settings, lora: dict[str, Any] | None
) -> None:
    whole, cut = (
        settings(name=name, lora=lora, schedule__total_steps=6, schedule__learning_rate=1e-3)
        for name in ("whole", "cut")
    )
    train_natively(whole)
    shorter = cut.training.model_copy(update={"max_steps": 4})
    train_natively(cut.model_copy(update={"training": shorter}))
    for name in ("best", "final"):
        (cut.run_dir / name).rename(cut.run_dir / f"{name}-of-4")
    train_natively(cut, resume=True)
    one, other = final(whole), final(cut)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [row["loss"] for row in metrics(whole)] == [row["loss"] for row in metrics(cut)]


@pytest.mark.parametrize("damage", ["missing", "cut short", "of another base", "one bit"])
def test_a_resumed_run_refuses_a_reference_that_is_not_its_own(
    settings: Settings, damage: str
) -> None:
    config = settings(lora=None, training__max_steps=2)
    train_natively(config)
    file = config.run_dir / REFERENCE_FILE
    if damage == "missing":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:50])
    elif damage == "one bit":
        flip_a_bit(file, -1)
    else:
        save_file(load_file(file), file, {"base": "f" * 64})
    longer = config.training.model_copy(update={"max_steps": 4})
    problem = {
        "missing": "is missing, and the weights that it was computed with have moved",
        "cut short": "cannot be read",
        "one bit": "differs from its sha256 in the file",
        "of another base": "is of (base ffffffffffff|train unknown), and this run's is",
    }
    with pytest.raises((ValueError, FileNotFoundError), match=problem[damage]):
        train_natively(config.model_copy(update={"training": longer}), resume=True)


def test_an_adapter_that_is_trained_further_is_its_own_reference(settings: Settings) -> None:
    first = settings(name="first")
    train_natively(first)
    further = settings(name="further", model__adapter_dir=str(first.run_dir / "final"))
    train_natively(further)
    assert metrics(further)[0]["margin"] == pytest.approx(0, abs=1e-5)
    assert (further.run_dir / REFERENCE_FILE).is_file()


def test_training_refuses_the_other_kind_of_dataset_by_name(tmp_path: Path) -> None:
    preferring = pair_settings_in(tmp_path)
    with pytest.raises(ValueError, match=r"is a dataset of pairs.*add --preference.beta=0.1"):
        train_natively(preferring(preference=None))
    with pytest.raises(ValueError, match=r"is a dataset of conversations.*--pairs-file F"):
        train_natively(preferring(data__dataset_dir=str(tmp_path / "dataset")))


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"preference": {"beta": 0}}, "preference.beta"),
        ({"preference": {"label_smoothing": 0.5}}, "preference.label_smoothing"),
        ({"validation__best_metric": "perplexity"}, "follow --validation.best_metric=loss, margin"),
        ({"preference": None, "validation__best_metric": "margin"}, "add --preference.beta=0.1"),
    ],
)
def test_impossible_settings_are_named(
    settings: Settings, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        settings(**changes)
