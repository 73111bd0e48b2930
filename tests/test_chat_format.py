"""The chat format of a training goes with its weights, and every command takes it from there."""

import importlib
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_lines import next_commands
from commands import Outcome, run_command
from served_model import served
from speaking_model import TOKENIZER, write_speaking_model
from tiny_runs import settings_over, train_natively

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import find_format
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from data.tokenized import TokenizedDataset
from inference.chat_choice import choose_format, format_flags
from storage.manifest import read_manifest, write_manifest
from weights.adapter import read_adapter
from weights.chat_record import ChatRecord, copy_chat_record, read_chat_record, write_chat_record
from weights.conversion import convert_from_meta, convert_to_meta
from weights.merge import merge_checkpoint
from weights.merge_base import open_base

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CITIES = ("Lyon", "Oslo", "Nice", "Rome", "Bern", "Riga")
RECORD = "chat_format.json"
SHORT = {"name": "llama3_short"}
Command = Callable[..., Outcome]


def calls(asked: str, called: str) -> Conversation:
    call = Message("assistant", "", (ToolCall("weather", {"city": called}),))
    return Conversation((Message("user", f"Rain in {asked}?"), call), (WEATHER,), id=asked.lower())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a script by its path with flags, as they would be typed."""

    def call(script: str, *words: object, **flags: object) -> Outcome:
        main = importlib.import_module(script.removesuffix(".py").replace("/", ".")).main
        arguments = [*words, *(x for name, value in flags.items() for x in (f"--{name}", value))]
        return run_command(main, arguments, monkeypatch, capsys)

    return call


@pytest.fixture
def follow(command: Command, tmp_path: Path) -> Callable[..., Outcome]:
    """Run a printed command as it stands, with a directory for its D, and more flags if given."""

    def call(line: str, *more: object, output: Path = tmp_path / "D") -> Outcome:
        program, script, *words = shlex.split(line)
        assert program == "python"
        done = command(script, *(output if word == "D" else word for word in words), *more)
        assert (done.code, done.error) == (0, ""), line
        return done

    return call


def told(directory: Path) -> Any:
    return json.loads((directory / RECORD).read_text(encoding="utf-8"))


def refused(outcome: Outcome, *texts: str, code: int = 1) -> None:
    assert (outcome.code, outcome.error.count("\n")) == (code, 1), outcome
    for text in texts:
        assert text in outcome.error, outcome.error


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base without a record, a dataset in llama3_short, a run of both and its merge."""
    folder = tmp_path_factory.mktemp("formats")
    wrong = zip(CITIES, (*CITIES[1:], CITIES[0]), strict=True)
    base = write_speaking_model(
        folder / "base", [calls(*pair) for pair in wrong], chat_format="llama3_short"
    )
    write_conversations(folder / "rows.jsonl", [calls(city, city) for city in CITIES])
    build_dataset(folder / "rows.jsonl", TOKENIZER, folder / "data", Settings(0.3, "llama3_short"))
    make = settings_over(base, folder / "data", folder)
    train_natively(make(**SETTINGS))
    adapter = read_adapter(folder / "checkpoints/run/final")
    merge_checkpoint(open_base(base, adapter), adapter, folder / "merged")
    return folder


SETTINGS: dict[str, Any] = {
    "lora": {"rank": 16, "alpha": 64},
    "training": {"epochs": 60, "batch_size": 8, "max_steps": 16, "micro_batch_tokens": 4096},
    "schedule": {"learning_rate": 5e-3, "kind": "constant", "warmup_steps": 0},
    "validation": {"every": 8},
    "checkpoint__every": 8,
}


