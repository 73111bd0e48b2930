"""Settings: defaults, file, flags, and one-line errors."""

import json
from pathlib import Path

import pytest

from console.flags import UsageError
from training.config import Config, read_config

CONFIGS = Path(__file__).parents[2] / "configs"
MINIMAL = {"model": {"checkpoint_dir": "base"}, "data": {"dataset_dir": "data"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(MINIMAL))
    return path


def test_flags_override_the_file_and_the_file_the_defaults(file: Path) -> None:
    file.write_text(json.dumps({**MINIMAL, "training": {"epochs": 3, "batch_size": 7}}))
    config = read_config(file, {"training.batch_size": 9, "name": "other"})
    assert (config.training.epochs, config.training.batch_size) == (3, 9)
    assert (config.name, config.training.micro_batch_tokens) == ("other", 8192)


def test_null_lora_trains_all_weights_and_a_flag_restores_lora(file: Path) -> None:
    file.write_text(json.dumps({**MINIMAL, "lora": None}))
    assert read_config(file).lora is None
    assert read_config(file, {"lora.rank": 2}).lora.rank == 2


def test_null_in_a_flag_is_none(file: Path) -> None:
    config = read_config(file, {"lora": "null", "validation.every": "null"})
    assert (config.lora, config.validation.every) == (None, None)


def test_true_and_false_in_a_flag_are_booleans(file: Path) -> None:
    flags = {"deepspeed_config.dump_state": "false", "deepspeed_config.bf16.enabled": "true"}
    assert read_config(file, flags).deepspeed_config == {
        "dump_state": False,
        "bf16": {"enabled": True},
    }


def test_a_single_target_or_a_numeric_name_is_accepted(file: Path) -> None:
    config = read_config(file, {"lora.targets": "wq", "name": 2026})
    assert (config.lora.targets, config.name) == (("wq",), "2026")


def test_ranks_of_single_layers_survive_the_saved_settings(file: Path) -> None:
    lora = {"rank": 4, "rslora": True, "ranks": {"wq": 2}, "alphas": {"layers.1.*": 3}}
    file.write_text(json.dumps({**MINIMAL, "lora": lora}))
    config = read_config(file)
    assert (config.lora.rank_of("layers.0.attention.wq"), config.lora.rslora) == (2, True)
    saved = config.model_dump(mode="json")
    assert saved["lora"]["ranks"] == {"wq": 2}
    file.write_text(json.dumps(saved))
    assert read_config(file) == config


def test_plain_adapter_settings_are_saved_as_older_runs_did(file: Path) -> None:
    saved = read_config(file).model_dump(mode="json")["lora"]
    assert list(saved) == ["rank", "alpha", "dropout", "targets"]


def test_best_metric_defaults_to_balanced_with_replies_else_loss(
    file: Path,
) -> None:
    assert read_config(file).validation.best_metric == "loss"
    flags = {"validation.generated.prompts": 7}
    assert read_config(file, flags).validation.best_metric == "balanced"
    named = {**flags, "validation.best_metric": "loss"}
    assert read_config(file, named).validation.best_metric == "loss"
    saved = file.with_name("saved.json")
    saved.write_text(read_config(file, flags).model_dump_json())
    assert read_config(saved).validation.best_metric == "balanced"


def test_a_flag_turns_generated_replies_on_and_null_off(file: Path) -> None:
    assert read_config(file).validation.generated is None
    flags = {"validation.generated.prompts": 7, "validation.best_metric": "exact_match"}
    on = read_config(file, flags).validation
    assert (on.generated.prompts, on.best_metric) == (7, "exact_match")
    file.write_text(json.dumps({**MINIMAL, "validation": {"generated": {"prompts": 7}}}))
    assert read_config(file, {"validation.generated": "null"}).validation.generated is None


def test_a_saved_configuration_reads_back_equal(file: Path, tmp_path: Path) -> None:
    config = read_config(file, {"lora.targets": ["wq", "wv"]})
    saved = tmp_path / "config.json"
    saved.write_text(json.dumps(config.model_dump(mode="json")))
    assert read_config(saved) == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"training.batchsize": 3},
            "unknown flag --training.batchsize; did you mean --training.ba",
        ),
        ({"lora.rnk": 3}, r"unknown flag --lora.rnk; did you mean --lora.rank\?"),
        ({"trainin.epochs": 3}, "unknown flag --trainin.epochs; did you mean --training.epochs"),
        (
            {"outpt_dir": "x"},
            "unknown flag --outpt-dir; did you mean --checkpoint.output_dir or --log",
        ),
        ({"resum": True}, r"unknown flag --resum; did you mean --resume\?"),
        ({"config_fil": "x"}, r"unknown flag --config-fil; did you mean --config-file\?"),
        ({"zzz": 3}, "unknown flag --zzz$"),
        ({"seed.x": 1}, r"unknown flag --seed.x; did you mean --seed\?"),
        ({"training.epochs": 0}, "^--training.epochs is 0: .*greater than or equal to 1"),
        ({"training.batch_size": "abc"}, "^--training.batch_size is 'abc': .*valid integer"),
        ({"optimizer.betas": [1, "a"]}, "--optimizer.betas: optimizer.betas.1 is 'a': .*number"),
        ({"model.dtype": "half"}, "--model.dtype is 'half': .*'bfloat16', 'float16' or 'float32'"),
        ({"training.epochs": True}, "--training.epochs is True: .*valid integer"),
        ({"lora.rank": "16"}, "--lora.rank is '16': .*valid integer"),
        ({"name": ".."}, "--name is '..': .*match pattern"),
        (
            {"schedule.min_learning_rate": 1.0},
            "--schedule.min_learning_rate: schedule: min_learning_rate must not be above lear",
        ),
        (
            {"validation.best_metric": "exact_mach"},
            "--validation.best_metric is 'exact_mach': .*'loss', .*'exact_match', ",
        ),
        (
            {"validation.best_metric": "exact_match"},
            "validation: best_metric is 'exact_match', which is measured on generated replies, "
            "and generated is null; add --validation.generated.prompts=100, or "
            "--validation.best_metric with one of lo",
        ),
        (
            {"validation.generated.prompt": 5},
            "unknown flag --validation.generated.prompt; did you mean --validation.generat",
        ),
        (
            {"validation.generated.every": 300},
            "validation: generated.every is 300, wanted a multiple of every, which is 200",
        ),
        (
            {"validation.every": None, "validation.generated.every": 300},
            "--validation.every with --validation.generated.every: .* every, which is None",
        ),
        ({"validation.generated.seconds": 0}, "validation.generated.seconds is 0: .*than 0"),
    ],
)
def test_a_wrong_flag_or_value_is_named_in_the_error(
    file: Path, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_config(file, overrides)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"epochs": 0}}, "run.json: training.epochs is 0: "),
        (
            {"training": {"epoch": 1}},
            "unknown key 'training.epoch'; did you mean 'training.epochs'",
        ),
        ({"schedule": {"min_learning_rate": 1.0}}, "schedule: min_learning_rate must not be above"),
        ({"lora": 5}, "--lora.rank: 'lora' is a value, not a section"),
    ],
)
def test_an_error_in_the_file_does_not_blame_a_flag(
    file: Path, values: dict[str, object], message: str
) -> None:
    file.write_text(json.dumps({**MINIMAL, **values}))
    with pytest.raises(ValueError, match=message):
        read_config(file, {"lora.rank": 3, "training.batch_size": 9})


