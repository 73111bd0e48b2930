"""Trackers beside TensorBoard; wandb's tests want the package and send nothing."""

import json
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import settings_in, train_natively

from training import trackers
from training.config import Config
from training.trackers import ID_FILE, check_trackers

Settings = Callable[..., Config]
# Of LevelDB's logs: the size of a block, and the kinds of its parts after which a record is whole.
BLOCK, FULL, LAST = 32_768, 1, 4


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a run with wandb, offline, whatever this machine knows of it."""
    for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_API_KEY", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    make = settings_in(tmp_path)
    return lambda **changes: make(logging__trackers=["wandb"], **changes)


def records(config: Config) -> Iterator[Any]:
    """Yield what wandb keeps of a run, or of its parts, to be sent one day."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted(config.log_dir.glob("wandb/offline-run-*/*.wandb")):
        for data in leveldb_records(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            yield record


def leveldb_records(log: bytes) -> Iterator[bytes]:
    """Yield the records of a LevelDB log after its 7 bytes of header (log_format.md of LevelDB)."""
    position, parts = 7, b""
    while position + 7 <= len(log):
        if (left := BLOCK - position % BLOCK) < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<4xHB", log, position)
        parts += log[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (FULL, LAST):
            yield parts
            parts = b""


def logged(config: Config) -> list[dict[str, Any]]:
    """Return what was logged, without wandb's own names."""
    found = []
    for record in records(config):
        items = record.history.item if record.WhichOneof("record_type") == "history" else ()
        values = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}
        if values := {name: value for name, value in values.items() if not name.startswith("_")}:
            found.append(values)
    return found


def expected(config: Config) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl under TensorBoard's names."""
    lines = map(json.loads, (config.log_dir / "metrics.jsonl").read_text().splitlines())
    return [
        {"step": row["step"]}
        | {f"{row['kind']}/{k}": v for k, v in row.items() if k not in ("kind", "step")}
        for row in lines
    ]


def ids(config: Config) -> set[str]:
    return {r.run.run_id for r in records(config) if r.WhichOneof("record_type") == "run"}


def test_wandb_gets_the_numbers_of_metrics_jsonl(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    config = settings()
    train_natively(config)
    assert logged(config) == expected(config)
    assert f"wandb: offline, in {config.log_dir}" in capsys.readouterr().out


def test_wandb_gets_the_settings_and_nothing_of_code_or_machine(settings: Settings) -> None:
    pytest.importorskip("wandb")
    config = settings()
    train_natively(config)
    kinds = {record.WhichOneof("record_type") for record in records(config)}
    assert not kinds & {"stats", "output", "output_raw", "artifact", "files"}, kinds
    (run,) = (r.run for r in records(config) if r.WhichOneof("record_type") == "run")
    sent = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert sent["lora"]["rank"] == 4
    assert (run.project, run.display_name, run.git.commit) == ("llama-tools", "run", "")
    folder = next(config.log_dir.glob("wandb/offline-run-*"))
    assert not [f for f in (folder / "files").rglob("*") if f.is_file() and f.suffix == ".py"]


def test_a_resumed_run_goes_on_in_the_same_wandb_run(settings: Settings) -> None:
    pytest.importorskip("wandb")
    train_natively(settings(training__max_steps=2))
    longer = settings(training__max_steps=6)
    train_natively(longer, resume=True)
    assert ids(longer) == {json.loads((longer.log_dir / ID_FILE).read_text())["id"]}
    assert [row["step"] for row in logged(longer) if "train/loss" in row] == [*range(1, 7)]


def test_a_new_run_is_a_new_wandb_run(settings: Settings) -> None:
    config = settings()
    first = trackers._run_id(config, 0)
    assert trackers._run_id(config, 4) == first
    assert trackers._run_id(config, 0) != first


@pytest.mark.parametrize("given", ["wandb", ["wandb"], ["wandb", "wandb"]])
def test_trackers_are_names_once_each(tmp_path: Path, given: object) -> None:
    assert settings_in(tmp_path)(logging__trackers=given).logging.trackers == ("wandb",)


def test_without_trackers_none_is_opened(tmp_path: Path) -> None:
    config = settings_in(tmp_path)()
    check_trackers(config.logging.trackers)
    assert trackers.open_trackers(config, 0) == []


@pytest.mark.parametrize("script", ["finetune", "ds_finetune"])
def test_a_missing_package_is_one_line_before_anything_is_loaded(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from commands import run_command

    main = pytest.importorskip(script).main
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    # The dataset of this configuration is not there, which would be told next.
    flags = ["--config-file", "configs/finetune.json", "--logging.trackers=wandb"]
    flags.append(f"--model.checkpoint_dir={tmp_path}")
    monkeypatch.chdir(Path(sys.modules[script].__file__ or "").parent)
    done = run_command(main, flags, monkeypatch, capsys)
    assert done.code == 1
    assert done.error == (
        "error: logging.trackers names wandb, which is not installed: python -m pip install -e "
        "'.[wandb]', or add --logging.trackers='[]'\n"
    )
