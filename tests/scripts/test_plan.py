"""The plan of every shipped configuration, without weights or data."""

import re
import shlex
from pathlib import Path

import pytest
from command_lines import ROOT, problem_of
from commands import run_command

from console.flags import UsageError
from scripts.plan import main

# The demo's two, the chat's, and one for any model: scripts/teach.py plans it anew.
UNPLANNED = {"demo.json", "dialogs.json", "reward.json", "teach.json"}


@pytest.mark.parametrize(
    ("name", "shape", "devices"),
    [("finetune", "8b", 1), ("ds_finetune", "8b", 8), ("ds_full_zero3_offload", "70b", 64)],
)
def test_plan_names_bytes_time_cards_and_a_command(
    name: str, shape: str, devices: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(ROOT / f"configs/{name}.json")
    main(file, num_gpus=devices, shape=shape, conversations=100_000)
    printed = capsys.readouterr().out
    for wanted in ("trained parameters", "activations", "hours of training", "141 GB H200"):
        assert wanted in printed
    command = printed.splitlines()[-1].strip()
    assert not problem_of(command), command


def test_finetuning_8b_fits_24_gb_only_recomputed(capsys: pytest.CaptureFixture[str]) -> None:
    main(str(ROOT / "configs/finetune.json"), gpu="RTX 4090", shape="8b")
    printed = capsys.readouterr().out
    assert "activation checkpointing: full" in printed and "fits RTX 4090" in printed
    assert "12 GB RTX 4070  x 1   fits, checkpointing full: --model.quantization=nf4" in printed


def test_command_of_a_plan_has_the_flags_it_was_made_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags: dict[str, object] = {"lora": None, "optimizer.kind": "adamw8bit"}
    main(str(ROOT / "configs/finetune.json"), shape="8b", **flags)
    command = capsys.readouterr().out.splitlines()[-1].strip()
    assert command.endswith("--lora=null --optimizer.kind=adamw8bit")
    assert not problem_of(command), command


def test_the_card_and_who_chooses_the_checkpointing_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(ROOT / "configs/finetune.json")
    main(file, shape="8b", conversations=1000)
    printed = capsys.readouterr().out
    assert printed.startswith("for one H200 a rank; --gpu names another card\n")
    assert "(auto chooses it); 8,192 tokens" in printed and "steps, at best " in printed
    assert "what has to change (auto chooses the checkpointing):" in printed
    flags: dict[str, object] = {"training.activation_checkpointing": "full"}
    main(file, gpu="H100", shape="8b", **flags)  # type: ignore[arg-type]
    printed = capsys.readouterr().out
    assert "--gpu names" not in printed and "auto" not in printed


def test_the_answer_of_a_plan_is_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    answer = main(str(ROOT / "configs/finetune.json"), gpu="RTX 4090", shape="8b")
    assert answer.startswith("each device ") and " GB: fits RTX 4090, where " in answer
    assert answer in capsys.readouterr().out


def test_a_plan_without_a_base_says_what_named_it() -> None:
    file = str(ROOT / "configs/finetune.json")
    with pytest.raises(FileNotFoundError, match=r"checkpoint_dir is ~/.*finetune.json\), which do"):
        main(file)


def test_several_gpus_without_deepspeed_are_refused() -> None:
    with pytest.raises(ValueError, match="--num-gpus is 8"):
        main(str(ROOT / "configs/finetune.json"), num_gpus=8, shape="8b")


def test_unknown_shape_and_setting_are_refused() -> None:
    file = str(ROOT / "configs/finetune.json")
    with pytest.raises(ValueError, match="--shape is '9b', wanted one of 1b, 3b, 8b, 70b, m"):
        main(file, shape="9b")
    with pytest.raises(UsageError, match="policy"):
        main(file, shape="8b", **{"training.policy": "none"})


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"model.dtype": "float16"}, "which finetune.py alone trains in"),
        ({"optimizer.kind": "adamw8bit"}, "add --optimizer.kind=adamw"),
        ({"deepspeed_config.zero_optimization.stage": 0}, "stage is 0 and model.dtype is"),
        ({"lora.biases": True}, "none of the adapted layers has a bias"),
    ],
)
def test_what_training_refuses_is_not_planned(flags: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        main(str(ROOT / "configs/ds_finetune.json"), num_gpus=8, shape="8b", **flags)


def test_base_in_fp8_is_planned_on_cards_that_multiply_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags: dict[str, object] = {"shape": "8b", "model.quantization": "fp8"}
    main(gpu="H100", **flags)  # type: ignore[arg-type]
    lines = [line for line in capsys.readouterr().out.splitlines() if "--model.quant" in line]
    assert [line.split()[2] for line in lines[:-1]] == ["A100-40"]
    assert "--model.quantization=nf4_double" in lines[0]
    with pytest.raises(ValueError, match=r"fp8', and A100-40 has compute capability 8\.0, wanted"):
        main(gpu="A100-40", **flags)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the dtype is float32; add --model.dtype=bfloat16"):
        main(gpu="H100", **flags, **{"model.dtype": "float32"})  # type: ignore[arg-type]


def test_only_what_training_moves_is_counted_on_the_host(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(str(ROOT / "configs/ds_full_zero3_offload.json"), num_gpus=64, shape="70b")
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "ZeRO " in line]
    stages = {
        row[1]: (float(row[2]), float(row[-1 if row[-1][0].isdigit() else -3])) for row in rows
    }
    assert stages["0"][1] == 0 and stages["1"][0] > 100 and stages["2"][1] > 0
    assert stages["3"][0] == 0


PAGE = (ROOT / "docs/memory.md").read_text(encoding="utf-8")


def plans_in_docs() -> list[tuple[str, str]]:
    """Return the commands of docs/memory.md and what is printed below each."""
    return re.findall(r"```text\n\$ (python scripts/plan\.py [^\n]*)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("command", "printed"), plans_in_docs())
def test_plans_in_the_docs_are_what_the_command_prints(
    command: str,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    # A dataset that somebody built in the project's folder would change the figures.
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    ended = run_command(main, [*shlex.split(command)[2:]], monkeypatch, capsys)
    assert ended.out.split("\nNext:")[0].strip() == printed.strip(), ended.error


@pytest.mark.parametrize("row", re.findall(r"^\| `configs/.*", PAGE, re.MULTILINE))
def test_rows_in_the_docs_are_what_the_command_prints(
    row: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    file, shape, count, size, policy, rate, hours, smallest = row.strip("| ").split(" | ")
    main(str(ROOT / file.strip("`")), num_gpus=int(count), shape=shape, conversations=100_000)
    printed = capsys.readouterr().out
    assert f"checkpointing: {policy}" in printed and f"each device {size:>12}: fits" in printed
    assert f"about {rate} tokens" in printed and f" {hours} hours of training" in printed
    cards = re.findall(r"^ *(\d+ GB) .* x (\d+) +(.*)$", printed, re.MULTILINE)
    # The last line of a card up to this number of them; a colon is followed by what has to change.
    needed = {card: what for card, needs, what in cards if int(needs) <= int(count)}
    assert smallest == next(c for c, what in needed.items() if re.fullmatch(r"fits[^:]*", what))


def test_every_configuration_has_a_plan_in_the_docs() -> None:
    configs = {file.name for file in (ROOT / "configs").glob("*.json")}
    assert {f for f in configs if f"configs/{f}" not in PAGE} == UNPLANNED
