"""Errors of a server before it serves, each on one line."""

import re
import sys
from pathlib import Path

import pytest
from commands import Outcome, run_command
from native_directories import write_native
from tiny_models import TINY

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
    assert "vLLM, SGLang or TensorRT-LLM" in outcome.out


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
        ("--max-connections", 0, 1),
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


def start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *flags: object
) -> Outcome:
    """Start a server up to its model, for which no weights are there."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    arguments = ["--ckpt-dir", "nowhere", "--model-name", "m", "--port", 0, *flags]
    return run_command(main, arguments, monkeypatch, capsys)


def test_server_open_to_others_without_a_key_warns_in_red(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    warned = start(monkeypatch, capsys, "--host", "0.0.0.0")
    assert "\x1b[1;31mwarning: any machine that reaches this one can use the model" in warned.out
    assert "SERVE_API_KEY" in warned.out
    for flags in ((), ("--host", "127.0.0.2"), ("--host", "0.0.0.0", "--api-key", "k")):
        assert "warning" not in start(monkeypatch, capsys, *flags).out
    monkeypatch.setenv("SERVE_API_KEY", "k")
    assert "warning" not in start(monkeypatch, capsys, "--host", "0.0.0.0").out


def test_wrong_sites_and_names_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag, value in (("--allow-origin", "page.example"), ("--allow-host", "http://box")):
        outcome = start(monkeypatch, capsys, flag, value)
        assert (outcome.code, f"{flag} is '{value}', wanted" in outcome.error) == (2, True)


def test_caches_beyond_the_memory_are_refused_with_flags_that_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = write_native(tmp_path / "model", TINY)
    flags = ["--ckpt-dir", model, "--max-seq-len", 10**9]
    outcome = start(monkeypatch, capsys, *flags)
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "caches of 16 replies with 1,000,000,000 tokens 8192.0 GB" in outcome.error
    found = re.search(r"what fits: --max-seq-len (\d+); or try it with --fit", outcome.error)
    assert found is not None
    fitting = start(monkeypatch, capsys, *flags[:-1], int(found[1]) // 2)
    assert "what fits" not in fitting.error
