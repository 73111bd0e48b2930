"""The import of an adapter of PEFT as a user types it, and all that is refused by name."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Outcome, run_command
from native_directories import write_adapter, write_native
from safetensors.torch import load_file, save_file
from tiny_models import TINY
from torch import Tensor

from model.lora.config import LoraConfig
from scripts.import_adapter import main
from weights.adapter import base_quantization, write_base_record
from weights.peft.conversion import export_adapter, import_adapter

ROOT = Path(__file__).parents[2]
LORA = LoraConfig(rank=4, alpha=8.0, targets=("wq", "wv"))
QUERIES = "base_model.model.model.layers.0.self_attn.q_proj"
Import = Callable[..., Outcome]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A base and an adapter of it in PEFT's layout, as PEFT would leave it."""
    write_native(tmp_path / "base", TINY)
    write_adapter(tmp_path / "lora", TINY, LORA)
    export_adapter(tmp_path / "lora", tmp_path / "peft")
    for own in ("chat_format.json", "manifest.json"):
        (tmp_path / "peft" / own).unlink()
    return tmp_path


@pytest.fixture
def import_peft(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Import:
    """Run the script."""

    def command(peft: str = "peft", base: str = "base") -> Outcome:
        flags = {"peft-dir": peft, "base-ckpt-path": base, "output-dir": "out"}
        typed = [x for name, value in flags.items() for x in (f"--{name}", workspace / value)]
        return run_command(main, typed, monkeypatch, capsys)

    return command


def change_settings(workspace: Path, **changes: Any) -> None:
    file = workspace / "peft" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_tensors(workspace: Path, **changes: Tensor | None) -> None:
    """Add, replace or, where it is None, remove tensors; `__` stands for a point."""
    file = workspace / "peft" / "adapter_model.safetensors"
    named = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    tensors = {**load_file(file), **named}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, file)


def refused(outcome: Outcome, workspace: Path) -> str:
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.error.count("\n") == 1
    names = [path.name for path in workspace.iterdir()]
    assert not [name for name in names if "out" in name or "partial" in name]
    return outcome.error


