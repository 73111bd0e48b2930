"""What a server needs before it serves, told in a line."""

import sys
from pathlib import Path

import pytest
from commands import run_command

from scripts.serve import main
from serving.process import listen


def test_without_its_libraries_the_server_says_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    outcome = run_command(main, ["--ckpt-dir", "nowhere"], monkeypatch, capsys)
    told = "error: serving needs fastapi; install with: pip install -e '.[serve]'\n"
    assert (outcome.code, outcome.error) == (1, told)


def test_the_help_says_what_it_is_for_and_what_is_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_command(main, ["--help"], monkeypatch, capsys)
    assert "to try it" in outcome.out
    assert "vLLM or TensorRT-LLM" in outcome.out


def test_what_cannot_be_served_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        cases: list[tuple[list[object], str]] = [
            (["--ckpt-dir", "nowhere"], "nowhere does not exist"),
            (["--ckpt-dir", tmp_path, "--model-name", "m", "--port", port], "choose another"),
            (["--ckpt-dir", tmp_path, "--model-name", "m", "--port", 70000], "wanted 0 to 65535"),
            (
                ["--ckpt-dir", tmp_path, "--model-name", "m", "--port", 0],
                "has no consolidated.safetensors",
            ),
            (["--ckpt-dir", tmp_path, "--model-name", "m", "--api-key", "a b"], "without blanks"),
        ]
        for arguments, problem in cases:
            outcome = run_command(main, arguments, monkeypatch, capsys)
            assert (outcome.code, outcome.error.count("\n")) == (1, 1), outcome.error
            assert problem in outcome.error


@pytest.mark.parametrize(
    ("flag", "value", "least"),
    [
        ("--max-batch-size", 0, 1),
        ("--max-body-bytes", 0, 1),
        ("--max-waiting", -1, 0),
        ("--max-seq-len", 1, 2),
        ("--grace", -1, 0),
        ("--grace", "nan", 0),
        ("--grace", "inf", 0),
    ],
)
def test_limits_with_which_nobody_would_be_answered_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    value: object,
    least: int,
) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    outcome = run_command(main, ["--ckpt-dir", "nowhere", flag, value], monkeypatch, capsys)
    assert outcome.code == 2
    assert f"{flag} is " in outcome.error
    assert f"wanted {least} or more" in outcome.error
