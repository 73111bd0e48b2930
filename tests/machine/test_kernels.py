"""A kernel that computes something else is told."""

import pytest
import torch

from machine import kernels
from machine.findings import Finding
from machine.trial import _finding


def outcome(name: str) -> Finding:
    return _finding(name, kernels.TRIALS[name])


@pytest.mark.parametrize("found", [[1.0, 2.5], [1.0, float("nan")], [1.0, float("inf")]])
def test_results_that_differ_or_are_not_finite_are_refused(found: list[float]) -> None:
    wanted = torch.tensor([1.0, 2.0])
    kernels.check_close("this", wanted + 1e-6, wanted, 1e-4)
    with pytest.raises(ValueError, match="this differs by"):
        kernels.check_close("this", torch.tensor(found), wanted, 1e-4)


@pytest.mark.parametrize(
    ("name", "attribute", "broken"),
    [
        ("attention, bfloat16", "attend", lambda q, k, v, documents, window: q * 0.5),
        ("attention, window", "attend", lambda q, k, v, d, window: kernels_attend(q, k, v, d)),
        ("NF4", "dequantize", lambda packed, shape, dtype: torch.zeros(shape)),
    ],
    ids=["attention", "window", "NF4"],
)
def test_a_broken_kernel_is_wrong_and_has_a_todo(
    monkeypatch: pytest.MonkeyPatch, name: str, attribute: str, broken: object
) -> None:
    assert outcome(name).state != "wrong"
    monkeypatch.setattr(kernels, attribute, broken)
    finding = outcome(name)
    assert finding.state == "wrong" and "differs by" in finding.detail
    assert "python" in finding.todo


kernels_attend = kernels.attend