def test_the_script_imports_and_names_the_next_commands(workspace: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "scripts/import_adapter.py",
            "--peft-dir",
            workspace / "peft",
            "--base-ckpt-path",
            workspace / "base",
            "--output-dir",
            workspace / "out",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"LoRA checkpoint of a llama model in {workspace}/out: 4 layers, rank up to 4" in (
        done.stdout
    )
    following = done.stdout.split("Next:")[1]
    assert f"--lora-ckpt-path {workspace}/out --chat-format NAME" in following
    assert f"--lora-ckpt-path {workspace}/out --output-dir D" in following
    written, trained = (
        load_file(workspace / name / "adapter.safetensors") for name in ("out", "lora")
    )
    assert all(torch.equal(written[name], tensor) for name, tensor in trained.items())


def test_what_says_nothing_of_the_mathematics_is_passed_over(
    import_peft: Import, workspace: Path
) -> None:
    change_settings(
        workspace,
        peft_version="0.21.2",
        revision="main",
        megatron_core="megatron.core",
        qalora_group_size=16,
        eva_config={"rho": 2.0},
        init_lora_weights="eva",
        use_dora=False,
        layer_replication=None,
        target_parameters=None,
        some_later_flag=False,
    )
    assert import_peft().code == 0


REFUSED_SETTINGS = [
    ({"peft_type": "IA3"}, "peft_type is 'IA3', wanted 'LORA'"),
    ({"peft_type": "ADALORA"}, "peft_type is 'ADALORA', wanted 'LORA'"),
    ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS', wanted 'CAUSAL_LM'"),
    ({"bias": "some"}, "bias is 'some', wanted one of none, lora_only, all"),
    (
        {"use_dora": True},
        "4 tensors are missing (first ['base_model.model.model.layers.0.",
    ),
    ({"use_dora": "yes"}, "use_dora is 'yes', wanted true or false"),
    ({"lora_bias": True}, "lora_bias is True, which cannot be represented"),
    ({"fan_in_fan_out": True}, "fan_in_fan_out is True, which cannot be represented"),
    ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head'], which cannot be"),
    ({"trainable_token_indices": [3]}, "trainable_token_indices is {'embed_tokens': (3,)}, which"),
    ({"trainable_token_indices": ["x"]}, "trainable_token_indices is ['x'], wanted ids of tokens"),
    ({"layer_replication": [[0, 2]]}, "layer_replication is [[0, 2]], which cannot be"),
    ({"target_parameters": ["x.weight"]}, "target_parameters is ['x.weight'], which cannot"),
    ({"use_qalora": True}, "use_qalora is True, which cannot be represented: it is not known"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which may have changed the"),
    ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights is 'pissa_niter_4', which may"),
    ({"init_lora_weights": "olora"}, "init_lora_weights is 'olora', which may have changed the"),
    ({"init_lora_weights": "loftq"}, "init_lora_weights is 'loftq', which may have changed the"),
    ({"target_modules": ["q_proj", "head"]}, "the target module 'head' is not here"),
    ({"target_modules": ["q_proj", "v_proj", "lm_head"]}, "['base_model.model.lm_head.lora_A"),
    ({"target_modules": ["qkv_proj"]}, "wanted linear layers of llama blocks: q_proj, k_proj"),
    ({"target_modules": "query.*"}, "target_modules 'query.*' match nothing"),
    ({"target_modules": None}, "target_modules () match nothing"),
    ({"target_modules": ["q_proj", 3]}, "target_modules is ['q_proj', 3], wanted a list of names"),
    ({"target_modules": ["q_proj"]}, "0 tensors are missing (first []) and 4 left over"),
    ({"target_modules": "all-linear"}, "20 tensors are missing"),
    ({"layers_to_transform": [1]}, "0 tensors are missing (first []) and 4 left over"),
    ({"layers_to_transform": "1"}, "layers_to_transform is 1, wanted a list of numbers"),
    ({"layers_pattern": "blocks"}, "layers_pattern is 'blocks', wanted 'layers'"),
    ({"rank_pattern": {"v_proj": 3}}, "v_proj.lora_A.weight is [4, 64], wanted [3, 64]"),
    ({"rank_pattern": {"v_proj": 0}}, "the rank 'v_proj' is 0, wanted a positive whole number"),
    ({"rank_pattern": [3]}, "rank_pattern is [3], wanted an object"),
    ({"rank_pattern": {"(": 3}}, "adapter_config.json: the pattern '(' cannot be read"),
    ({"target_modules": "("}, "adapter_config.json: the pattern '(' cannot be read"),
    ({"alpha_pattern": {"v_proj": "8"}}, "the alpha 'v_proj' is '8', wanted a positive number"),
    ({"target_modules": "(.+)+x$"}, "target_modules '(.+)+x$' match nothing"),
    ({"r": 16}, "q_proj.lora_A.weight is [4, 64], wanted [16, 64]"),
    ({"r": "4"}, "the rank 'r' is '4', wanted a positive whole number"),
    ({"lora_alpha": 0}, "the alpha 'lora_alpha' is 0, wanted a positive number"),
    ({"lora_alpha": inf}, "adapter_config.json: the alpha 'lora_alpha' is inf, wanted a positive"),
    ({"alpha_pattern": {"v_proj": inf}}, "adapter_config.json: the alpha 'v_proj' is inf, wanted"),
    ({"lora_alpha": 10**400}, "adapter_config.json: the alpha 'lora_alpha' is 1000000"),
    ({"lora_dropout": "much"}, "lora_dropout is 'much', wanted 0 or more and below 1"),
    ({"use_rslora": "yes"}, "use_rslora is 'yes', wanted true or false"),
]


@pytest.mark.parametrize(("changes", "problem"), REFUSED_SETTINGS)
def test_settings_that_cannot_be_represented_are_named(
    import_peft: Import, workspace: Path, changes: dict[str, Any], problem: str
) -> None:
    change_settings(workspace, **changes)
    assert problem in refused(import_peft(), workspace)


def remove_settings(workspace: Path) -> None:
    (workspace / "peft" / "adapter_config.json").unlink()


def spoil_settings(workspace: Path) -> None:
    (workspace / "peft" / "adapter_config.json").write_text("{")


def list_settings(workspace: Path) -> None:
    (workspace / "peft" / "adapter_config.json").write_text("[]")


def remove_tensors(workspace: Path) -> None:
    (workspace / "peft" / "adapter_model.safetensors").unlink()


def leave_a_pickle(workspace: Path) -> None:
    file = workspace / "peft" / "adapter_model.safetensors"
    torch.save(load_file(file), workspace / "peft" / "adapter_model.bin")
    file.unlink()


def cut_the_file(workspace: Path) -> None:
    file = workspace / "peft" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def adapt_the_embedding(workspace: Path) -> None:
    name = "base_model__model__model__embed_tokens__lora_embedding_A"
    change_tensors(workspace, **{name: torch.zeros(4, 384)})


def save_another_head(workspace: Path) -> None:
    change_tensors(workspace, base_model__model__lm_head__base_layer__weight=torch.zeros(384, 64))


def add_magnitudes(workspace: Path) -> None:
    change_tensors(workspace, **{f"{QUERIES}.lora_magnitude_vector": torch.zeros(64)})


def add_a_bias(workspace: Path) -> None:
    change_tensors(workspace, **{f"{QUERIES}.lora_B.bias": torch.zeros(64)})


def lose_a_tensor(workspace: Path) -> None:
    change_tensors(workspace, **{f"{QUERIES}.lora_B.weight": None})


def add_a_stranger(workspace: Path) -> None:
    change_tensors(workspace, surprise=torch.zeros(2))


def diverge(workspace: Path) -> None:
    change_tensors(workspace, **{f"{QUERIES}.lora_B.weight": torch.full((64, 4), torch.nan)})


def take_a_wider_base(workspace: Path) -> None:
    write_native(workspace / "other", replace(TINY, dim=128))
    (workspace / "base").rename(workspace / "former")
    (workspace / "other").rename(workspace / "base")


def take_a_fused_base(workspace: Path) -> None:
    write_native(workspace / "phi", replace(TINY, family="phi3"))
    (workspace / "base").rename(workspace / "former")
    (workspace / "phi").rename(workspace / "base")


def take_our_own(workspace: Path) -> None:
    (workspace / "peft").rename(workspace / "former")
    (workspace / "lora").rename(workspace / "peft")


def lose_the_base(workspace: Path) -> None:
    (workspace / "base").rename(workspace / "former")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (remove_settings, "adapter_config.json is missing; wanted a directory that PEFT's"),
        (spoil_settings, "adapter_config.json is not JSON: "),
        (list_settings, "adapter_config.json must hold an object, found list"),
        (remove_tensors, "adapter_model.safetensors is missing; PEFT's save_pretrained writes it"),
        (leave_a_pickle, "holds adapter_model.bin and no adapter_model.safetensors: a .bin file"),
        (cut_the_file, "is truncated or not a safetensors file"),
        (adapt_the_embedding, "1 left over (first ['base_model.model.model.embed_tokens.lora_em"),
        (save_another_head, "lm_head.base_layer.weight is not the base's output.weight: it was"),
        (add_magnitudes, "lora_magnitude_vector, which cannot be represented: it is DoRA's"),
        (add_a_bias, "lora_B.bias, which cannot be represented: B has a bias"),
        (lose_a_tensor, f"1 tensors are missing (first ['{QUERIES}.lora_B.weight']) and 0 left"),
        (add_a_stranger, "0 tensors are missing (first []) and 1 left over (first ['surprise'])"),
        (diverge, "q_proj.lora_B.weight holds NaN or infinite values"),
        (take_a_wider_base, "lora_A.weight is [4, 64], wanted [4, 128] by the base and the rank"),
        (take_a_fused_base, "the target module 'q_proj' is not here; wanted linear layers of phi3"),
        (take_our_own, "adapter_config.json is missing"),
        (lose_the_base, "base does not exist; wanted a model directory"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    import_peft: Import, workspace: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    spoil(workspace)
    assert problem in refused(import_peft(), workspace)


def test_storage_of_the_base_goes_out_and_in_again(import_peft: Import, workspace: Path) -> None:
    write_base_record(workspace / "lora", workspace / "base", "nf4")
    export_adapter(workspace / "lora", workspace / "own")
    assert import_peft("own").code == 0
    assert base_quantization(workspace / "out") == "nf4"


def test_storage_of_the_base_can_be_given(workspace: Path) -> None:
    import_adapter(workspace / "peft", workspace / "base", workspace / "out")
    assert base_quantization(workspace / "out") is None
    import_adapter(workspace / "peft", workspace / "base", workspace / "out", "nf4_double")
    assert base_quantization(workspace / "out") == "nf4_double"
    with pytest.raises(ValueError, match="--quantization is 'int4', wanted one of nf4, nf4_double"):
        import_adapter(workspace / "peft", workspace / "base", workspace / "out", "int4")
