"""scripts/receipt.py over a tiny run of the real commands: each changed file is found by name."""

import importlib
import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from command_lines import next_commands, problem_of
from commands import Outcome, run_command
from speaking_model import TOKENIZER, write_speaking_model

pytest.importorskip("fire")

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.conversations import write_conversations
from receipts.places import find_places
from scripts.receipt import main
from storage.manifest import read_manifest, sha256_of_file, write_manifest

CITIES = ("Lyon", "Oslo", "Nice", "Rome", "Bern", "Riga")
WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
RUN = "checkpoints/run"
Receipt = Callable[..., Outcome]


def asked(city: str) -> Conversation:
    call = Message("assistant", "", (ToolCall("weather", {"city": city}),))
    return Conversation((Message("user", f"Rain in {city}?"), call), (WEATHER,), id=city)


def do(command: str, **flags: Any) -> None:
    """Call a command's function as its script would, without its output."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        importlib.import_module(command).main(**flags)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a dataset, a run of both, its merge and results, each by its own command."""
    folder = tmp_path_factory.mktemp("journey")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_speaking_model(Path("base"), [asked("Oslo")], chat_format="llama3_short")
        built = {"save_dir": "data", "tokenizer_file": str(TOKENIZER), "val_ratio": 0.3}
        write_conversations("rows.jsonl", map(asked, CITIES))
        do("scripts.build_dataset", source_file="rows.jsonl", chat_format="llama3_short", **built)
        settings = {
            "name": "run",
            "model": {"checkpoint_dir": "base", "dtype": "float32", "device": "cpu"},
            "data": {"dataset_dir": "data"},
            "lora": {"rank": 4, "alpha": 8},
            "training": {"max_steps": 2, "batch_size": 2, "micro_batch_tokens": 1024},
            "checkpoint": {"output_dir": "checkpoints"},
            "logging": {"output_dir": "logs"},
        }
        Path("settings.json").write_text(json.dumps(settings))
        do("finetune", config_file="settings.json")
        best = {"lora_ckpt_path": f"{RUN}/best", "output_dir": f"{RUN}/merged"}
        do("scripts.convert_lora_weights", base_ckpt_path="base", **best)
        scored = {"ckpt_dir": f"{RUN}/merged", "output_file": "results.json"}
        do("scripts.evaluate", dataset_file="rows.jsonl", max_new_tokens=8, **scored)
    return folder


