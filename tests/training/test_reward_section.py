"""The settings of rewards: what is refused, in one line that says what to change."""

from typing import Any

import pytest
from pydantic import ValidationError

from training.config import Config
from training.zero.settings import check_together


def config(**changes: Any) -> Config:
    values: dict[str, Any] = {
        "model": {"checkpoint_dir": "base"},
        "data": {"dataset_dir": "data"},
        "reward": {"prompts_file": "prompts.jsonl"},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            values.setdefault(section, {})[name] = value
        else:
            values[section] = value
    return Config.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward__group_size": 1}, "a group of one teaches nothing; give --reward.group_size=8"),
        (
            {
                "reward__parts": dict.fromkeys(("exact_match", "irrelevance", "words"), 0)
                | {
                    name: 0
                    for name in ("name", "argument_precision", "argument_recall", "valid_schema")
                }
            },
            "every part has the weight 0",
        ),
        ({"lora": None, "reward__kl": 0.1}, "the base is the model with its adapter off"),
        ({"model__adapter_dir": "a", "reward__kl": 0.1}, "add --reward.kl=0, or merge"),
        ({"lora": {"dropout": 0.1}}, "add --lora.dropout=0"),
        ({"training__max_tokens": 5000}, "--training.max_tokens=null --training.max_steps=100"),
        ({"training__micro_batch_tokens": 256}, "holds a prompt with its reply; raise the latter"),
        (
            {
                "lora": None,
                "optimizer__in_backward": True,
                "optimizer__clip_norm": None,
            },
            "add --optimizer.in_backward=false",
        ),
        ({"preference": {"beta": 0.1}}, "a run has one objective"),
        ({"reward__parts": {"exact": 1}}, "exact"),
        ({"reward__temperature": 0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**changes)
    assert message in str(caught.value)


def test_zero_3_is_refused_by_name() -> None:
    sharded = config(deepspeed_config={"zero_optimization": {"stage": 3}})
    with pytest.raises(ValueError, match=r"stage is 3, .* set it to 0, 1 or 2"):
        check_together(sharded)


def test_part_of_a_function_counts_where_there_is_one() -> None:
    without, with_one = config(), config(reward__function="mine.py:judge")
    assert without.reward and with_one.reward
    assert "function" not in without.reward.weights
    assert with_one.reward.weights["function"] == 1
