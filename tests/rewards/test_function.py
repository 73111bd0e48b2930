from pathlib import Path

import pytest

from rewards.function import RewardFunction, read_function


def load(tmp_path: Path, body: str, name: str = "judge") -> RewardFunction:
    file = tmp_path / "mine.py"
    file.write_text(body)
    return read_function(f"{file}:{name}")


def test_function_is_told_the_attempt(tmp_path: Path) -> None:
    judge = load(tmp_path, "def judge(attempt): return len(attempt['calls']) / 2")
    assert judge({"id": "a", "calls": [1]}) == 0.5


def test_function_may_return_true_or_false(tmp_path: Path) -> None:
    assert load(tmp_path, "def judge(attempt): return attempt['id'] == 'a'")({"id": "a"}) == 1.0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "raise KeyError('city')",
            r"on a reply to 'a', raised KeyError: 'city'; mend the function",
        ),
        ("raise ValueError('two\\nlines')", "raised ValueError: two lines; mend the function"),
        ("return float('nan')", "returned nan, wanted a number from -1,000,000 to 1,000,000"),
        ("return 1e400", "returned inf, wanted a number"),
        ("return -1e7", "returned -10000000.0, wanted a number"),
        ("return 10**400", "returned 1000000+, wanted a number"),
        ("return 10**9999", "returned a value of type int too long to show, wanted a number"),
        ("return '1'", "returned '1', wanted a number"),
        ("return None", "returned None, wanted a number"),
        ("exit(3)", "raised SystemExit: 3"),
    ],
)
def test_function_that_fails_is_named_with_the_prompt(
    tmp_path: Path, body: str, message: str
) -> None:
    judge = load(tmp_path, f"def judge(attempt):\n    {body}")
    with pytest.raises(ValueError, match=message) as caught:
        judge({"id": "a"})
    assert "mine.py:judge" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        ("def judge(attempt): return 1", "jugde", "has no function 'jugde'; it has judge"),
        ("judge = 3", "judge", "judge of .*mine.py is 3, wanted a function"),
        ("def judge(): return 1", "judge", "must take one argument, the attempt"),
        ("import no_such_module", "judge", "cannot be executed: ModuleNotFoundError"),
        ("def judge(", "judge", "cannot be executed: SyntaxError"),
    ],
)
def test_file_without_such_a_function_is_refused(
    tmp_path: Path, body: str, name: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load(tmp_path, body, name)


@pytest.mark.parametrize("place", ["mine.py", "mine.py:", "mine.py:a b", ":judge"])
def test_place_that_names_no_function_is_refused(place: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=r"reward\.function"):
        read_function(place)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.py does not exist; name a Python file"):
        read_function(f"{tmp_path}/gone.py:judge")
