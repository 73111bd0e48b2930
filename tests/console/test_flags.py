"""What a command line may hold, checked before any work."""

from pathlib import Path
from typing import Literal

import pytest

from console.flags import (
    UsageError,
    check_flags,
    check_idle_flags,
    check_known,
    choices_of,
    kind_of,
    nearest,
    own_spellings,
    value_readers,
)
from console.help import help_text


def copy(
    source_file: str,
    save_file: str,
    limit: int = 3,
    share: float = 0.5,
    most: int | None = None,
    dry_run: bool = False,
) -> None:
    """Stand for a command."""


def choosing(kind: Literal["near", "exact"] = "near", other: Literal["a"] | None = None) -> None:
    """Stand for a command whose flags take some texts alone."""


def test_a_choice_of_texts_is_text_whose_values_help_lists() -> None:
    assert kind_of(choosing, "kind") is str
    assert (choices_of(choosing, "kind"), choices_of(choosing, "other")) == (
        ("near", "exact"),
        ("a",),
    )
    assert choices_of(copy, "source_file") == ()
    shown = help_text(choosing, "python c.py")
    assert "--kind near|exact" in shown and "--other a" in shown


def settings(config_file: str = "c.json", resume: bool = False, **overrides: object) -> None:
    """Stand for a command that takes any setting."""


@pytest.mark.parametrize(
    "line",
    [
        "--source-file a --save-file b",
        "--source_file=a --save-file=b --limit 4 --share -1 --dry-run",
        "a b --limit=4",
        "a --save-file b --dry-run true",
    ],
)
def test_flags_in_either_spelling_and_positional_values_pass(line: str) -> None:
    check_flags(copy, line.split())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "missing --source-file, --save-file"),
        ("a", "missing --save-file"),
        ("--source-file --save-file b", "--source-file wants a value"),
        ("--source-file a --save-file", "--save-file wants a value"),
        ("--source-file a --save-file b c", "unexpected 'c'; every value follows its flag"),
        ("a b c", "unexpected 'c'; every value follows its flag"),
        ("-s a --save-file b", "unknown flag -s"),
        ("a b --limt 3", "unknown flag --limt; did you mean --limit"),
    ],
)
def test_missing_unknown_or_valueless_arguments_are_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_flags(copy, line.split())


def test_a_switch_takes_no_value_and_positionals_are_refused() -> None:
    check_flags(settings, ["--resume", "--training.epochs=1"])
    with pytest.raises(UsageError, match=r"--resume wants no value, or true or false, found 'x'"):
        value_readers(settings)["resume"]("x")
    with pytest.raises(UsageError, match=r"unexpected 'mine.json'"):
        check_flags(settings, ["mine.json", "--resume"])


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("limit", "-2", -2),
        ("most", "7", 7),
        ("share", "1e-3", 0.001),
        ("dry_run", "True", True),
        ("dry_run", "false", False),
        ("save_file", "1e5", "1e5"),
        ("save_file", "~/x y", str(Path("~/x y").expanduser())),
    ],
)
def test_values_are_read_as_their_kind(flag: str, text: str, value: object) -> None:
    assert value_readers(copy)[flag](text) == value


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("limit", "many", "--limit wants a whole number, found 'many'"),
        ("limit", "2.5", "--limit wants a whole number, found '2.5'"),
        ("most", "True", "--most wants a whole number, found nothing"),
        ("share", "15%", "--share wants a number, found '15%'"),
        ("dry_run", "extra", "--dry-run wants no value, or true or false, found 'extra'"),
    ],
)
def test_a_value_of_another_kind_is_refused(flag: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        value_readers(copy)[flag](text)


def test_an_optional_value_has_the_kind_of_its_value() -> None:
    assert (kind_of(copy, "most"), kind_of(copy, "source_file")) == (int, str)


def score(ckpt_dir: str, dataset_file: str = "d", limit: int | None = None) -> None:
    """Stand for a command whose flags have other spellings."""


def both(limit: int = 1, num_examples: int = 2, data_path: str = "d") -> None:
    """Stand for a command that has two flags which are one elsewhere."""


def test_another_spelling_is_read_as_the_same_flag() -> None:
    line = "--checkpoint_dir a --data-path=b --num-examples 3"
    own, spelled = own_spellings(score, line.split())
    assert own == ["--ckpt-dir", "a", "--dataset-file=b", "--limit", "3"]
    check_flags(score, own, spelled)
    with pytest.raises(UsageError, match="--num-examples wants a whole number, found 'x'"):
        value_readers(score, spelled)["limit"]("x")
    own, spelled = own_spellings(score, ["--checkpoint-dir"])
    with pytest.raises(UsageError, match="--checkpoint-dir wants a value"):
        check_flags(score, own, spelled)
    with pytest.raises(UsageError, match="--num-exampels; did you mean --num-examples"):
        check_flags(score, ["--ckpt-dir=a", "--num-exampels=3"])


@pytest.mark.parametrize(
    "line", ["--ckpt-dir a --checkpoint-dir b", "--ckpt_dir=a --limit 3 --num_examples=3"]
)
def test_two_spellings_of_one_flag_are_refused(line: str) -> None:
    with pytest.raises(UsageError, match="are one flag in two spellings; give one of them"):
        own_spellings(score, line.split())


def test_a_commands_own_flag_is_not_taken_as_another_spelling() -> None:
    line = ["--limit=1", "--num-examples=2", "--dataset-file=x"]
    assert own_spellings(both, line)[0] == [*line[:2], "--data-path=x"]


def test_nearest_names_are_also_found_by_their_last_part() -> None:
    known = ["seed", "checkpoint.output_dir", "logging.output_dir", "logging.every"]
    assert nearest("outpt_dir", known) == ["checkpoint.output_dir", "logging.output_dir"]
    assert nearest("logging.evry", known) == ["logging.every"]
    assert nearest("zzz", known) == nearest("seed", []) == []


def take(from_: str, save_file: str = "s") -> None:
    """Stand for a command with a flag that is a word of Python."""


def test_a_flag_may_be_a_word_of_python() -> None:
    own, spelled = own_spellings(take, ["--from", "a", "--save-file=b"])
    assert own == ["--from_", "a", "--save-file=b"]
    check_flags(take, own, spelled)
    with pytest.raises(UsageError, match=r"missing --from$"):
        check_flags(take, [])
    assert "--from FROM " in help_text(take, "python take.py")


def test_a_flag_without_the_one_it_goes_with_is_refused() -> None:
    check_idle_flags({"format": "xlam", "data": "rows.json"}, {"format": "data"})
    with pytest.raises(UsageError, match="--format goes with --data, which is not given"):
        check_idle_flags({"format": "xlam", "data": None}, {"format": "data"})


def test_an_unknown_value_is_refused_with_the_nearest_known_one() -> None:
    check_known("--metric", "exact", ("exact", "balanced"))
    with pytest.raises(UsageError, match=r"--metric: there is no 'balance'.*balanced"):
        check_known("--metric", "balance", ("exact", "balanced"))
