"""Errors of a server before it serves, each on one line."""

import sys
from pathlib import Path

import pytest
from commands import run_command

from scripts.serve import main
from serving.process import listen


def test_missing_libraries_are_reported_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    outcome = run_command(main, ["--ckpt-dir", "nowhere"], monkeypatch, capsys)
    told = "error: serving needs fastapi; install with: pip install -e '.[serve]'\n"
    assert (outcome.code, outcome.error) == (1, told)


def test_help_names_other_servers_for_production(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_command(main, ["--help"], monkeypatch, capsys)
    assert "to try it" in outcome.out
    assert "vLLM or TensorRT-LLM" in outcome.out


def test_startup_errors_are_one_line(
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
def test_limits_below_their_minimum_are_wrong_usage(
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
