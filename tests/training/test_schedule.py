"""The learning rate by step, and what a resumed run makes of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from storage.manifest import write_manifest
from training.backends import NativeBackend
from training.config import Config
from training.schedule import find_warmup_steps, learning_rate
from training.sections import ScheduleSection

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]


def section(**schedule: object) -> ScheduleSection:
    return ScheduleSection.model_validate({"learning_rate": 1.0, "warmup_steps": 0, **schedule})


def rates(total: int, end: int | None = None, **schedule: object) -> list[float]:
    found = section(**schedule)
    warmup = find_warmup_steps(found, total)
    return [learning_rate(step, end or total, warmup, found) for step in range(total)]


def progress(config: Config, step: int) -> dict[str, object]:
    file = config.run_dir / f"step-{step:06d}" / "progress.json"
    return json.loads(file.read_text())


def logged_rates(config: Config) -> list[float]:
    lines = (config.log_dir / "metrics.jsonl").read_text().splitlines()
    return [row["learning_rate"] for row in map(json.loads, lines) if row["kind"] == "train"]


def go_back_to(config: Config, step: int) -> None:
    (config.run_dir / "latest").write_text(f"step-{step:06d}")


def copy_run(config: Config, name: str) -> None:
    for directory in (config.run_dir, config.log_dir):
        shutil.copytree(directory, directory.with_name(name))


def test_cosine_warms_up_peaks_and_ends_at_the_minimum() -> None:
    found = rates(21, warmup_steps=4, min_learning_rate=0.1)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[12] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1)
    assert found[4:] == sorted(found[4:], reverse=True)


def test_linear_falls_evenly() -> None:
    assert rates(5, kind="linear") == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_constant_stays_after_its_warm_up() -> None:
    assert rates(4, kind="constant", warmup_steps=1) == pytest.approx([0.5, 1, 1, 1])


def test_decay_longer_than_the_run_is_cut_off() -> None:
    assert rates(3, end=5, kind="linear") == pytest.approx([1.0, 0.75, 0.5])


def test_decay_over_fewer_steps_stays_at_the_minimum() -> None:
    assert rates(5, end=3, kind="linear", min_learning_rate=0.2) == pytest.approx(
        [1.0, 0.6, 0.2, 0.2, 0.2]
    )


@pytest.mark.parametrize(
    ("share", "steps", "warmup"),
    [(0.04, 63, 3), (0.04, 5000, 200), (0.04, 1, 0), (0.0, 63, 0), (0.07, 100, 7), (0.9, 2, 1)],
)
def test_a_share_warms_up_in_proportion_to_the_run(share: float, steps: int, warmup: int) -> None:
    found = section(warmup_steps=None, warmup_share=share)
    assert find_warmup_steps(found, steps) == warmup


def test_a_share_warms_up_before_total_steps() -> None:
    found = rates(20, end=5, warmup_steps=None, warmup_share=0.5, total_steps=5)
    assert found[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.0])


def test_the_default_warm_up_of_a_short_run_reaches_the_full_rate() -> None:
    found = rates(63, warmup_steps=None)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[-1] == pytest.approx(0.0)


def test_an_explicit_warm_up_as_long_as_the_run_is_refused(
    settings: Settings, train_run: Train
) -> None:
    message = r"schedule\.warmup_steps is 6, and the run has 6 steps, so .*--schedule.warmup_share"
    with pytest.raises(ValueError, match=message):
        train_run(settings(schedule__warmup_steps=6))


def test_a_warm_up_beyond_total_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warmup_steps is 4, and schedule.total_steps has 3"):
        find_warmup_steps(section(warmup_steps=4, total_steps=3), 10)


def test_a_run_without_total_steps_resumes_bit_for_bit(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings()
    wanted = dict(train_run(config).trained_state())
    rates = logged_rates(config)
    go_back_to(config, 4)
    found = dict(train_run(config, resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert logged_rates(config) == rates
    assert "schedule" not in capsys.readouterr().out


def test_a_run_resumed_longer_keeps_its_schedule_and_says_so(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train_run(settings(training__max_steps=4))
    longer = settings()
    train_run(longer, resume=True)
    said = " ".join(capsys.readouterr().out.split())
    assert "the schedule still ends at step 4, as when this run began, and the run now at" in said
    assert "step 6; add --schedule.extend=true to stretch it to that" in said
    assert logged_rates(longer)[3:] == pytest.approx([0, 0, 0])
    assert progress(longer, 6)["schedule_steps"] == 4


def test_an_extended_schedule_ends_with_the_run_and_keeps_its_warm_up(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train_run(settings(training__max_steps=4))
    longer = settings(schedule__extend=True)
    train_run(longer, resume=True)
    assert "the schedule is stretched from 4 to 6 steps" in capsys.readouterr().out
    wanted = [learning_rate(step, 6, 1, longer.schedule) for step in (4, 5)]
    assert logged_rates(longer)[4:] == pytest.approx(wanted)
    assert (progress(longer, 6)["schedule_steps"], progress(longer, 6)["warmup_steps"]) == (6, 1)


def test_an_extended_run_resumes_bit_for_bit_without_the_flag(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train_run(settings(training__max_steps=2))
    longer = settings(schedule__extend=True)
    wanted = dict(train_run(longer, resume=True).trained_state())
    go_back_to(longer, 4)
    capsys.readouterr()
    found = dict(train_run(settings(), resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert "schedule" not in capsys.readouterr().out


def test_explicit_total_steps_change_only_with_extend(settings: Settings, train_run: Train) -> None:
    train_run(settings(training__max_steps=4, schedule__total_steps=4))
    with pytest.raises(ValueError, match=r"was trained with schedule.total_steps = 4"):
        train_run(settings(schedule__total_steps=6), resume=True)
    train_run(settings(schedule__total_steps=6, schedule__extend=True), resume=True)
    train_run(settings(schedule__total_steps=6), resume=True)


def test_a_new_schedule_is_that_of_its_settings_from_the_next_step(
    settings: Settings, train_run: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings()
    train_run(config)
    before = logged_rates(config)
    go_back_to(config, 4)
    lower = settings(schedule={"learning_rate": 1e-4, "kind": "linear", "warmup_steps": 2})
    train_run(lower, resume=True, new_schedule=True)
    wanted = [learning_rate(step, 6, 2, lower.schedule) for step in (4, 5)]
    assert logged_rates(lower) == pytest.approx([*before[:4], *wanted])
    said = " ".join(capsys.readouterr().out.split())
    assert f"the schedule is a new one: the learning rate of step 5 is {wanted[0]:.3g}" in said
    assert progress(lower, 6)["warmup_steps"] == 2


def test_a_run_with_a_new_schedule_resumes_bit_for_bit_without_the_flag(
    settings: Settings, train_run: Train
) -> None:
    train_run(settings(training__max_steps=2))
    lower = settings(schedule__learning_rate=1e-4)
    wanted = dict(train_run(lower, resume=True, new_schedule=True).trained_state())
    rates = logged_rates(lower)
    go_back_to(lower, 4)
    found = dict(train_run(lower, resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert logged_rates(lower) == rates


def test_another_learning_rate_is_refused_with_the_flag_that_allows_it(
    settings: Settings, train_run: Train
) -> None:
    train_run(settings(training__max_steps=2))
    message = r"schedule.learning_rate = 0.01, this run has 0.001; resume .* add --new-schedule$"
    with pytest.raises(ValueError, match=message):
        train_run(settings(schedule__learning_rate=1e-3), resume=True)


def test_a_new_schedule_leaves_other_settings_fixed(settings: Settings, train_run: Train) -> None:
    train_run(settings(training__max_steps=2))
    with pytest.raises(ValueError, match=r"trained with optimizer = "):
        train_run(settings(optimizer__weight_decay=0.1), resume=True, new_schedule=True)


def test_a_new_schedule_of_a_new_run_is_refused(settings: Settings, train_run: Train) -> None:
    with pytest.raises(ValueError, match=r"^--new-schedule .* is resumed; add --resume, or leave"):
        train_run(settings(), new_schedule=True)


def test_an_older_checkpoint_keeps_the_schedule_of_its_own_settings(
    settings: Settings, train_run: Train
) -> None:
    config = settings(training__max_steps=4, schedule__warmup_steps=1)
    train_run(config)
    newest = config.run_dir / "step-000004"
    for file, section, added in (
        ("progress.json", None, ("schedule_steps", "warmup_steps", "started_from")),
        ("config.json", "schedule", ("warmup_share", "extend")),
        ("config.json", "model", ("adapter_dir",)),
    ):
        remove_keys(newest / file, section, added)
    write_manifest(newest, "checkpoint")
    longer = settings(schedule__warmup_steps=1)
    train_run(longer, resume=True)
    assert (progress(longer, 6)["schedule_steps"], progress(longer, 6)["warmup_steps"]) == (4, 1)


def remove_keys(file: Path, section: str | None, names: tuple[str, ...]) -> None:
    values = json.loads(file.read_text())
    for name in names:
        del (values[section] if section else values)[name]
    file.write_text(json.dumps(values))
