"""What several tests need: the folder of real data and a tiny model."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from real_model import find_real_gguf
from tiny_models import TINY, random_model
from zero_runs import ShardedRuns, make_sharded_runs

from model.transformer import Transformer
from storage.manifest import TRUST_FILES

# Models this small run slower on several threads; commands inherit the setting.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Try the same random examples in every run, and fewer where long tests are left out.

    Others are tried with: pytest --hypothesis-profile=default
    """
    with suppress(ImportError):
        from hypothesis import settings
        from random_examples import FEW, MANY

        settings.register_profile("few", derandomize=True, max_examples=FEW)
        settings.register_profile("many", derandomize=True, max_examples=MANY)
        if not config.getoption("hypothesis_profile", None):
            settings.load_profile("few" if "not long" in config.option.markexpr else "many")


# Files that start many processes, the longest first: begun last, one of them would run alone.
LONGEST_FIRST = (
    "test_doubling.py",
    "test_doubling_others.py",
    "test_engine.py",
    "test_end_to_end.py",
    "test_ranks.py",
    "test_base.py",
    "test_two_nodes.py",
    "test_loading.py",
    "test_style.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture
def trusted_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test, and the commands it starts, read files that it edits beside their manifest."""
    monkeypatch.setenv(TRUST_FILES, "1")


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
    """Runs that the real launcher made with DeepSpeed, to be read only; workers share them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    workspace = folder / "sharded"
    with (folder / "sharded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "sharded.done").exists():
            workspace.mkdir()
            make_sharded_runs(workspace)
            (folder / "sharded.done").touch()
    return ShardedRuns(workspace)


@pytest.fixture(scope="session")
def real_gguf() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct, named by FC_REAL_MODEL."""
    return find_real_gguf()


@pytest.fixture(scope="session")
def real_model(real_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a native directory in float32, to be read only; workers share it."""
    from weights.gguf.conversion import convert_from_gguf

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "real_model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "real_model").is_dir():
            convert_from_gguf(real_gguf, folder / "real_model")
    return folder / "real_model"
