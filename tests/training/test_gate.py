"""What keeps weights from best/: text that is lost where no call is wanted, or plain text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from talking_runs import TEXTS, talking_in, write_talking_base
from tiny_runs import train_natively

from data.plain_text import Text
from evaluation.scoring.text_loss import score_text
from inference.loading import Source, load_chat_model
from training.config import Config

Talking = Callable[..., Config]
GENERATED = {"prompts": 5, "max_new_tokens": 60, "batch_size": 5, "seconds": 10_000}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_talking_base(tmp_path_factory.mktemp("talking") / "base")


@pytest.fixture
def talking(tmp_path: Path, base: Path) -> Talking:
    return talking_in(tmp_path, base)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("\n".join(TEXTS.values()) * 3)
    return tmp_path / "text.txt"


def validations(config: Config) -> list[dict[str, float]]:
    rows = map(json.loads, (config.log_dir / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if row["kind"] == "validation"]


def test_weights_that_call_too_often_never_become_best(
    talking: Talking, capsys: pytest.CaptureFixture[str]
) -> None:
    """The base's two texts are forgotten while calls are learned."""
    settings = {"every": 5, "best_metric": "exact_match", "generated": GENERATED}
    limited = talking(validation={**settings, "gate": {"irrelevance": 1.0}}, training__max_steps=25)
    train_natively(limited)
    rows = validations(limited)
    best = json.loads((limited.run_dir / "best" / "progress.json").read_text())
    allowed = [row for row in rows if row["irrelevance"] == 1.0]
    assert best["best"] == max(row["exact_match"] for row in allowed)
    assert best["step"] in [row["step"] for row in allowed]
    said = capsys.readouterr().out
    assert said.count("not best/, irrelevance") == len(rows) - len(allowed) > 0


def test_weights_that_forgot_plain_text_never_become_best(
    talking: Talking, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = {"text_file": str(text_file), "text_rise": 0.2}
    validation = {"every": 5, "best_metric": "token_accuracy", "gate": gate}
    config = talking(validation=validation, training__max_steps=15)
    train_natively(config)
    rows = validations(config)
    progress = json.loads((config.run_dir / "final" / "progress.json").read_text())
    start = progress["gate_text"]["text_bits_per_byte"]
    kept = [row["text_bits_per_byte"] > start + 0.2 for row in rows]
    assert any(kept)
    assert capsys.readouterr().out.count("not best/, plain text") == sum(kept)
    assert (config.run_dir / "best").exists() == (not all(kept))


def test_the_loss_at_the_start_is_that_of_the_base(
    talking: Talking, base: Path, text_file: Path
) -> None:
    gate = {"text_file": str(text_file), "text_rise": 100}
    config = talking(validation={"every": 5, "gate": gate}, training__max_steps=5)
    train_natively(config)
    found = json.loads((config.run_dir / "best" / "progress.json").read_text())["gate_text"]
    scored = score_text(load_chat_model(Source(str(base))), Text.read(text_file))
    expected = scored.figures["bits_per_byte"].value
    assert found["text_bits_per_byte"] == pytest.approx(expected, rel=1e-5)


def test_a_run_without_allowed_weights_says_that_there_is_no_best(
    talking: Talking, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = {"text_file": str(text_file), "text_rise": 0}
    config = talking(validation={"every": 10, "gate": gate}, training__max_steps=10)
    train_natively(config)
    assert not (config.run_dir / "best").exists() and (config.run_dir / "final").exists()
    assert "so there is no best/; final/ holds the last ones" in capsys.readouterr().out


def test_a_resumed_run_keeps_the_loss_of_its_start(talking: Talking, text_file: Path) -> None:
    gate = {"text_file": str(text_file), "text_rise": 100}
    validation = {"every": 5, "gate": gate}
    train_natively(talking(validation=validation, training__max_steps=5))
    longer = talking(validation=validation, training__max_steps=10)
    before = json.loads((longer.run_dir / "final" / "progress.json").read_text())["gate_text"]
    train_natively(longer, resume=True)
    after = json.loads((longer.run_dir / "final" / "progress.json").read_text())["gate_text"]
    assert after == before
    text_file.write_text("Another text.")
    with pytest.raises(ValueError, match=r"did not begin with validation\.gate\.text_file"):
        train_natively(talking(validation=validation, training__max_steps=15), resume=True)


@pytest.mark.parametrize(
    ("validation", "told"),
    [
        ({"gate": {}}, "limits nothing"),
        ({"gate": {"irrelevance": 0.5}}, "generated is null"),
        ({"gate": {"irrelevance": 1.5}, "generated": GENERATED}, "less than or equal to 1"),
        ({"gate": {"texts": "f"}}, "texts"),
    ],
)
def test_a_gate_that_cannot_be_is_refused(
    talking: Talking, validation: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        talking(validation={"every": 5, **validation})
