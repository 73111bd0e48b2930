"""Many ranks against one: the same losses, the same weights, at every ZeRO stage."""

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from talking_runs import talking_in, write_talking_base
from tiny_runs import settings_in, train_natively
from torch import Tensor

from inference.generate import generate
from training.config import Config
from weights.adapter import base_quantization, read_adapter
from weights.building import Place, quantize_on_arrival
from weights.directory import load_model

from .zero_cases import MOST, PROMPTS

Figures = list[dict[str, float]]


class Kind(NamedTuple):
    """What is trained, how, and in which precision."""

    trained: str
    optimizer: str
    dtype: str

    @property
    def adapted(self) -> bool:
        return self.trained != "full"

    @property
    def quantization(self) -> str | None:
        return "nf4_double" if self.trained == "qlora" else None


class Case(NamedTuple):
    """A kind of run at a ZeRO stage on so many ranks."""

    kind: Kind
    stage: int
    ranks: int
    offloaded: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "-".join([*self.kind, f"zero{self.stage}", f"{self.ranks}ranks", *self.offloaded])

    @property
    def zero(self) -> dict[str, Any]:
        """DeepSpeed's zero_optimization; every weight is partitioned, however small."""
        offload = {f"offload_{what}": {"device": "cpu"} for what in self.offloaded}
        return {"stage": self.stage, "stage3_param_persistence_threshold": 0, **offload}


KINDS = [
    Kind(trained, optimizer, dtype)
    for trained in ("lora", "full")
    for optimizer, dtype in (("adamw", "float32"), ("sgd", "float32"), ("adamw", "bfloat16"))
]
QUANTIZED = [
    Kind("qlora", "sgd", "float32"),
    Kind("qlora", "adamw", "bfloat16"),
    Kind("qlora", "adamw", "float32"),
]
KINDS += QUANTIZED
CASES = [
    Case(kind, stage, ranks)
    for ranks in (1, 2)
    for kind in KINDS
    for stage in (0, 1, 2, 3)
    if stage or kind.dtype == "float32"
]
CASES += [
    Case(KINDS[0], 2, 2, ("optimizer",)),
    Case(KINDS[0], 3, 2, ("optimizer", "param")),
    Case(Kind("full", "adamw", "bfloat16"), 3, 2, ("optimizer", "param")),
]
RATES = {
    "lora-adamw": 1e-2,
    "full-adamw": 1e-3,
    "lora-sgd": 1.0,
    "full-sgd": 1.0,
    "qlora-adamw": 1e-2,
    "qlora-sgd": 1.0,
}
CLIP = 0.05


class Talk(NamedTuple):
    """A run that replies to held-out prompts; `capped` has time for one round of them only."""

    stage: int
    ranks: int
    capped: bool = False

    @property
    def name(self) -> str:
        return f"talk-zero{self.stage}-{self.ranks}ranks" + "-capped" * self.capped


TALKS = [Talk(stage, ranks) for ranks in (1, 2) for stage in (0, 1, 2, 3)]
CAPPED = Talk(3, 2, capped=True)

# Whose replies every other run has to give, too.
REFERENCE = Talk(0, 2)

# The sample of `make test`: every stage, both precisions, both optimizers, offloading.
SAMPLE = {
    *(Case(KINDS[0], stage, 2).name for stage in (0, 1, 3)),
    Case(KINDS[4], 3, 2).name,
    Case(QUANTIZED[0], 3, 2).name,
    Case(KINDS[2], 2, 2).name,
    CASES[-1].name,
    *(talk.name for talk in (REFERENCE, Talk(3, 2), CAPPED)),
}


def sampled(cases: Sequence[Case] | Sequence[Talk]) -> pytest.MarkDecorator:
    """Return the parametrisation by cases: the sample, and the rest for `make test-all`."""
    name = "case" if isinstance(cases[0], Case) else "talk"
    values = [
        pytest.param(case, id=case.name, marks=() if case.name in SAMPLE else pytest.mark.long)
        for case in cases
    ]
    return pytest.mark.parametrize(name, values)


def asked_for(request: pytest.FixtureRequest) -> set[str]:
    """Return the names of the runs that the collected tests look at."""
    asked = {REFERENCE.name, CAPPED.name}
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function):
            callspec = getattr(item, "callspec", None)
            asked |= {case.name for case in callspec.params.values()} if callspec else set()
    return asked


def placed(kind: Kind) -> Place | None:
    """Return where one device puts the base's tensors."""
    dtype = getattr(torch, kind.dtype)
    return quantize_on_arrival("cpu", dtype, kind.quantization) if kind.quantization else None


