"""Variants of LoRA on two ranks: the same weights as on one device, at the ZeRO stages."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from launches import launch
from safetensors.torch import load_file
from tiny_models import TINY
from tiny_runs import settings_in, train_natively

TIED = replace(TINY, tied_embeddings=True)
WITH_BIASES = replace(TINY, family="qwen2", qkv_bias=True)
VARIANTS = {
    "dora": (TINY, {"rank": 4, "alpha": 8, "dora": True}),
    "ends": (TINY, {"rank": 4, "alpha": 8, "targets": ["wq", "output", "tok_embeddings"]}),
    "rows": (TINY, {"rank": 4, "alpha": 8, "token_rows": [383, 5, 7]}),
    "tied rows": (TIED, {"rank": 4, "alpha": 8, "token_rows": [383, 5, 7]}),
    "biases": (WITH_BIASES, {"rank": 4, "alpha": 8, "biases": True}),
    "dora and biases": (WITH_BIASES, {"rank": 4, "alpha": 8, "dora": True, "biases": True}),
}
# Stage 3 refuses the last.
STAGES = {"dora and biases": (0, 1, 2)}


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_train_a_variant_as_one_device_does(variant: str, tmp_path: Path) -> None:
    (model, lora), stages = VARIANTS[variant], STAGES.get(variant, (0, 1, 2, 3))
    make = settings_in(tmp_path, model)
    settings = {
        "lora": lora,
        "optimizer": {"kind": "sgd", "clip_norm": 0.05},
        "schedule": {"learning_rate": 1.0, "warmup_steps": 0},
    }
    native = train_natively(make(name="native", **settings))
    wanted = {name: master.clone() for name, master in native.trained_state()}
    for part in ("cases", "out"):
        (tmp_path / part).mkdir()
    for stage in stages:
        zero = {"stage": stage, "stage3_param_persistence_threshold": 0}
        config = make(name=f"{stage}", deepspeed_config={"zero_optimization": zero}, **settings)
        (tmp_path / "cases" / f"{stage}.json").write_text(config.model_dump_json())
    script = "tests/training/zero/zero_cases.py"
    done = launch(2, script, "--cases", tmp_path / "cases", "--output-dir", tmp_path / "out")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for stage in stages:
        found = load_file(tmp_path / "out" / f"{stage}.safetensors")
        assert found.keys() == wanted.keys()
        for name, master in found.items():
            torch.testing.assert_close(master, wanted[name], atol=1e-6, rtol=0)
