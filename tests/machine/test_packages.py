"""Versions wanted and found, and what is missing for which part of the project."""

import ast
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from machine import features, packages
from machine.features import check_features, imported_names, is_found, packages_used
from machine.packages import check_packages, check_python, is_same_version
from machine.requirements import ROOT, read_extras, read_requirements


def found_version(answer: object):
    """A stand-in for importlib.metadata.version that gives or raises an answer for every name."""

    def version(name: str) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return version


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (PackageNotFoundError("x"), "is not installed"),
        ("0.0.1", "0.0.1 (wanted "),
        (None, "cannot be read"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "cannot be read"),
    ],
    ids=["missing", "other", "none", "unreadable"],
)
def test_a_package_not_as_wanted_has_an_install_command(
    monkeypatch: pytest.MonkeyPatch, answer: object, detail: str
) -> None:
    monkeypatch.setattr(packages, "version", found_version(answer))
    findings = {finding.name: finding for finding in check_packages()}
    assert len(findings) == len(read_requirements())
    assert {finding.state for finding in findings.values()} == {"wrong"}
    assert all(detail in finding.detail for finding in findings.values())
    torch = next(str(r) for r in read_requirements() if r.name == "torch")
    assert findings["torch"].todo.endswith(f"python -m pip install {torch}")
    assert findings["rich"].todo.endswith("python -m pip install -r requirements.txt")


def test_a_build_of_the_wanted_version_is_the_wanted_version() -> None:
    assert is_same_version("2.13.0+cpu", "2.13.0")
    assert not is_same_version("2.13.1", "2.13.0")


def test_an_old_python_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    (finding,) = check_python()
    assert finding.state == "wrong" and "-m venv .venv" in finding.todo


def test_imports_for_type_checkers_and_relative_ones_are_not_wanted() -> None:
    source = """
import a.b
from .near import thing
if TYPE_CHECKING:
    import never
def f():
    try:
        from c.d import e
    except ImportError:
        import g as h
"""
    assert set(imported_names(ast.parse(source))) == {"a", "c", "g"}


def test_packages_used_are_others_and_name_their_files() -> None:
    used = packages_used()
    assert not {"chat", "machine", "finetune", "json"} & set(used)
    assert {"torch", "deepspeed", "fastapi", "mcp", "openai"} <= set(used)
    for files in used.values():
        assert all((ROOT / file).is_file() for file in files)


def test_features_name_what_they_lack_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"fastapi", "mcp", "openai", "triton", "bitsandbytes"}
    monkeypatch.setattr(features, "has_cuda", lambda: False)
    monkeypatch.setattr(features, "is_found", lambda name: name not in lacking)
    findings = {finding.name: finding for finding in check_features()}
    assert findings["serve"].detail == "lacks fastapi: python -m pip install -e '.[serve]'"
    assert "pip install -e '.[mcp]'" in findings["mcp"].detail
    assert "evaluation/answers/endpoint.py" in findings["evaluation"].detail
    assert "export" in findings["whole"].detail.split(", ")
    assert {"serving", "teaching"}.isdisjoint(findings["whole"].detail.split(", "))
    assert set(read_extras()) <= set(findings)
    # What an extra has is told there alone, and what computes on CUDA where CUDA is.
    assert {"serving", "teaching", "model"}.isdisjoint(findings)
    monkeypatch.setattr(features, "has_cuda", lambda: True)
    assert "lacks bitsandbytes, triton" in next(
        f.detail for f in check_features() if f.name == "model"
    )


def test_a_module_that_cannot_be_looked_for_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "odd_module", type(sys)("odd_module"))
    assert not is_found("odd_module")
    assert not is_found("no_such_module_here")
