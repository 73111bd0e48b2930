"""The table of settings: all of them, with values, default and sentence."""

from training.config import Config
from training.setting_names import setting_names
from training.setting_table import setting_groups


def test_every_setting_is_listed_once_with_its_sentence() -> None:
    groups = list(setting_groups(Config))
    listed = [setting.name for group in groups for setting in group.settings]
    sections = {group.name for group in groups}
    assert sorted(listed) == sorted(setting_names(Config).keys() - sections)
    assert [s.name for group in groups for s in group.settings if not s.sentence] == []


def test_values_and_defaults_are_those_of_the_declaration() -> None:
    found = {s.name: s for group in setting_groups(Config) for s in group.settings}
    assert found["model.checkpoint_dir"].default == "required"
    assert found["model.dtype"].values == "bfloat16, float16, float32"
    assert found["training.max_steps"].values == "whole number at least 1, null"
    assert found["validation.every"].values == "whole number, epoch, null"
    assert found["preference.label_smoothing"].values == "number at least 0, below 0.5"
    assert found["optimizer.betas"].default == "`[0.9, 0.999]`"


def test_sections_that_are_null_by_default_are_marked() -> None:
    absent = {group.name for group in setting_groups(Config) if not group.given}
    assert absent == {"reward", "preference", "validation.generated", "validation.gate"}
