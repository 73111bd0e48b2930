"""DeepSpeed's shards become one directory, bit for bit what the run gathered itself."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_lines import next_commands
from commands import Outcome, run_command
from launches import ROOT, environment
from safetensors.torch import load_file, save_file
from zero_runs import NOT_SHARDED, SHARDED, Kind, ShardedRuns

from scripts import consolidate_checkpoint, convert_lora_weights
from storage.manifest import damaged_files, read_manifest, write_manifest
from weights.directory import load_model

LORA = Kind("lora", 3, "float32")
FULL = Kind("full", 3, "bfloat16")
ADAPTER = "adapter.safetensors"
WEIGHTS = "consolidated.safetensors"
BESIDE = {"base.json", "config.json", "manifest.json", "params.json", "tokenizer.model"}
BESIDE |= {"chat_format.json"}
Consolidate = Callable[..., Outcome]


@pytest.fixture
def consolidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Consolidate:
    """Run the script on a checkpoint directory, with more flags if given."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")

    def command(source: Path, *more: object, output: Path = tmp_path / "out") -> Outcome:
        flags = ["--checkpoint-dir", source, "--output-dir", output, *more]
        return run_command(consolidate_checkpoint.main, flags, monkeypatch, capsys)

    return command


@pytest.fixture
def run(sharded_runs: ShardedRuns, tmp_path: Path) -> Path:
    """A LoRA run at stage 3 that a test may change."""
    copy = tmp_path / "run"
    shutil.copytree(sharded_runs.run(LORA), copy)
    return copy


def seal(step: Path) -> None:
    """Write the manifest anew, as an attacker would."""
    (step / "manifest.json").unlink()
    write_manifest(step, "checkpoint")


def refused(outcome: Outcome, tmp_path: Path) -> str:
    assert outcome.code == 1
    assert outcome.error.count("\n") == 1
    assert not [path.name for path in tmp_path.iterdir() if "out" in path.name]
    return outcome.error


@pytest.mark.parametrize("kind", SHARDED, ids=lambda kind: kind.name)
def test_joined_shards_equal_the_gathered_weights_bit_for_bit(
    consolidate: Consolidate, sharded_runs: ShardedRuns, tmp_path: Path, kind: Kind
) -> None:
    outcome = consolidate(sharded_runs.run(kind))
    assert (outcome.code, outcome.error) == (0, "")
    step = sharded_runs.run(kind) / "step-000004"
    file, more = (ADAPTER, {"lora.json"}) if kind.trained == "lora" else (WEIGHTS, set())
    assert (tmp_path / "out" / file).read_bytes() == (step / file).read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {file, *BESIDE, *more}
    assert damaged_files(tmp_path / "out") == []
    assert "joined from the shards of 2 ranks; bit for bit" in outcome.out


def test_the_steps_that_are_compared_differ(sharded_runs: ShardedRuns) -> None:
    """Otherwise no test could tell whether `latest` and --tag are honoured."""
    for kind in SHARDED:
        file = ADAPTER if kind.trained == "lora" else WEIGHTS
        early, late = (sharded_runs.run(kind) / f"step-00000{n}" / file for n in (2, 4))
        assert early.read_bytes() != late.read_bytes()


def test_an_older_step_can_be_named_in_three_ways(
    consolidate: Consolidate, run: Path, tmp_path: Path
) -> None:
    wanted = (run / "step-000002" / ADAPTER).read_bytes()
    for source, more in ((run, ("--tag", "step-000002")), (run / "step-000002", ())):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert consolidate(source, *more).code == 0
        assert (tmp_path / "out" / ADAPTER).read_bytes() == wanted
    (run / "latest").write_text("step-000002")
    shutil.rmtree(tmp_path / "out")
    assert consolidate(run).code == 0
    assert (tmp_path / "out" / ADAPTER).read_bytes() == wanted


@pytest.mark.parametrize("tag", ["step-000002", "final"])
def test_the_gathered_file_is_copied_where_nothing_is_sharded(
    consolidate: Consolidate, sharded_runs: ShardedRuns, tmp_path: Path, tag: str
) -> None:
    outcome = consolidate(sharded_runs.run(NOT_SHARDED), "--tag", tag)
    assert outcome.code == 0
    gathered = sharded_runs.run(NOT_SHARDED) / tag / ADAPTER
    assert f"copied from {gathered}: nothing in that checkpoint is sharded" in outcome.out
    assert (tmp_path / "out" / ADAPTER).read_bytes() == gathered.read_bytes()