@pytest.fixture
def score(command: Command, folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return the verdicts on a model, by scripts/evaluate.py."""

    def call(*words: object, **flags: object) -> Any:
        flags = {"dataset_file": folder / "rows.jsonl", "max_new_tokens": 60, **flags}
        flags["output_file"] = tmp_path / "scores.json"
        outcome = command("scripts/evaluate.py", *words, **flags)
        assert (outcome.code, outcome.error) == (0, "")
        return json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))

    return call


def right(scores: Any) -> int:
    return sum(verdict["verdict"] for verdict in scores["verdicts"])


def without_record(source: Path, target: Path) -> Path:
    """Copy a directory as an earlier version wrote it."""
    shutil.copytree(source, target)
    for file in target.rglob(RECORD):
        file.unlink()
    for file in target.rglob("params.json"):
        params = json.loads(file.read_text())
        params.pop("chat_format", None)
        file.write_text(json.dumps(params))
    return target


class TestWhereItIsStored:
    @pytest.mark.parametrize("name", ["step-000008", "step-000016", "best", "final"])
    def test_every_checkpoint_and_its_manifest_hold_the_record(
        self, folder: Path, name: str
    ) -> None:
        checkpoint = folder / "checkpoints/run" / name
        assert told(checkpoint) == SHORT
        assert RECORD in read_manifest(checkpoint)["files"]

    def test_the_run_directory_holds_the_record_for_deepspeeds_tools(self, folder: Path) -> None:
        assert told(folder / "checkpoints/run") == SHORT

    def test_fully_trained_weights_hold_the_record(self, folder: Path, tmp_path: Path) -> None:
        make = settings_over(folder / "base", folder / "data", tmp_path)
        train_natively(make(**{**SETTINGS, "lora": None, "training__max_steps": 2}))
        assert told(tmp_path / "checkpoints/run/final") == SHORT

    def test_a_merge_takes_the_adapters_record(self, folder: Path, tmp_path: Path) -> None:
        assert told(folder / "merged") == SHORT
        assert RECORD in read_manifest(folder / "merged")["files"]
        base = tmp_path / "base"
        shutil.copytree(folder / "base", base)
        write_chat_record(base, "llama3")
        adapter = read_adapter(folder / "checkpoints/run/final")
        merge_checkpoint(open_base(base, adapter), adapter, tmp_path / "merged")
        assert told(tmp_path / "merged") == SHORT

    def test_an_adapter_file_takes_the_record_of_its_config_dir(
        self, folder: Path, tmp_path: Path
    ) -> None:
        """As after DeepSpeed's zero_to_fp32.py, with --config-dir checkpoints/NAME."""
        final = folder / "checkpoints/run/final"
        shutil.copy(final / "adapter.safetensors", tmp_path / "model.safetensors")
        adapter = read_adapter(tmp_path / "model.safetensors", final)
        merge_checkpoint(open_base(folder / "base", adapter), adapter, tmp_path / "merged")
        assert told(tmp_path / "merged") == SHORT

    def test_the_record_survives_conversion_to_meta_and_back(
        self, folder: Path, tmp_path: Path
    ) -> None:
        merged = folder / "merged"
        convert_to_meta(merged / "params.json", merged, 2, tmp_path / "meta")
        convert_from_meta(tmp_path / "meta", tmp_path / "back")
        for directory in (tmp_path / "meta", tmp_path / "back"):
            assert told(directory) == SHORT
            assert RECORD in read_manifest(directory)["files"]

    def test_a_base_and_its_export_have_no_record(self, folder: Path, tmp_path: Path) -> None:
        convert_to_meta(folder / "base", folder / "base", 1, tmp_path / "meta")
        convert_from_meta(tmp_path / "meta", tmp_path / "back")
        for directory in (folder / "base", tmp_path / "meta", tmp_path / "back"):
            assert read_chat_record(directory) is None

    @pytest.mark.usefixtures("trusted_files")
    def test_an_unknown_format_stays_unknown_after_merge_and_export(
        self, folder: Path, tmp_path: Path
    ) -> None:
        final = without_record(folder / "checkpoints/run/final", tmp_path / "final")
        adapter = read_adapter(final)
        merge_checkpoint(open_base(folder / "base", adapter), adapter, tmp_path / "merged")
        convert_to_meta(tmp_path / "merged", tmp_path / "merged", 1, tmp_path / "meta")
        convert_from_meta(tmp_path / "meta", tmp_path / "back")
        for directory in (tmp_path / "merged", tmp_path / "meta", tmp_path / "back"):
            assert told(directory) == {"name": None}


class TestScoring:
    @pytest.fixture(params=["adapter", "its file", "merged", "exported"])
    def model(self, request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> dict[str, Any]:
        final = folder / "checkpoints/run/final"
        if request.param == "adapter":
            return {"ckpt_dir": folder / "base", "lora_ckpt_path": final}
        if request.param == "its file":
            file = final / "adapter.safetensors"
            return {"ckpt_dir": folder / "base/consolidated.safetensors", "lora_ckpt_path": file}
        if request.param == "merged":
            return {"ckpt_dir": folder / "merged"}
        convert_to_meta(folder / "merged", folder / "merged", 1, tmp_path / "meta")
        convert_from_meta(tmp_path / "meta", tmp_path / "back")
        return {"ckpt_dir": tmp_path / "back"}

    def test_scores_are_equal_with_and_without_the_flag(
        self, score: Callable[..., Any], model: dict[str, Any]
    ) -> None:
        silent, named = score(**model), score(**model, chat_format="llama3_short")
        assert right(silent) >= 4
        assert silent["verdicts"] == named["verdicts"]
        assert silent["summary"]["about"]["chat_format"] == "llama3_short"

    def test_scoring_refuses_another_format_without_chat_format_anyway(
        self, command: Command, score: Callable[..., Any], folder: Path, model: dict[str, Any]
    ) -> None:
        other = {**model, "chat_format": "llama3"}
        outcome = command("scripts/evaluate.py", dataset_file=folder / "rows.jsonl", **other)
        refused(
            outcome,
            "--chat-format is llama3, and ",
            f"{RECORD} says that the model was trained in llama3_short",
            "add --chat-format-anyway",
        )
        assert right(score("--chat-format-anyway", **other)) == 0


class TestTheNextCommands:
    def test_next_commands_of_the_whole_journey_run_as_printed(
        self, command: Command, follow: Callable[..., Outcome], folder: Path, tmp_path: Path
    ) -> None:
        built = command(
            "scripts/build_dataset.py",
            source_file=folder / "rows.jsonl",
            tokenizer_file=folder / "base",
            save_dir=tmp_path / "data",
            val_ratio=0.3,
            chat_format="llama3_short",
        )
        look, train = next_commands(built.out)
        follow(look)
        places = [f"--{name}.output_dir={tmp_path}/{name}" for name in ("checkpoint", "logging")]
        trained = follow(
            train,
            *places,
            "--model.dtype=float32",
            "--validation.generated=null",
            "--validation.best_metric=loss",
        )
        _, merge = next_commands(trained.out)
        chat, to_hugging_face, export = next_commands(follow(merge).out)
        assert " --chat-format" not in chat
        follow(chat, "--max-gen-len", 4, "--max-seq-len", 4096)
        follow(to_hugging_face, output=tmp_path / "hugging_face")
        follow(export, output=tmp_path / "meta")
        assert told(tmp_path / "meta") == SHORT
        back = command(
            "scripts/convert_from_meta_weights.py",
            llama3_dir=tmp_path / "meta",
            output_dir=tmp_path / "back",
        )
        chat, _ = next_commands(back.out)
        follow(chat, "--max-gen-len", 4, "--max-seq-len", 4096)

    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.usefixtures("trusted_files")
    def test_next_command_of_a_score_uses_its_chat_format(
        self,
        command: Command,
        follow: Callable[..., Outcome],
        folder: Path,
        tmp_path: Path,
        known: bool,
    ) -> None:
        merged = folder / "merged" if known else without_record(folder / "merged", tmp_path / "m")
        flags = {} if known else {"chat_format": "llama3_short"}
        flags |= {"ckpt_dir": merged, "dataset_file": folder / "rows.jsonl", "max_new_tokens": 4}
        (line,) = next_commands(command("scripts/evaluate.py", **flags).out)
        assert ("--chat-format llama3_short" in line) is not known
        follow(line, "--max-gen-len", 4, "--max-seq-len", 4096)

    def test_next_command_of_an_overridden_score_has_chat_format_anyway(
        self, command: Command, follow: Callable[..., Outcome], folder: Path
    ) -> None:
        flags = {"ckpt_dir": folder / "merged", "dataset_file": folder / "rows.jsonl"}
        flags |= {"chat_format": "llama3", "chat_format_anyway": True, "max_new_tokens": 4}
        (line,) = next_commands(command("scripts/evaluate.py", **flags).out)
        assert line.endswith("--chat-format llama3 --chat-format-anyway True")
        follow(line, "--max-gen-len", 4, "--max-seq-len", 4096)

    @pytest.mark.usefixtures("trusted_files")
    def test_next_command_of_a_merge_without_record_has_a_placeholder(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        final = without_record(folder / "checkpoints/run/final", tmp_path / "final")
        flags = {"base_ckpt_path": folder / "base", "lora_ckpt_path": final}
        done = command("scripts/convert_lora_weights.py", **flags, output_dir=tmp_path / "merged")
        chat, *_ = next_commands(done.out)
        assert chat.endswith(" --chat-format NAME")

    def test_next_command_of_predictions_keeps_their_chat_format(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "said.jsonl").write_text(json.dumps({"id": "lyon/1", "text": "no"}) + "\n")
        flags = {"predictions": tmp_path / "said.jsonl", "dataset_file": folder / "rows.jsonl"}
        for more, wanted in (({}, False), ({"chat_format": "llama3_short"}, True)):
            done = command("scripts/evaluate.py", **flags, limit=1, **more)
            assert done.code == 0
            (line,) = next_commands(done.out)
            assert ("--chat-format llama3_short" in line) is wanted


class TestChatAndServer:
    @pytest.fixture
    def dialogs(self, folder: Path, tmp_path: Path) -> Path:
        asked = Conversation((Message("user", "Rain in Lyon?"),), (WEATHER,))
        (tmp_path / "dialogs.json").write_text(json.dumps([asked.to_record()]))
        return tmp_path / "dialogs.json"

    def test_the_chat_uses_the_format_of_the_training(
        self, command: Command, folder: Path, dialogs: Path
    ) -> None:
        flags = {"ckpt_dir": folder / "merged", "dialogs": dialogs, "temperature": 0}
        silent = command("chat_completion.py", **flags)
        assert 'calls weather {"city": "Lyon"}' in silent.out
        assert command("chat_completion.py", **flags, chat_format="llama3_short").out == silent.out
        other = {**flags, "chat_format": "llama3"}
        refused(command("chat_completion.py", **other), "trained in llama3_short")
        anyway = command("chat_completion.py", "--chat-format-anyway", **other)
        assert (anyway.code, "calls weather" in anyway.out) == (0, False)

    def test_the_server_uses_the_format_of_the_training(self, folder: Path) -> None:
        with served(folder / "merged") as server:
            asked = [{"role": "user", "content": "Rain in Lyon?"}]
            tools = [WEATHER.to_record()]
            body = {"model": server.model, "messages": asked, "tools": tools, "temperature": 0}
            _, _, answer = server.post(json.dumps(body).encode())
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"city": "Lyon"}

    def test_the_server_refuses_another_format(self, command: Command, folder: Path) -> None:
        flags = {"ckpt_dir": folder / "merged", "port": 0, "chat_format": "llama3"}
        refused(command("scripts/serve.py", **flags), "trained in llama3_short")


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("scripts/evaluate.py", {"ckpt_dir": "m", "dataset_file": "d"}),
        ("scripts/evaluate_checkpoints.py", {"checkpoint_dir": "c", "data_path": "d"}),
        ("chat_completion.py", {"ckpt_dir": "m"}),
        ("scripts/serve.py", {"ckpt_dir": "m"}),
        (
            "scripts/build_dataset.py",
            {"source_file": "s", "tokenizer_file": "t", "save_dir": "d"},
        ),
    ],
)
def test_chat_format_anyway_without_a_format_is_wrong_usage(
    command: Command, script: str, flags: dict[str, str]
) -> None:
    outcome = command(script, "--chat-format-anyway", **flags)
    refused(outcome, "--chat-format-anyway goes with --chat-format, which is not given", code=2)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"endpoint": "http://x/v1", "model": "m"}, "--chat-format does nothing with --endpoint"),
        ({"predictions": "p", "chat_format_anyway": True}, "goes with --ckpt-dir"),
    ],
)
def test_a_format_without_effect_is_wrong_usage(
    command: Command, flags: dict[str, Any], problem: str
) -> None:
    given = {**flags, "chat_format": "llama3", "dataset_file": "d"}
    refused(command("scripts/evaluate.py", **given), problem, code=2)


