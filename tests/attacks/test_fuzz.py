"""The targets of the fuzzer: each reads its corpus, and what else than a refusal comes is told."""

import pytest

pytest.importorskip("jsonschema")
pytest.importorskip("fire")

from attacks import fuzz
from attacks.fuzz_targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_reads_its_corpus_or_refuses_it(target: str) -> None:
    inputs = fuzz.read_corpus(target)
    assert inputs
    assert [found for data in inputs if (found := fuzz.read_once(target, data))] == []


def test_the_corpus_is_small_and_of_the_targets() -> None:
    files = {file.stem: file.stat().st_size for file in fuzz.CORPUS.iterdir()}
    assert files.keys() == TARGETS.keys() and sum(files.values()) < 200_000


def test_another_exception_is_a_finding_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setitem(TARGETS, "replies", Target(read))
    found = fuzz.read_once("replies", b"a")
    assert found is not None and found.what.startswith("KeyError")
    assert found.place.startswith("tests/attacks/test_fuzz.py")


def test_a_slow_input_is_a_finding_and_a_large_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # An input is read twice where the first time is slow; at last it is slow once.
    clock = iter([0.0, 2.0] * 4 + [0.0, 2.0, 2.0, 2.5])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    monkeypatch.setitem(TARGETS, "replies", Target(bytes))
    found = fuzz.judge("replies", b"a")
    assert found is not None and found.what == "took 2.0 s for 1 bytes"
    assert fuzz.judge("replies", bytes(fuzz.LONGEST + 1)) is None
    assert fuzz.judge("replies", b"a") is None