def test_a_missing_key_is_named(file: Path) -> None:
    file.write_text(json.dumps({"data": {"dataset_dir": "data"}}))
    with pytest.raises(ValueError, match="missing key 'model'"):
        read_config(file)


@pytest.mark.parametrize(
    ("content", "message"), [("{'a': 1}", "is not JSON"), ("[1]", "must hold an object")]
)
def test_a_file_that_is_no_configuration_is_refused(file: Path, content: str, message: str) -> None:
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_config(file)


def test_a_missing_file_error_names_the_file_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is missing; run in the project's folder"):
        read_config(tmp_path / "none.json")


@pytest.mark.parametrize("path", [CONFIGS / "finetune.json", CONFIGS / "demo.json"])
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert isinstance(read_config(path), Config)


def test_warm_up_is_a_share_of_four_percent_by_default(file: Path) -> None:
    schedule = read_config(file).schedule
    assert (schedule.warmup_share, schedule.warmup_steps) == (0.04, None)


def test_an_explicit_warm_up_has_no_share(file: Path) -> None:
    file.write_text(json.dumps({**MINIMAL, "schedule": {"warmup_steps": 9}}))
    schedule = read_config(file).schedule
    assert (schedule.warmup_share, schedule.warmup_steps) == (None, 9)


def test_a_flag_for_the_warm_up_replaces_the_files(file: Path) -> None:
    file.write_text(json.dumps({**MINIMAL, "schedule": {"warmup_share": 0.1}}))
    schedule = read_config(file, {"schedule.warmup_steps": 9}).schedule
    assert (schedule.warmup_share, schedule.warmup_steps) == (None, 9)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (
            "schedule",
            {"warmup_steps": 9, "warmup_share": 0.1},
            "warmup_steps is 9 and warmup_share 0.1; give one of them",
        ),
        ("training", {"epochs": None}, "the run would never end; give one"),
        ("validation", {"every": None, "patience": 2}, "patience is 2, and every is null"),
        ("checkpoint", {"every": "step"}, "every: is 'step', wanted a number of steps,"),
        ("checkpoint", {"every": 0}, "every: is 0, wanted a number of steps,"),
    ],
)
def test_settings_that_say_no_time_are_refused(
    file: Path, section: str, values: dict[str, object], message: str
) -> None:
    file.write_text(json.dumps({**MINIMAL, section: values}))
    with pytest.raises(ValueError, match=message):
        read_config(file)