class TestWhoKnowsNone:
    """Weights that training, merging and consolidating wrote before the record existed."""

    @pytest.mark.parametrize("kind", ["adapter", "merged"])
    @pytest.mark.usefixtures("trusted_files")
    def test_a_model_without_record_needs_the_flag(
        self, command: Command, score: Callable[..., Any], folder: Path, tmp_path: Path, kind: str
    ) -> None:
        source = folder / ("merged" if kind == "merged" else "checkpoints/run/final")
        old = without_record(source, tmp_path / "old")
        model: dict[str, Any] = {"ckpt_dir": old}
        if kind == "adapter":
            model = {"ckpt_dir": folder / "base", "lora_ckpt_path": old}
        needed = f"{old} was trained in a chat format that nothing there names; add --chat-format "
        for script, flags in (
            ("scripts/evaluate.py", {"dataset_file": folder / "rows.jsonl"}),
            ("chat_completion.py", {}),
            ("scripts/serve.py", {"port": 0}),
        ):
            refused(command(script, **model, **flags), needed, "llama3_short")
        assert right(score(**model, chat_format="llama3_short")) >= 4

    @pytest.mark.parametrize("left", ["base.json", "progress.json", "merge.json", "lora.json"])
    def test_trained_weights_are_recognised_by_the_files_beside_them(
        self, tmp_path: Path, left: str
    ) -> None:
        assert read_chat_record(tmp_path) is None
        (tmp_path / "config.json").write_text("{}")  # Hugging Face has one, too
        assert read_chat_record(tmp_path) is None
        (tmp_path / left).write_text("{}")
        assert read_chat_record(tmp_path) == ChatRecord(tmp_path / RECORD, None)

    @pytest.mark.usefixtures("trusted_files")
    def test_a_model_without_record_proposes_no_dataset_format(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        old = without_record(folder / "merged", tmp_path / "old")
        flags = {"source_file": folder / "rows.jsonl", "save_dir": tmp_path / "data"}
        flags |= {"tokenizer_file": old / "tokenizer.model", "val_ratio": 0.3}
        refused(command("scripts/build_dataset.py", **flags), "add --chat-format ")
        assert not (tmp_path / "data").exists()
        assert command("scripts/build_dataset.py", **flags, chat_format="llama3").code == 0


class TestBuilding:
    @pytest.fixture
    def build(self, command: Command, folder: Path, tmp_path: Path) -> Command:
        def call(tokenizer: Path, *words: object, **flags: object) -> Outcome:
            flags |= {"source_file": folder / "rows.jsonl", "tokenizer_file": tokenizer}
            flags |= {"save_dir": tmp_path / "data", "val_ratio": 0.3}
            return command("scripts/build_dataset.py", *words, **flags)

        return call

    @pytest.mark.parametrize("place", ["merged", "merged/tokenizer.model", "checkpoints/run/best"])
    def test_a_dataset_takes_the_format_of_the_tokenizers_model(
        self, build: Command, folder: Path, tmp_path: Path, place: str
    ) -> None:
        assert build(folder / place).code == 0
        assert TokenizedDataset.open(tmp_path / "data", "train").chat_format == "llama3_short"

    def test_a_base_takes_metas_format_or_the_given_one(
        self, build: Command, folder: Path, tmp_path: Path
    ) -> None:
        for flags, name in (({}, "llama3"), ({"chat_format": "llama3_short"}, "llama3_short")):
            assert build(folder / "base", **flags).code == 0
            assert TokenizedDataset.open(tmp_path / "data", "train").chat_format == name

    def test_building_refuses_another_format_without_chat_format_anyway(
        self, build: Command, follow: Callable[..., Outcome], folder: Path, tmp_path: Path
    ) -> None:
        problem = "--chat-format is llama3, and ", "trained in llama3_short"
        refused(build(folder / "merged", chat_format="llama3"), *problem)
        assert not (tmp_path / "data").exists()
        done = build(folder / "merged", "--chat-format-anyway", chat_format="llama3")
        assert TokenizedDataset.open(tmp_path / "data", "train").chat_format == "llama3"
        _, train = next_commands(done.out)
        assert train.endswith(" --data.chat_format_anyway=true")


class TestTraining:
    def test_a_base_without_a_record_learns_any_format(self, folder: Path) -> None:
        """The run of this file has such a base."""
        assert read_chat_record(folder / "base") is None
        assert told(folder / "checkpoints/run/final") == SHORT

    def test_a_dataset_in_another_format_than_the_bases_is_refused(
        self, folder: Path, tmp_path: Path
    ) -> None:
        build_dataset(folder / "rows.jsonl", TOKENIZER, tmp_path / "data", Settings(0.3, "llama3"))
        make = settings_over(folder / "merged", tmp_path / "data", tmp_path)
        changes = {**SETTINGS, "training__max_steps": 1}
        with pytest.raises(
            ValueError, match="trained in llama3_short; rebuild the dataset"
        ) as problem:
            train_natively(make(**changes))
        assert "--data.chat_format_anyway=true" in str(problem.value)
        assert not (tmp_path / "checkpoints").exists()
        train_natively(make(**changes, data__chat_format_anyway=True))
        assert told(tmp_path / "checkpoints/run/final") == {"name": "llama3"}

    @pytest.mark.usefixtures("trusted_files")
    def test_a_base_of_unknown_format_is_accepted(self, folder: Path, tmp_path: Path) -> None:
        old = without_record(folder / "merged", tmp_path / "old")
        make = settings_over(old, folder / "data", tmp_path)
        train_natively(make(**SETTINGS | {"training": {**SETTINGS["training"], "max_steps": 1}}))
        assert told(tmp_path / "checkpoints/run/final") == SHORT


class TestResuming:
    @pytest.fixture
    def run(self, folder: Path, tmp_path: Path) -> Path:
        shutil.copytree(folder / "checkpoints/run", tmp_path / "checkpoints/run")
        return tmp_path / "checkpoints/run"

    def resumed(self, folder: Path, dataset: Path, workspace: Path) -> None:
        make = settings_over(folder / "base", dataset, workspace)
        training = {**SETTINGS["training"], "max_steps": 17}
        train_natively(make(**{**SETTINGS, "training": training}), resume=True)

    def test_a_resumed_run_keeps_its_format(self, folder: Path, tmp_path: Path, run: Path) -> None:
        self.resumed(folder, folder / "data", tmp_path)
        assert told(run / "step-000017") == SHORT

    @pytest.mark.usefixtures("trusted_files")
    def test_resuming_refuses_the_same_tokens_under_another_format(
        self, folder: Path, tmp_path: Path, run: Path
    ) -> None:
        """The fingerprints are of the tokens and do not differ."""
        data = tmp_path / "data"
        shutil.copytree(folder / "data", data)
        description = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
        (data / "dataset.json").write_text(json.dumps(description | {"chat_format": "llama3"}))
        problem = "was trained in the chat format llama3_short, and the dataset is in llama3"
        with pytest.raises(ValueError, match=problem):
            self.resumed(folder, data, tmp_path)

    def test_resuming_a_run_of_an_earlier_version_adds_the_record(
        self, folder: Path, tmp_path: Path, run: Path
    ) -> None:
        for step in run.glob("step-*"):
            (step / RECORD).unlink()
            (step / "manifest.json").unlink()
            write_manifest(step, "checkpoint")
        self.resumed(folder, folder / "data", tmp_path)
        assert told(run / "step-000017") == SHORT


class TestComparing:
    @pytest.fixture
    def compare(self, command: Command, folder: Path, tmp_path: Path) -> Command:
        def call(run: Path, *words: object, **flags: object) -> Outcome:
            flags = {"data_path": folder / "rows.jsonl", "max_new_tokens": 60, **flags}
            flags |= {"checkpoint_dir": run, "temperature": 0, "output_file": tmp_path / "out.json"}
            return command("scripts/evaluate_checkpoints.py", *words, **flags)

        return call

    @pytest.fixture
    def hits(self, tmp_path: Path) -> Callable[[], dict[str, int]]:
        def read() -> dict[str, int]:
            found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["checkpoints"]
            return {n: model["figures"]["exact_match"]["hits"] for n, model in found.items()}

        return read

    def test_checkpoints_and_base_are_prompted_in_the_runs_format(
        self, compare: Command, hits: Callable[[], dict[str, int]], folder: Path, tmp_path: Path
    ) -> None:
        run = folder / "checkpoints/run"
        first = compare(run)
        silent = hits()
        assert max(silent.values()) >= 4 and silent["base"] == 0
        base = json.loads((tmp_path / "out.verdicts/base.json").read_text(encoding="utf-8"))
        # The base replies in the format it learned.
        assert "weather" in base["verdicts"][0]["text"]
        # What was kept is of the same format, named or not.
        again = compare(run, chat_format="llama3_short")
        assert ("answers are in" in first.out, again.out.count("answers are in")) == (False, 3)
        assert hits() == silent
        refused(compare(run, chat_format="llama3"), "trained in llama3_short")
        anyway = compare(run, "--chat-format-anyway", chat_format="llama3")
        assert "answers are in" not in anyway.out
        assert max(hits().values()) == 0

    def test_a_base_of_another_format_is_prompted_like_its_checkpoints(
        self, compare: Command, hits: Callable[[], dict[str, int]], folder: Path, tmp_path: Path
    ) -> None:
        base = tmp_path / "base"
        shutil.copytree(folder / "base", base)
        write_chat_record(base, "llama3")
        assert compare(folder / "checkpoints/run", base_model_name=base).code == 0
        assert max(hits().values()) >= 4

    def test_the_next_command_prompts_the_base_in_the_runs_format(
        self,
        compare: Command,
        follow: Callable[..., Outcome],
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        wrong = zip(CITIES, (*CITIES[1:], CITIES[0]), strict=True)
        write_conversations(tmp_path / "wrong.jsonl", [calls(*pair) for pair in wrong])
        run = tmp_path / "run"
        shutil.copytree(folder / "checkpoints/run", run)
        for adapter in run.glob("*/adapter.safetensors"):
            adapter.write_bytes(b"damaged")
        done = compare(run, data_path=tmp_path / "wrong.jsonl")
        assert done.code == 1
        (look,) = next_commands(done.out)
        assert f"--ckpt-dir {folder / 'base'} " in look and "--chat-format llama3_short" in look
        looked = follow(look, "--output-file", "looked.json")
        assert right(json.loads((tmp_path / "looked.json").read_text())) == len(CITIES), looked

    @pytest.mark.usefixtures("trusted_files")
    def test_a_run_without_record_needs_the_flag(
        self, compare: Command, hits: Callable[[], dict[str, int]], folder: Path, tmp_path: Path
    ) -> None:
        run = without_record(folder / "checkpoints/run", tmp_path / "run")
        refused(compare(run), "was trained in a chat format that nothing there names")
        assert compare(run, chat_format="llama3_short").code == 0
        assert max(hits().values()) >= 4

    @pytest.mark.usefixtures("trusted_files")
    def test_checkpoints_of_different_formats_are_refused(
        self, compare: Command, folder: Path, tmp_path: Path
    ) -> None:
        run = tmp_path / "run"
        shutil.copytree(folder / "checkpoints/run", run)
        write_chat_record(run / "best", "llama3")
        refused(compare(run), "says llama3_short, and ", "says llama3;")
        assert compare(run, "--chat-format-anyway", chat_format="llama3_short").code == 0

    @pytest.mark.usefixtures("trusted_files")
    def test_a_damaged_record_is_reported_and_the_others_are_scored(
        self, compare: Command, folder: Path, tmp_path: Path
    ) -> None:
        run = tmp_path / "run"
        shutil.copytree(folder / "checkpoints/run", run)
        (run / "step-000008" / RECORD).write_text("{")
        outcome = compare(run)
        refused(outcome, "could not be scored, the first is step-000008", "is not JSON")
        assert "Best by" in outcome.out


class TestTheRecord:
    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '"llama3"', "{}", '{"name": 3}', '{"name": ""}', '{"name": "a", "b": 1}'],
    )
    @pytest.mark.usefixtures("trusted_files")
    def test_an_invalid_record_is_a_one_line_error(self, tmp_path: Path, text: str) -> None:
        (tmp_path / RECORD).write_text(text)
        with pytest.raises(ValueError, match=r"is not JSON|wanted such as") as problem:
            read_chat_record(tmp_path)
        assert str(tmp_path / RECORD) in str(problem.value)
        assert "\n" not in str(problem.value)

    def test_a_record_nested_deeply_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / RECORD).write_text("[" * 100_000)
        with pytest.raises(ValueError, match=rf"{RECORD} is not JSON"):
            read_chat_record(tmp_path)

    def test_a_record_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / RECORD).write_bytes(b"\xff\xfe")
        with pytest.raises(ValueError, match="is not JSON"):
            read_chat_record(tmp_path)

    def test_an_unknown_format_is_named_with_its_file(self, tmp_path: Path) -> None:
        write_chat_record(tmp_path, "lama3")
        record = read_chat_record(tmp_path)
        with pytest.raises(ValueError, match=f"{tmp_path / RECORD}: .*did you mean llama3"):
            choose_format(None, False, [record])
        assert choose_format("llama3", True, [record]).name == "llama3"

    def test_settings_in_another_spelling_are_the_same_format(self, tmp_path: Path) -> None:
        trained = find_format("llama3_1:date=30 Nov 2026").name
        records = [ChatRecord(tmp_path / RECORD, trained)]
        assert choose_format("llama3_1:date=30 Nov 2026", False, records).name == trained
        with pytest.raises(ValueError, match=f"was trained in {trained}"):
            choose_format("llama3_1", False, records)

    def test_copying_keeps_the_record_and_invents_none(self, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        target.mkdir()
        copy_chat_record(target, source)
        assert read_chat_record(target) is None
        write_chat_record(source, None)
        copy_chat_record(target, source)
        assert told(target) == {"name": None}

    def test_format_flags_are_those_that_a_command_needs(self, tmp_path: Path) -> None:
        stored, untold = ChatRecord(tmp_path, "llama3"), ChatRecord(tmp_path, None)
        assert format_flags("llama3", stored) == format_flags("llama3", None) == {}
        assert format_flags("llama3", untold) == {"chat_format": "llama3"}
        assert format_flags("llama3_short", None) == {"chat_format": "llama3_short"}
        anyway = {"chat_format": "llama3_short", "chat_format_anyway": True}
        assert format_flags("llama3_short", stored) == anyway