def base_without_tokenizer(sharded_runs: ShardedRuns, tmp_path: Path) -> Path:
    """These runs have any file for a tokenizer; without one, random tokens are compared."""
    for name in ("params.json", WEIGHTS):
        (tmp_path / "base").mkdir(exist_ok=True)
        shutil.copyfile(sharded_runs.base / name, tmp_path / "base" / name)
    return tmp_path / "base"


def merged(
    tmp_path: Path,
    base: Path,
    lora: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config_dir: Path | None = None,
) -> bytes:
    flags = ["--config-dir", config_dir or lora, "--base-ckpt-path", base / "consolidated.pth"]
    flags += ["--lora-ckpt-path", lora, "--output-dir", tmp_path / "merged"]
    outcome = run_command(convert_lora_weights.main, flags, monkeypatch, capsys)
    assert (outcome.code, outcome.error) == (0, "")
    return (tmp_path / "merged" / WEIGHTS).read_bytes()


def test_the_joined_adapter_merges_like_the_gathered_one(
    consolidate: Consolidate,
    sharded_runs: ShardedRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = consolidate(sharded_runs.run(LORA))
    assert "convert_lora_weights.py --config-dir" in outcome.out
    base = base_without_tokenizer(sharded_runs, tmp_path)
    joined = merged(tmp_path, base, tmp_path / "out", monkeypatch, capsys)
    final = sharded_runs.run(LORA) / "final"
    assert joined == merged(tmp_path, base, final, monkeypatch, capsys)


def test_fully_trained_weights_become_a_loadable_model(
    consolidate: Consolidate, sharded_runs: ShardedRuns, tmp_path: Path
) -> None:
    assert "chat_completion.py --ckpt-dir" in consolidate(sharded_runs.run(FULL)).out
    state = load_model(tmp_path / "out").state_dict()
    wanted = load_model(sharded_runs.run(FULL) / "final").state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    assert all(torch.equal(state[name], tensor) for name, tensor in wanted.items())


@pytest.mark.parametrize(
    "kind",
    [pytest.param(Kind("lora", 2, "float32"), marks=pytest.mark.long), LORA],
    ids=lambda kind: kind.name,
)
def test_deepspeeds_own_script_works_as_the_base_project_printed(
    sharded_runs: ShardedRuns,
    tmp_path: Path,
    kind: Kind,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`latest` edited by hand, the commands in docs/run-directory.md, then the merge."""
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(sharded_runs.run(kind), checkpoints / "ds_llama3_fc")
    (checkpoints / "ds_llama3_fc" / "latest").write_text("step-000002")
    page = (ROOT / "docs/run-directory.md").read_text(encoding="utf-8")
    commands = page.partition("\n```sh\nmkdir")[2].partition("```")[0]
    assert "python zero_to_fp32.py ./ ../converted_lora_state/" in commands
    environ = environment(DS_ACCELERATOR="cpu")
    done = subprocess.run(
        ["bash", "-e"],
        input=f"mkdir{commands}",
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    state = checkpoints / "converted_lora_state"
    file = state / "lora_state_consolidated.pt"
    base = base_without_tokenizer(sharded_runs, tmp_path)
    converted = merged(tmp_path, base, file, monkeypatch, capsys, state)
    step = sharded_runs.run(kind) / "step-000002"
    told = (tmp_path / "merged/chat_format.json").read_bytes()
    assert converted == merged(tmp_path, base, step, monkeypatch, capsys)
    assert told == (tmp_path / "merged/chat_format.json").read_bytes()


@pytest.mark.parametrize("kind", [LORA, FULL, NOT_SHARDED], ids=lambda kind: kind.name)
def test_the_chat_format_of_the_training_is_copied(
    consolidate: Consolidate, sharded_runs: ShardedRuns, tmp_path: Path, kind: Kind
) -> None:
    run = tmp_path / "run"
    shutil.copytree(sharded_runs.run(kind), run)
    step = run / "step-000004"
    assert json.loads((step / "chat_format.json").read_text()) == {"name": "llama3"}
    (step / "chat_format.json").write_text('{"name": "llama3_short"}')
    seal(step)
    assert " --chat-format" not in consolidate(run).out
    told = tmp_path / "out" / "chat_format.json"
    assert json.loads(told.read_text()) == {"name": "llama3_short"}
    assert told.name in read_manifest(tmp_path / "out")["files"]


def test_a_checkpoint_without_chat_format_prints_a_placeholder(
    consolidate: Consolidate, sharded_runs: ShardedRuns, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(sharded_runs.run(FULL), run)
    (run / "step-000004" / "chat_format.json").unlink()
    params = json.loads((run / "step-000004" / "params.json").read_text())
    del params["chat_format"]
    (run / "step-000004" / "params.json").write_text(json.dumps(params))
    seal(run / "step-000004")
    (line,) = next_commands(consolidate(run).out)
    assert line.endswith(" --chat-format NAME")
    assert json.loads((tmp_path / "out" / "chat_format.json").read_text()) == {"name": None}


def test_the_script_runs_in_its_own_process(sharded_runs: ShardedRuns, tmp_path: Path) -> None:
    flags = ["--checkpoint-dir", sharded_runs.run(LORA), "--output-dir", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "scripts/consolidate_checkpoint.py", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'out' / ADAPTER}: 28 tensors, ")


def test_a_pickle_that_would_run_code_is_refused(
    consolidate: Consolidate, run: Path, tmp_path: Path
) -> None:
    shard = run / "step-000004" / "zero_pp_rank_1_mp_rank_00_model_states.pt"

    class Burglar:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (tmp_path / "was-here",)

    torch.save({"module": Burglar()}, shard)
    seal(run / "step-000004")
    problem = refused(consolidate(run), tmp_path)
    assert f"{shard.name} names pathlib.Path, which no checkpoint of DeepSpeed's" in problem
    assert not (tmp_path / "was-here").exists()


def test_a_damaged_step_is_refused_and_a_run_falls_back(
    consolidate: Consolidate, run: Path, tmp_path: Path
) -> None:
    shard = run / "step-000004" / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    shard.write_bytes(shard.read_bytes()[:-1])
    problem = refused(consolidate(run / "step-000004"), tmp_path)
    assert f"step-000004 is damaged ({shard.name} has" in problem
    outcome = consolidate(run)
    assert "warning:" in outcome.out and "trying the checkpoint before it" in outcome.out
    wanted = (run / "step-000002" / ADAPTER).read_bytes()
    assert (tmp_path / "out" / ADAPTER).read_bytes() == wanted


def test_a_lost_gathered_file_is_rebuilt_from_the_shards(
    consolidate: Consolidate, run: Path, tmp_path: Path
) -> None:
    wanted = (run / "step-000004" / ADAPTER).read_bytes()
    (run / "step-000004" / ADAPTER).unlink()
    outcome = consolidate(run, "--tag", "step-000004")
    assert f"{run / 'step-000004' / ADAPTER} is damaged or gone" in outcome.out
    assert (tmp_path / "out" / ADAPTER).read_bytes() == wanted


def change_a_bit(step: Path) -> None:
    state = load_file(step / ADAPTER)
    state["layers.0.attention.wq.lora_a"][0, 0] += 1e-6
    save_file(state, step / ADAPTER)


def describe_another_model(step: Path) -> None:
    params = json.loads((step / "params.json").read_text())
    (step / "params.json").write_text(json.dumps({**params, "n_layers": 1}))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (change_a_bit, "and the shards beside it differ in layers.0.attention.wq.lora_a"),
        (describe_another_model, "holds the weights of another model than its params.json"),
    ],
)
def test_mixed_parts_of_different_runs_are_refused(
    consolidate: Consolidate,
    run: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    problem: str,
) -> None:
    change(run / "step-000004")
    seal(run / "step-000004")
    assert problem in refused(consolidate(run), tmp_path)


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("step-000003", "has no checkpoint 'step-000003'; there is step-000002, step-000004, "),
        ("../run/step-000002", "has no checkpoint '../run/step-000002'"),
    ],
)
def test_an_unknown_tag_is_refused(
    consolidate: Consolidate, run: Path, tmp_path: Path, tag: str, problem: str
) -> None:
    assert problem in refused(consolidate(run, "--tag", tag), tmp_path)


def test_a_tag_for_a_single_checkpoint_is_refused(
    consolidate: Consolidate, run: Path, tmp_path: Path
) -> None:
    outcome = consolidate(run / "step-000002", "--tag", "step-000004")
    assert "is one checkpoint already; leave out --tag" in refused(outcome, tmp_path)


def test_a_directory_that_is_no_run_is_refused(consolidate: Consolidate, tmp_path: Path) -> None:
    problem = refused(consolidate(tmp_path / "nothing"), tmp_path)
    assert "nothing holds no whole checkpoint; wanted a run's directory" in problem


def test_a_runs_own_checkpoints_are_never_replaced(consolidate: Consolidate, run: Path) -> None:
    for output in (run, run / "step-000002", run / "final"):
        before = sorted(path.name for path in output.iterdir())
        assert consolidate(run, output=output).code == 1
        assert sorted(path.name for path in output.iterdir()) == before
