"""What several tests need: the folder of real data and a tiny model."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from tiny_models import TINY, random_model
from zero_runs import ShardedRuns, make_sharded_runs

from model.transformer import Transformer

# Models this small lose more to the threads' meeting than they win; commands inherit the setting.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# Every run tries the same random examples; others with: pytest --hypothesis-profile=default
with suppress(ImportError):
    from hypothesis import settings

    settings.register_profile("same", derandomize=True)
    settings.load_profile("same")


# Files that start many processes, the longest first: begun last, one of them would run alone.
LONGEST_FIRST = (
    "test_zero.py",
    "test_end_to_end.py",
    "test_ranks.py",
    "test_base.py",
    "test_two_nodes.py",
    "test_answering.py",
    "test_style.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each file to one worker, which makes its fixtures once; likewise shared runs."""
    if not config.pluginmanager.hasplugin("xdist"):
        return  # a bare GPU image has pytest alone
    for item in items:
        shared_runs = "sharded_runs" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("sharded" if shared_runs else str(item.path)))
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real rows, tokenizers and weights, named by FC_SHARED."""
    folder = Path(os.environ.get("FC_SHARED", Path(__file__).parents[2] / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}/data; set FC_SHARED to the folder that holds it")
    return folder / "data"


@pytest.fixture
def tiny_model() -> Transformer:
    """A Llama 3 of 64 dimensions and two layers with seeded weights, float32."""
    return random_model(TINY)


@pytest.fixture(scope="session")
def sharded_runs(tmp_path_factory: pytest.TempPathFactory) -> ShardedRuns:
    """Runs that the real launcher made with DeepSpeed, to be read only."""
    return make_sharded_runs(tmp_path_factory.mktemp("sharded"))
