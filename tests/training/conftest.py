"""Settings over a fresh workspace, and a run as finetune.py does it."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny_runs import settings_in, train_natively

from training.backends import NativeBackend

if TYPE_CHECKING:
    from training.config import Config

# A bare GPU image has no pydantic: what reads settings is not collected there.
if find_spec("pydantic") is None:
    collect_ignore = [
        "test_best.py",
        "test_reward_section.py",
        "test_checkpoint.py",
        "test_ending.py",
        "test_fp8.py",
        "test_config.py",
        "test_gate.py",
        "test_generated.py",
        "test_in_backward.py",
        "zero/test_late_ranks.py",
        "test_loop.py",
        "test_length.py",
        "test_optim.py",
        "test_patience.py",
        "test_preference.py",
        "planning/test_choosing.py",
        "planning/test_plan.py",
        "test_schedule.py",
        "test_start.py",
        "test_stored_quantization.py",
        "zero/test_ranks.py",
        "test_setup.py",
        "test_quantized.py",
        "test_threads.py",
        "test_variants.py",
        "zero/test_engine.py",
        "zero/test_preference.py",
        "zero/test_settings.py",
        "zero/test_variants.py",
        "zero/test_devices.py",
        "zero/test_collectives.py",
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., "Config"]:
    """Return `settings_in` a fresh workspace."""
    return settings_in(tmp_path)


@pytest.fixture
def train_run() -> Callable[..., NativeBackend]:
    """Return `train_natively`."""
    return train_natively