@pytest.fixture
def folder(journey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the journey to work in."""
    shutil.copytree(journey, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def receipt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Receipt:
    """Run the command on the run."""
    return lambda *flags: run_command(main, ["--run-dir", RUN, *flags], monkeypatch, capsys)


@pytest.fixture
def written(folder: Path, receipt: Receipt) -> Path:
    """A receipt of everything; return its file."""
    done = receipt("--results-file", "results.json")
    assert (done.code, done.error) == (0, "")
    return folder / RUN / "receipt.json"


def contents(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_receipt_says_everything_that_made_a_model(written: Path) -> None:
    found = contents(written)
    assert found["absent"] == {}
    assert set(found["files"]) == {"base", "dataset", "checkpoint", "merged", "results"}
    assert (found["name"], found["step"], found["seed"]) == ("run", 2, 3)
    assert found["settings"]["lora"]["rank"] == 4
    train = found["data"]["splits"]["train"]
    assert train["trained_share"] == train["trained_tokens"] / train["tokens"]
    assert found["data"]["sources"][0]["sha256"] == sha256_of_file("rows.jsonl")
    (made,) = found["made_with"]
    assert (made["from_step"], len(made["code"]["sha256"])) == (0, 64)
    assert made["environment"]["packages"]["torch"]
    assert found["merge"]["proof"]["merged_weights"] > 0
    figure = found["scores"][0]["figures"]["correct"]
    assert figure["low"] <= figure["value"] <= figure["high"]


def test_the_hashes_of_a_receipt_are_those_of_the_files(written: Path) -> None:
    for part in contents(written)["files"].values():
        for name, sha256 in part["files"].items():
            assert sha256_of_file(Path(part["directory"]) / name) == sha256


def test_the_same_files_give_the_same_receipt(written: Path, receipt: Receipt) -> None:
    before = written.read_bytes()
    assert receipt("--results-file", "results.json").code == 0
    assert written.read_bytes() == before


def test_an_unchanged_model_is_verified(written: Path, receipt: Receipt) -> None:
    done = receipt("--verify")
    assert (done.code, done.error) == (0, "")
    assert done.out.count("  ok ") == 6
    assert "All files are those of" in done.out


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("base/consolidated.safetensors", "scripts/convert_from_meta_weights.py"),
        ("data/train.tokens.bin", "scripts/build_dataset.py"),
        ("data/train.origins.jsonl", "scripts/build_dataset.py"),
        (f"{RUN}/best/adapter.safetensors", "finetune.py"),
        (f"{RUN}/best/config.json", "finetune.py"),
        (f"{RUN}/best/progress.json", "finetune.py"),
        (f"{RUN}/merged/consolidated.safetensors", "scripts/convert_lora_weights.py"),
        (f"{RUN}/merged/merge.json", "scripts/convert_lora_weights.py"),
        ("results.json", "scripts/evaluate.py"),
    ],
)
def test_a_changed_file_is_named_with_its_command(
    written: Path, receipt: Receipt, name: str, command: str
) -> None:
    content = bytearray(Path(name).read_bytes())
    # A space stays JSON; elsewhere a bit is flipped.
    Path(name).write_bytes(content + b" " if name.endswith("json") else _flipped(content))
    done = receipt("--verify")
    assert (done.code, done.error) == (1, "")
    assert f"{name} has the sha256" in done.out
    todo = done.out.partition("What makes them right:\n")[2].splitlines()
    assert [line.split()[1] for line in todo] == [command]
    assert problem_of(todo[0].strip().replace("--config-file checkpoints", "--config-file /")) == ""


def _flipped(content: bytearray) -> bytes:
    content[-1] ^= 1
    return bytes(content)


def test_a_missing_file_and_directory_are_named(written: Path, receipt: Receipt) -> None:
    Path("results.json").unlink()
    shutil.rmtree("data")
    done = receipt("--verify")
    assert done.code == 1
    assert "results.json is missing" in done.out and "data is missing" in done.out


def test_a_changed_figure_of_the_receipt_itself_is_found(written: Path, receipt: Receipt) -> None:
    changed = contents(written)
    changed["scores"][0]["figures"]["correct"]["value"] = 1.0
    written.write_text(json.dumps(changed))
    done = receipt("--verify")
    assert done.code == 1
    assert "the receipt's scores is not what the files of results say" in done.out


def test_other_code_is_a_note_and_no_error(
    written: Path, receipt: Receipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"sha256": "0" * 64, "commit": None, "changed": None}
    monkeypatch.setattr("receipts.checking.code_record", lambda: other)
    done = receipt("--verify")
    assert done.code == 0
    assert "note     code         sources 000000000000 here" in done.out


def test_another_package_is_a_note_with_its_install_command(
    written: Path, receipt: Receipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = contents(written)["made_with"][0]["environment"]
    wanted = changed["packages"]["numpy"]
    changed["packages"]["numpy"] = "1.0"
    monkeypatch.setattr("receipts.checking.environment_record", lambda: changed)
    done = receipt("--verify")
    assert done.code == 0
    assert f"numpy 1.0 here, {wanted} then: python -m pip install numpy=={wanted}" in done.out


def test_what_is_absent_is_named_with_its_command(folder: Path, receipt: Receipt) -> None:
    for path in ("data", "base", f"{RUN}/merged"):
        shutil.rmtree(path)
    progress = contents(folder / RUN / "best/progress.json")
    del progress["made_with"]
    (folder / RUN / "best/progress.json").write_text(json.dumps(progress))
    write_manifest(folder / RUN / "best", "checkpoint")
    done = receipt()
    assert (done.code, done.error) == (0, "")
    absent = contents(folder / RUN / "receipt.json")["absent"]
    assert list(absent) == ["base", "dataset", "merged", "results", "made_with"]
    assert "name it with --dataset-dir" in absent["dataset"]
    command = absent["results"].partition("score with: ")[2].partition(", and name")[0]
    assert problem_of(command) == ""


def test_a_dataset_built_anew_is_absent(folder: Path, receipt: Receipt) -> None:
    write_conversations("rows.jsonl", map(asked, CITIES[:-1]))
    common = {"tokenizer_file": str(TOKENIZER), "chat_format": "llama3_short"}
    do("scripts.build_dataset", source_file="rows.jsonl", save_dir="data", val_ratio=0.4, **common)
    assert receipt().code == 0
    assert "was built anew since" in contents(folder / RUN / "receipt.json")["absent"]["dataset"]


def test_a_base_of_other_weights_is_absent(folder: Path, receipt: Receipt) -> None:
    recorded = contents(folder / RUN / "best/base.json")
    (folder / RUN / "best/base.json").write_text(json.dumps({**recorded, "sha256": "1" * 64}))
    write_manifest(folder / RUN / "best", "checkpoint")
    assert receipt().code == 0
    absent = contents(folder / RUN / "receipt.json")["absent"]
    assert "the run was trained on 111111111111" in absent["base"]


def test_a_merge_of_another_adapter_is_absent(folder: Path, receipt: Receipt) -> None:
    merge = contents(folder / RUN / "merged/merge.json")
    changed = json.dumps({**merge, "adapter_sha256": "1" * 64})
    (folder / RUN / "merged/merge.json").write_text(changed)
    write_manifest(folder / RUN / "merged", read_manifest(folder / RUN / "merged")["kind"])
    assert receipt().code == 0
    absent = contents(folder / RUN / "receipt.json")["absent"]
    assert "was merged from another adapter" in absent["merged"]


def test_no_receipt_is_written_of_damaged_files(folder: Path, receipt: Receipt) -> None:
    file = Path(RUN) / "best/adapter.safetensors"
    file.write_bytes(_flipped(bytearray(file.read_bytes())))
    done = receipt()
    assert (done.code, done.error.count("\n")) == (1, 1)
    assert f"{file} has another sha256 than when it was written; make it again: " in done.error
    assert not Path(RUN, "receipt.json").exists()


@pytest.mark.parametrize(
    ("about", "error"),
    [
        ({"ckpt_dir": "base"}, "results.json scored base, and this receipt is of"),
        ({"endpoint": "http://a/v1"}, "scored an endpoint or recorded outputs"),
        (None, "results.json has no summary"),
    ],
)
def test_results_of_another_model_are_refused(
    folder: Path, receipt: Receipt, about: dict[str, str] | None, error: str
) -> None:
    results = contents(folder / "results.json")
    results["summary"] = about and {**results["summary"], "about": about}
    Path("results.json").write_text(json.dumps(results))
    done = receipt("--results-file", "results.json")
    assert done.code == 1 and error in done.error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "receipt.json is missing; write it with"),
        ("{", "receipt.json is no receipt"),
        ("[" * 100_000, "receipt.json is no receipt"),
        ('{"receipt": 2}', "receipt.json is no receipt: receipt"),
    ],
    ids=["missing", "no json", "nested", "other version"],
)
def test_a_file_that_is_no_receipt_is_one_line(
    folder: Path, receipt: Receipt, text: str | None, error: str
) -> None:
    if text is not None:
        Path(RUN, "receipt.json").write_text(text)
    done = receipt("--verify")
    assert (done.code, done.error.count("\n")) == (1, 1)
    assert error in done.error


def test_a_directory_without_weights_is_one_line(folder: Path, receipt: Receipt) -> None:
    done = receipt("--base-dir", folder)
    assert (done.code, done.error.count("\n")) == (1, 1)
    assert "has no consolidated.safetensors" in done.error


def test_a_directory_without_a_run_is_one_line(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data holds no checkpoint of a run"):
        find_places("data")


def test_moved_files_are_found_where_flags_say(written: Path, receipt: Receipt) -> None:
    for name in ("base", "data", "results.json"):
        Path(name).rename(f"moved-{name}")
    Path("there").mkdir()
    Path("moved-results.json").rename("there/results.json")
    assert receipt("--verify").code == 1
    places = ["--base-dir", "moved-base", "--dataset-dir", "moved-data"]
    done = receipt("--verify", *places, "--results-file", "there/results.json")
    assert done.code == 0, done.out


def test_the_next_command_verifies_the_receipt(folder: Path, receipt: Receipt) -> None:
    (command,) = next_commands(receipt().out)
    assert problem_of(command) == ""
    assert command.endswith("--verify")