class Runs(NamedTuple):
    """Where all the runs were made, and the masters that one device ended with."""

    workspace: Path
    native: dict[Kind, dict[str, Tensor]]

    def figures(self, name: str) -> Figures:
        """The logged figures of a run: loss, and for steps the gradient norm."""
        lines = (self.workspace / "logs" / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def masters(self, case: Case) -> dict[str, Tensor]:
        return load_file(self.workspace / "out" / f"{case.name}.safetensors")

    def seen(self, case: Case | Talk) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(
            (self.workspace / "out" / f"{case.name}.json").read_text()
        )
        return seen


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The cases asked for: a ragged last accumulation, uneven masks, clipping, recomputation."""
    workspace = tmp_path_factory.mktemp("zero")
    make = settings_in(workspace)

    def settings(name: str, kind: Kind, **more: Any) -> Config:
        return make(
            name=name,
            lora={"rank": 4, "alpha": 8} if kind.adapted else None,
            model__dtype=kind.dtype,
            model__quantization=kind.quantization,
            # 30 conversations, 7 a step: the fifth step of an epoch has two.
            training__batch_size=7,
            training__epochs=2,
            training__activation_checkpointing="full",
            optimizer={"kind": kind.optimizer, "clip_norm": CLIP},
            schedule={
                "learning_rate": RATES[f"{kind.trained}-{kind.optimizer}"],
                "warmup_steps": 0,
            },
            **more,
        )

    talking = talking_in(workspace, write_talking_base(workspace / "talking-base"))

    def talk_settings(name: str, talk: Talk | None = None) -> Config:
        section = {"stage": talk.stage, "stage3_param_persistence_threshold": 0} if talk else {}
        generated = {"prompts": 5, "max_new_tokens": 32, "batch_size": 1}
        seconds = {"seconds": 1e-6} if talk and talk.capped else {}
        return talking(
            name=name,
            training__max_steps=16,
            validation__every=8,
            validation__best_metric="balanced",
            validation__generated={**generated, **seconds},
            checkpoint__every=16,
            deepspeed_config={"zero_optimization": section} if talk else None,
        )

    train_natively(talk_settings("talk"))
    asked = asked_for(request)
    cases = [case for case in CASES if case.name in asked]
    talks = [talk for talk in (*TALKS, CAPPED) if talk.name in asked]
    native = {}
    for kind in dict.fromkeys(case.kind for case in cases):
        backend = train_natively(settings("-".join(kind), kind))
        native[kind] = {name: master.clone() for name, master in backend.trained_state()}
    (workspace / "out").mkdir()
    configs = {
        case.name: settings(case.name, case.kind, deepspeed_config={"zero_optimization": case.zero})
        for case in cases
    }
    configs |= {talk.name: talk_settings(talk.name, talk) for talk in talks}
    ranks_of = {run.name: run.ranks for run in (*cases, *talks)}
    for ranks in sorted(set(ranks_of.values())):
        folder = workspace / f"cases-{ranks}"
        folder.mkdir()
        for name, config in configs.items():
            if ranks_of[name] == ranks:
                (folder / f"{name}.json").write_text(config.model_dump_json())
        script = "tests/training/zero/zero_cases.py"
        done = launch(ranks, script, "--cases", folder, "--output-dir", workspace / "out")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "Warning" not in done.stderr
    return Runs(workspace, native)


@sampled(CASES)
def test_many_ranks_train_as_one_device_does(runs: Runs, case: Case) -> None:
    wanted, found = runs.figures("-".join(case.kind)), runs.figures(case.name)
    assert [(row["kind"], row["step"]) for row in found] == [
        (row["kind"], row["step"]) for row in wanted
    ]
    norms = [row["gradient_norm"] for row in wanted if row["kind"] == "train"]
    assert len(norms) == 6 and min(norms) > CLIP, "clipping is at work"
    precise = case.kind.dtype == "float32"
    losses = torch.tensor([[row["loss"] for row in rows] for rows in (found, wanted)])
    # Of a quantised base, one device's own losses in bfloat16 and in float32 differ by 2.4e-3.
    rounding = 4e-3 if case.kind.quantization else 2e-3
    torch.testing.assert_close(*losses, atol=1e-5 if precise else rounding, rtol=0)
    found_norms = [row["gradient_norm"] for row in found if row["kind"] == "train"]
    assert found_norms == pytest.approx(norms, rel=1e-5 if precise else 2e-2)
    if case.kind.optimizer == "sgd":
        masters, native = runs.masters(case), runs.native[case.kind]
        assert masters.keys() == native.keys()
        for name, master in masters.items():
            torch.testing.assert_close(master, native[name], atol=1e-6, rtol=0)


@sampled(CASES)
def test_training_changes_the_weights_that_are_compared(runs: Runs, case: Case) -> None:
    """Unchanged weights would be equal whatever the ranks do."""
    native = runs.native[case.kind]
    base = load_file(runs.workspace / "base" / "consolidated.safetensors")
    moved = [name for name in native if name.endswith(("lora_b", "w1.weight"))]
    assert moved
    for name in moved:
        before = base.get(name, torch.zeros(()))
        assert (native[name] - before).abs().max() > 1e-4, name


STAGE_3 = [case for case in CASES if case.stage == 3]


@sampled(STAGE_3)
def test_the_gathered_masters_are_the_ones_in_the_optimizers_memory(runs: Runs, case: Case) -> None:
    out = runs.workspace / "out"
    parts = [load_file(out / f"{case.name}.rank-{rank}.safetensors") for rank in range(case.ranks)]
    final = "adapter" if case.kind.adapted else "consolidated"
    step = runs.workspace / "checkpoints" / case.name / "step-000006"
    written = load_file(step / f"{final}.safetensors")
    for name, master in runs.masters(case).items():
        in_memory = torch.cat([part[name] for part in parts])[: master.numel()].view(master.shape)
        assert in_memory.dtype == torch.float32
        assert torch.equal(master, in_memory)
        assert torch.equal(written[name], master.to(written[name].dtype))


@sampled(STAGE_3)
def test_stage_3_ranks_hold_their_share_of_every_weight(runs: Runs, case: Case) -> None:
    base = load_model(runs.workspace / "base", place=placed(case.kind))
    elements = sum(part.numel() for part in chain(base.parameters(), base.buffers()))
    if case.kind.adapted:
        elements += sum(master.numel() for master in runs.masters(case).values())
    assert runs.seen(case)["elements_here"] == elements // case.ranks


QUANTIZED_CASES = [case for case in CASES if case.kind in QUANTIZED]


@sampled(QUANTIZED_CASES)
def test_a_checkpoint_of_ranks_holds_no_part_of_the_quantized_base(runs: Runs, case: Case) -> None:
    step = runs.workspace / "checkpoints" / case.name / "step-000006"
    assert base_quantization(step) == case.kind.quantization
    [states, *_] = step.glob("*model_states.pt")
    held = torch.load(states, weights_only=False)["module"]
    assert held and all("lora_" in name for name in held)


@sampled(CASES)
def test_validation_and_generation_move_no_weight(runs: Runs, case: Case) -> None:
    assert runs.seen(case)["unchanged_by_validation"] == [True, True]


@sampled([case for case in CASES if case.kind == KINDS[0]])
def test_ranks_with_different_reply_lengths_generate_like_one_process(
    runs: Runs, case: Case
) -> None:
    model = load_model(runs.workspace / "base")
    read_adapter(runs.workspace / "checkpoints" / case.name / "final").attach(model)
    wanted = generate(model, PROMPTS[0], stop_ids=(), max_new_tokens=MOST[0])
    assert runs.seen(case)["replies"] == {str(row): reply for row, reply in enumerate(wanted)}
    lengths = [len(prompts) * most for prompts, most in zip(PROMPTS, MOST, strict=True)]
    counted = [r["generated_tokens"] for r in runs.figures(case.name) if r["kind"] == "validation"]
    assert counted == [sum(lengths[: case.ranks])] * 2


def scored(runs: Runs, name: str) -> Figures:
    """What was validated in a run, whatever the clock said."""
    rows = [row for row in runs.figures(name) if row["kind"] == "validation"]
    measured = ("loss", "perplexity", "reply_seconds")
    return [{key: row[key] for key in row if key not in measured} for row in rows]


@sampled(TALKS)
def test_replies_and_their_figures_are_those_of_one_device(runs: Runs, talk: Talk) -> None:
    wanted = scored(runs, "talk")
    assert [row["step"] for row in wanted] == [8, 16]
    assert 0 < wanted[-1]["exact_match"] < 1, "some are right, some are wrong"
    assert scored(runs, talk.name) == wanted
    bests = [
        json.loads((runs.workspace / "checkpoints" / name / "best/progress.json").read_text())
        for name in (talk.name, "talk")
    ]
    for best in bests:
        del best["made_with"]  # says how many ranks there were
    assert bests[0] == bests[1]
    assert runs.seen(talk)["unchanged_by_validation"] == [True] * 2
    assert runs.seen(talk)["texts"] == runs.seen(REFERENCE)["texts"]


def test_all_ranks_stop_after_the_same_prompts(runs: Runs) -> None:
    found = scored(runs, CAPPED.name)
    assert [row["prompts_replied_to"] for row in found] == [2, 2], "one batch on each rank"
    whole = runs.seen(REFERENCE)["texts"]
    assert runs.seen(CAPPED)["texts"] == whole[:2]
