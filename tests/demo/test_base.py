"""The demo's base can do something: it copies, and soon calls, on one device and on two."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from tiny_runs import settings_over, train_natively

from chat.tokenizers.tokenizer import load_tokenizer
from data.building.dataset import Settings as Building
from data.building.dataset import build_dataset
from demo.making.probes import answers, exact_share
from demo.making.text.stream import FORMAT, probe_conversations
from synthesis.generation import Settings, generate_file
from weights.conversion import convert_from_meta
from weights.directory import load_model

if TYPE_CHECKING:
    from training.config import Config

ROOT = Path(__file__).parents[2]
STEPS = 70


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled base as a native directory."""
    directory = tmp_path_factory.mktemp("base") / "base"
    convert_from_meta(ROOT / "demo/base", directory)
    return directory


@pytest.fixture(scope="module")
def settings(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., "Config"]:
    """Settings over the base and 320 conversations of one call each."""
    workspace = tmp_path_factory.mktemp("runs")
    quotas = {"single_call": 1.0}
    tools = str(ROOT / "demo/tools/everyday.py")
    generate_file(
        workspace / "calls.jsonl",
        Settings(320, 3, tools, ("custom",), quotas=quotas, most_tools=2, mixture="plain"),
    )
    building = Building(val_ratio=0.1, chat_format="llama3_short")
    build_dataset(workspace / "calls.jsonl", base, workspace / "dataset", building)
    make = settings_over(base, workspace / "dataset", workspace)

    def changed(**changes: Any) -> "Config":
        given = {
            "lora": {"rank": 16, "alpha": 32},
            "training": {"max_steps": STEPS, "batch_size": 8, "micro_batch_tokens": 4096},
            "schedule": {"learning_rate": 5e-3, "kind": "constant", "warmup_steps": 0},
            "validation": {
                "every": STEPS // 2,
                "best_metric": "exact_match",
                "generated": {"prompts": 20, "max_new_tokens": 64, "batch_size": 20},
            },
            "checkpoint__every": STEPS // 2,
        }
        return make(**{**given, **changes})

    return changed


@pytest.fixture(scope="module")
def run(settings: Callable[..., "Config"]) -> "Config":
    """A run that is over."""
    config = settings()
    train_natively(config)
    return config


def rows(config: "Config", kind: str) -> list[dict[str, Any]]:
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def test_the_base_repeats_names_it_never_saw(base: Path) -> None:
    asked = probe_conversations("copy", 30, seed=1)
    tokenizer = load_tokenizer(base)
    model = load_model(base, torch.device("cpu"), torch.float32)
    assert exact_share(answers(model, tokenizer, FORMAT, asked), asked) >= 0.8


@pytest.mark.long
def test_calls_are_learned_in_70_steps_and_best_is_kept(run: "Config") -> None:
    found = {row["step"]: row["exact_match"] for row in rows(run, "validation")}
    assert max(found.values()) >= 0.2
    progress = json.loads((run.run_dir / "best/progress.json").read_text())
    assert (progress["best"], found[progress["step"]]) == (max(found.values()),) * 2


@pytest.mark.long
def test_a_resumed_run_equals_an_uninterrupted_one(
    run: "Config", settings: Callable[..., "Config"]
) -> None:
    train_natively(settings(name="half", training__max_steps=STEPS // 2))
    resumed = settings(name="half")
    train_natively(resumed, resume=True)
    ended = [load_file(config.run_dir / "final/adapter.safetensors") for config in (run, resumed)]
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])


@pytest.mark.long
def test_two_ranks_learn_as_one_device_does(
    settings: Callable[..., "Config"], run: "Config", tmp_path: Path
) -> None:
    zero = {"stage": 3, "stage3_param_persistence_threshold": 0}
    config = settings(
        name="ranks",
        training__max_steps=4,
        validation={"every": 4},
        deepspeed_config={"zero_optimization": zero},
    )
    (tmp_path / "cases").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "cases/ranks.json").write_text(config.model_dump_json())
    script, output = "tests/training/zero/zero_cases.py", tmp_path / "out"
    done = launch(2, script, "--cases", tmp_path / "cases", "--output-dir", output)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found, wanted = (
        [row["loss"] for row in rows(trained, "train")][:4] for trained in (config, run)
    )
    assert found == pytest.approx(wanted, abs=1e-5)
